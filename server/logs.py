"""Logs as JSON, one object a line. They name sessions and events, and hold no speech, keys or tokens."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

BARE = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
"""What every record has; anything else was passed as ``extra``."""


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in BARE}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def configure(level: str) -> None:
    """Sends this process's logs to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_is_no_refusal)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _is_no_refusal(record: logging.LogRecord) -> bool:
    """uvicorn calls it an error when a WebSocket is refused at its handshake; we do that on purpose, and count it."""
    return record.msg != "ASGI callable returned without completing handshake."
