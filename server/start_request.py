"""The body of ``POST /session/start``, which ``init`` repeats."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from server.errors import InvalidJson, ValidationFailed

QUALITIES = ("low", "medium", "high")
VERSIONS = ("v1", "1.0")
VIDEO_ENCODINGS = ("H264", "VP8", "AV1")
AREAS = ("GLOBAL", "NORTH_AMERICA", "EUROPE", "ASIA", "INDIA", "JAPAN")

SHORTEST_SIDE, LONGEST_SIDE = 64, 1920
"""Pixels of a published picture's sides."""

MOST_SLENDER = 4
"""How many times longer one side of a picture may be than the other, where an aspect ratio is asked for."""

REQUIRED = ("avatar_id", "quality", "version", "video_encoding", "agora_settings")
REQUIRED_AGORA = ("app_id", "token", "channel", "uid", "enable_string_uid")
OPTIONAL = ("activity_idle_timeout", "area", "video_width", "video_height", "aspect_ratio")


@dataclass(frozen=True, slots=True)
class AgoraSettings:
    """The channel that the avatar joins, and as whom. Where a project has no certificate, ``token`` may be empty."""

    app_id: str
    channel: str
    uid: str
    enable_string_uid: bool
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a caller wants of a session.

    Attributes:
        activity_idle_timeout_s: 0 is never, None leaves it to the server.
        video_size: (width, height), if the caller gave both.
        aspect_ratio: (width, height), if the caller gave one.
        passthrough: the vendor's own top-level fields, kept as they came.
    """

    avatar_id: str
    quality: str
    version: str
    video_encoding: str
    agora: AgoraSettings
    activity_idle_timeout_s: float | None = None
    area: str = "GLOBAL"
    video_size: tuple[int, int] | None = None
    aspect_ratio: tuple[int, int] | None = None
    passthrough: Mapping[str, Any] = field(default_factory=dict, repr=False)


def json_object(body: bytes) -> dict[str, Any]:
    """A JSON object from a request's body.

    Raises:
        InvalidJson: it is not JSON.
        ValidationFailed: it is JSON, but not an object.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidJson(f"The body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValidationFailed("The body must be a JSON object")
    return value


def start_request(body: bytes) -> StartRequest:
    """A checked start request.

    Raises:
        InvalidJson: the body is not JSON.
        ValidationFailed: a field is missing or has a value that is not allowed.
    """
    given = json_object(body)
    agora = given.get("agora_settings")
    missing = [name for name in REQUIRED if given.get(name) is None]
    if isinstance(agora, dict):
        missing += [f"agora_settings.{name}" for name in REQUIRED_AGORA if agora.get(name) is None]
    if missing:
        raise ValidationFailed.missing(missing)
    if not isinstance(agora, dict):
        raise ValidationFailed("agora_settings must be an object")

    return StartRequest(
        avatar_id=_text(given, "avatar_id"),
        quality=_choice(given, "quality", QUALITIES),
        version=_choice(given, "version", VERSIONS),
        video_encoding=_choice(given, "video_encoding", VIDEO_ENCODINGS),
        agora=AgoraSettings(
            app_id=_text(agora, "app_id", "agora_settings."),
            channel=_text(agora, "channel", "agora_settings."),
            uid=_text(agora, "uid", "agora_settings."),
            enable_string_uid=_boolean(agora, "enable_string_uid", "agora_settings."),
            token=_text(agora, "token", "agora_settings.", may_be_empty=True),
        ),
        activity_idle_timeout_s=_idle_timeout(given),
        area="GLOBAL" if given.get("area") is None else _choice(given, "area", AREAS),
        video_size=_video_size(given),
        aspect_ratio=_aspect_ratio(given),
        passthrough={name: value for name, value in given.items() if name not in REQUIRED + OPTIONAL},
    )


def _text(given: Mapping[str, Any], name: str, where: str = "", *, may_be_empty: bool = False) -> str:
    value = given[name]
    if not isinstance(value, str):
        raise ValidationFailed(f"{where}{name} must be a string")
    if not value and not may_be_empty:
        raise ValidationFailed(f"{where}{name} must not be empty")
    return value


def _boolean(given: Mapping[str, Any], name: str, where: str) -> bool:
    value = given[name]
    if not isinstance(value, bool):
        raise ValidationFailed(f"{where}{name} must be true or false")
    return value


def _choice(given: Mapping[str, Any], name: str, allowed: Collection[str]) -> str:
    value = given[name]
    if not isinstance(value, str) or value not in allowed:
        raise ValidationFailed(f"{name} must be one of {', '.join(allowed)}")
    return value


def _number(given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationFailed(f"{name} must be a number")
    if abs(value) > 1e9:
        raise ValidationFailed(f"{name} must be a number up to 1e9")
    return float(value)


def _idle_timeout(given: Mapping[str, Any]) -> float | None:
    seconds = _number(given, "activity_idle_timeout")
    if seconds is not None and seconds < 0:
        raise ValidationFailed("activity_idle_timeout must be a number of seconds, 0 or more (0 is never)")
    return seconds


def _video_size(given: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = _number(given, "video_width"), _number(given, "video_height")
    if width is None and height is None:
        return None
    if width is None or height is None:
        raise ValidationFailed("video_width and video_height must be given together")
    sides = (width, height)
    if not all(SHORTEST_SIDE <= side <= LONGEST_SIDE and side.is_integer() for side in sides):
        raise ValidationFailed(
            f"video_width and video_height must be whole numbers from {SHORTEST_SIDE} to {LONGEST_SIDE}"
        )
    return int(width), int(height)


def _aspect_ratio(given: Mapping[str, Any]) -> tuple[int, int] | None:
    value = given.get("aspect_ratio")
    if value is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})[:x/]([1-9]\d{0,4})", value) if isinstance(value, str) else None
    if match is None:
        raise ValidationFailed('aspect_ratio must be "W:H", such as "9:16"')
    width, height = int(match[1]), int(match[2])
    if max(width, height) > MOST_SLENDER * min(width, height):
        raise ValidationFailed(f"aspect_ratio must be from 1:{MOST_SLENDER} to {MOST_SLENDER}:1")
    return width, height
