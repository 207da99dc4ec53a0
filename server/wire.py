"""WebSocket messages as typed values. What a message may look like is said here and nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from avatar.bundle import STATES
from server.errors import CommandError, missing_fields


@dataclass(frozen=True, slots=True)
class Init:
    """The first message of every socket. It repeats the start request, of which only what can differ is kept."""

    session_id: str | None
    session_token: str | None = field(repr=False)
    avatar_id: str | None
    agora_token: str | None = field(default=None, repr=False)
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """A piece of speech as it came: ``encoding`` and ``sample_rate`` are the sender's labels, still unchecked."""

    audio: bytes = field(repr=False)
    sample_rate: int
    encoding: str
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class VoiceEnd:
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class VoiceInterrupt:
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """``timestamp`` is the sender's, and goes back to it unchanged."""

    timestamp: int | float | None
    event_id: str = ""

    def answer(self) -> dict[str, object]:
        return {"command": "heartbeat_ack", "event_id": self.event_id, "timestamp": self.timestamp}


@dataclass(frozen=True, slots=True)
class EnterState:
    value: str
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class Special:
    """Instructions in a string: see ``server.special``."""

    content: str
    event_id: str = ""


Command = Init | Voice | VoiceEnd | VoiceInterrupt | Heartbeat | EnterState | Special


def command(text: str) -> Command:
    """The command in a text message.

    Raises:
        CommandError: not JSON, no such command, or a field that is missing or of the wrong kind.
    """
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CommandError("INVALID_JSON", f"The message is not valid JSON: {error}") from None
    if not isinstance(message, dict):
        raise CommandError("VALIDATION_ERROR", "The message must be a JSON object")
    event_id = message.get("event_id")
    known_id = event_id if isinstance(event_id, str) else ""
    try:
        if event_id is not None and not isinstance(event_id, str):
            raise _wrong("event_id must be a string")
        return _reader(message)(message, known_id)
    except CommandError as error:
        error.event_id = known_id
        raise


def _reader(message: Mapping[str, Any]) -> Callable[[Mapping[str, Any], str], Command]:
    name = message.get("command")
    if name is None and "avatar_id" in message:
        return _init  # an early dialect opens its socket with a start body and no command
    if name is None:
        raise _wrong(missing_fields(["command"]))
    if not isinstance(name, str):
        raise _wrong("command must be a string")
    if name not in READERS:
        raise CommandError("UNKNOWN_COMMAND", f"There is no command '{name[:64]}'; use one of {', '.join(READERS)}")
    return READERS[name]


def _init(message: Mapping[str, Any], event_id: str) -> Init:
    agora = message.get("agora_settings")
    return Init(
        _optional_text(message, "session_id", "sessionId"),
        _optional_text(message, "session_token"),
        _optional_text(message, "avatar_id"),
        _optional_text(agora, "token") if isinstance(agora, dict) else _optional_text(message, "agora_token"),
        event_id,
    )


def _voice(message: Mapping[str, Any], event_id: str) -> Voice:
    rate_name = "sample_rate" if "sample_rate" in message and "sampleRate" not in message else "sampleRate"
    missing = [name for name in ("audio", rate_name, "encoding") if message.get(name) is None]
    if missing:
        raise _wrong(missing_fields(missing))
    rate = message[rate_name]
    if isinstance(rate, bool) or not (isinstance(rate, int) or isinstance(rate, float) and rate.is_integer()):
        raise _wrong(f"{rate_name} must be a whole number")
    return Voice(_base64(_text(message, "audio")), int(rate), _text(message, "encoding"), event_id)


def _heartbeat(message: Mapping[str, Any], event_id: str) -> Heartbeat:
    timestamp = message.get("timestamp")
    if timestamp is not None and (isinstance(timestamp, bool) or not isinstance(timestamp, int | float)):
        raise _wrong("timestamp must be a number of milliseconds")
    return Heartbeat(timestamp, event_id)


def _state(message: Mapping[str, Any], event_id: str) -> EnterState:
    value = _text(message, "value")
    if value not in STATES:
        raise CommandError("UNKNOWN_STATE", f"value must be one of {', '.join(STATES)}")
    return EnterState(value, event_id)


READERS: Mapping[str, Callable[[Mapping[str, Any], str], Command]] = {
    "init": _init,
    "voice": _voice,
    "voice_end": lambda _, event_id: VoiceEnd(event_id),
    "voice_interrupt": lambda _, event_id: VoiceInterrupt(event_id),
    "heartbeat": _heartbeat,
    "state": _state,
    "special": lambda message, event_id: Special(_text(message, "content"), event_id),
}


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    try:  # some encoders break their lines
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise CommandError("INVALID_AUDIO", "audio is not valid base64") from None


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if value is None:
        raise _wrong(missing_fields([name]))
    if not isinstance(value, str):
        raise _wrong(f"{name} must be a string")
    return value


def _optional_text(message: Mapping[str, Any], *names: str) -> str | None:
    given = [name for name in names if message.get(name) is not None]
    return _text(message, given[0]) if given else None


def _wrong(message: str) -> CommandError:
    return CommandError("VALIDATION_ERROR", message)
