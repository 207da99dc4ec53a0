"""What a caller wants of a session, in whichever dialect it was said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import msgspec

from server.errors import ValidationFailed
from server.rest_types import Area, Channel, FirstDialectBody, StartBody
from server.validation import checked

MOST_SLENDER = 4
"""How many times longer one side of a picture may be than the other, where an aspect ratio is asked for."""

FIRST_DIALECT_QUALITY, FIRST_DIALECT_ENCODING = "medium", "H264"
"""Of sessions whose dialect does not say."""

FIRST_DIALECT_AREAS = get_args(Area)
"""Regions that are known as areas; of any other name the area is global."""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A checked start request.

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
    agora: Channel
    activity_idle_timeout_s: float | None = None
    area: str = "GLOBAL"
    video_size: tuple[int, int] | None = None
    aspect_ratio: tuple[int, int] | None = None
    passthrough: Mapping[str, Any] = field(default_factory=dict, repr=False)


def start_request(given: Mapping[str, Any]) -> StartRequest:
    """What the body of ``POST /session/start`` asks for.

    Raises:
        ValidationFailed: a field is missing or has a value that is not allowed.
    """
    body = checked(given, StartBody)
    return StartRequest(
        avatar_id=body.avatar_id,
        quality=body.quality,
        version=body.version,
        video_encoding=body.video_encoding,
        agora=body.agora_settings,
        activity_idle_timeout_s=body.activity_idle_timeout,
        area=body.area or "GLOBAL",
        video_size=_video_size(body),
        aspect_ratio=_aspect_ratio(body),
        passthrough=_unknown_to(StartBody, given),
    )


def first_dialect_request(given: Mapping[str, Any], app_id: str) -> StartRequest:
    """What the body of ``POST /endpoint`` asks for.

    Args:
        app_id: the Agora project that this dialect does not name.

    Raises:
        ValidationFailed: a field is missing or has a value that is not allowed.
    """
    body = checked(given, FirstDialectBody)
    uid, region = str(body.agora_uid), (body.region or "").upper()
    if not uid:
        raise ValidationFailed("agora_uid must not be empty")
    return StartRequest(
        avatar_id=body.avatar_id,
        quality=FIRST_DIALECT_QUALITY,
        version="v1",
        video_encoding=FIRST_DIALECT_ENCODING,
        agora=Channel(app_id, body.agora_channel, uid, not uid.isdecimal(), body.agora_token or ""),
        area=region if region in FIRST_DIALECT_AREAS else "GLOBAL",
        passthrough=_unknown_to(FirstDialectBody, given),
    )


def _unknown_to(kind: type[msgspec.Struct], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in kind.__struct_encode_fields__}


def _video_size(body: StartBody) -> tuple[int, int] | None:
    if body.video_width is None and body.video_height is None:
        return None
    if body.video_width is None or body.video_height is None:
        raise ValidationFailed("video_width and video_height must be given together")
    return int(body.video_width), int(body.video_height)


def _aspect_ratio(body: StartBody) -> tuple[int, int] | None:
    if body.aspect_ratio is None:
        return None
    width, height = map(int, re.split("[:x/]", body.aspect_ratio))
    if max(width, height) > MOST_SLENDER * min(width, height):
        raise ValidationFailed(f"aspect_ratio must be from 1:{MOST_SLENDER} to {MOST_SLENDER}:1")
    return width, height
