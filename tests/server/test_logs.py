from __future__ import annotations

import json
import logging

import pytest
from websockets.asyncio.client import connect

from server.logs import JsonFormatter
from tests.server.running import KEY, calling, running


def test_a_line_is_an_object_with_what_was_said_and_of_what() -> None:
    record = logging.makeLogRecord({"name": "server.sessions", "levelname": "INFO", "msg": "%d up", "args": (2,)})
    record.session = "s1"
    line = json.loads(JsonFormatter().format(record))
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "info", "logger": "server.sessions", "message": "2 up", "session": "s1"}


def test_a_failure_is_logged_with_its_trace() -> None:
    try:
        raise OSError("the disk is gone")
    except OSError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (OSError, error, error.__traceback__)})
    assert "the disk is gone" in json.loads(JsonFormatter().format(record))["error"]


@pytest.mark.anyio
async def test_no_key_token_or_speech_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running() as server:
        answer = await server.start()
        async with calling(answer) as caller:
            await caller.voice(b"some very private speech")
            await caller.send("dance", session_token=answer["session_token"])
            await caller.error()
        async with connect(f"{answer['websocket_address']}?token={answer['session_token']}"):
            await server.stop(answer)
    ours = [record for record in caplog.records if record.name.startswith(("server", "uvicorn"))]
    lines = [JsonFormatter().format(record) for record in ours]
    messages = [json.loads(line)["message"] for line in lines]
    assert {"session started", "session ended"} <= set(messages)
    assert not any(secret in line for line in lines for secret in (KEY, answer["session_token"], "private"))


@pytest.mark.parametrize(
    "text",
    [
        "GET /session/1/ws?session_token=abc.def HTTP/1.1",
        "GET /whep/1?token=abc.def",
        "headers: {'Authorization': 'Bearer abc.def'}",
        "the key is abc.def, really",
        "/endpoint?api_key=abc.def&x=1",
    ],
)
def test_secrets_that_a_library_logs_are_left_out(text: str) -> None:
    record = logging.makeLogRecord({"msg": text, "note": text})
    line = JsonFormatter(secrets=["abc.def"] if "really" in text else []).format(record)
    assert "abc" not in line
    assert json.loads(line)["message"].count("…") == 1
