"""Logs as JSON, one object a line. They name sessions and events, and hold no speech, keys or tokens."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

BARE = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
"""What every record has; anything else was passed as ``extra``."""


TOKENS = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+"  # a JWT
    r"|(?<=Bearer )[^\s\"'\\]+"
    r"|(?<=token=)[^\s\"'&\\]+|(?<=api_key=)[^\s\"'&\\]+"
)
"""What looks like a secret, wherever it stands: addresses of WebSockets, headers, traces of libraries."""


class JsonFormatter(logging.Formatter):
    """Our own lines hold no secrets; those of libraries may, so whatever is one, or looks like one, is left out.

    Args:
        secrets: what must never be shown.
        always: fields of every line.
    """

    def __init__(self, secrets: Iterable[str] = (), always: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self._always = always or {}
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= self._always
        line |= {name: value for name, value in vars(record).items() if name not in BARE}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return self._redacted(msgspec.json.encode(line, enc_hook=str).decode())

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return TOKENS.sub("…", text)


def configure(level: str, secrets: Iterable[str] = (), always: Mapping[str, object] | None = None) -> None:
    """Sends this process's logs to stderr, without the secrets and with the fields of ``always``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(secrets, always))
    handler.addFilter(_is_ours)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


BY_CLIENTS = frozenset(
    {
        "ASGI callable returned without completing handshake.",  # a refused handshake: we do that on purpose
        "Invalid UTF-8 sequence received from client.",  # closes that client's socket with 1007
    }
)
"""What uvicorn calls an error although a client did it, to itself alone."""


def _is_ours(record: logging.LogRecord) -> bool:
    return record.msg not in BY_CLIENTS
