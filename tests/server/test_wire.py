from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from server.errors import CommandError
from server.wire import (
    Command,
    EnterState,
    Heartbeat,
    Init,
    Special,
    Voice,
    VoiceEnd,
    VoiceInterrupt,
    command,
)


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ({"command": "init", "session_id": "s", "session_token": "t"}, Init("s", "t", None)),
        ({"command": "init", "sessionId": "s", "avatar_id": "ava"}, Init("s", None, "ava")),
        ({"avatar_id": "ava", "session_id": "s"}, Init("s", None, "ava")),
        (
            {"command": "voice", "audio": "AAEC", "sampleRate": 16000, "encoding": "PCM8", "event_id": "e"},
            Voice(b"\x00\x01\x02", 16_000, "PCM8", "e"),
        ),
        (
            {"command": "voice", "audio": "AA\nEC\r\n", "sample_rate": 8000.0, "encoding": "PCM16"},
            Voice(b"\x00\x01\x02", 8_000, "PCM16"),
        ),
        ({"command": "voice_end", "event_id": "e", "extra": 1}, VoiceEnd("e")),
        ({"command": "voice_interrupt", "event_id": None}, VoiceInterrupt("")),
        ({"command": "heartbeat", "event_id": "e", "timestamp": 5}, Heartbeat(5, "e")),
        ({"command": "heartbeat"}, Heartbeat(None)),
        ({"command": "state", "value": "listen"}, EnterState("listen")),
        ({"command": "special", "content": "<x/>", "event_id": "e"}, Special("<x/>", "e")),
    ],
)
def test_each_command_is_understood(message: dict[str, Any], meant: Command) -> None:
    assert command(json.dumps(message)) == meant


def test_an_error_names_the_message_that_it_is_about() -> None:
    with pytest.raises(CommandError) as refused:
        command('{"command": "voice", "event_id": "e7"}')
    assert (refused.value.event_id, refused.value.code) == ("e7", "VALIDATION_ERROR")
    assert refused.value.message == "Missing required field(s): audio, sampleRate, encoding"


def test_speech_and_tokens_are_not_shown() -> None:
    audio = base64.b64encode(b"very-secret").decode()
    voice = command(json.dumps({"command": "voice", "audio": audio, "sampleRate": 8000, "encoding": "PCM8"}))
    assert "very-secret" not in repr(voice)
    assert "very-secret" not in repr(command('{"command": "init", "session_token": "very-secret"}'))
