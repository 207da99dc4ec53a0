"""Bodies of REST calls and their answers: these types validate requests, and make the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Quality = Literal["low", "medium", "high"]
VideoEncoding = Literal["H264", "VP8", "AV1"]
Area = Literal["GLOBAL", "NORTH_AMERICA", "EUROPE", "ASIA", "INDIA", "JAPAN"]

SessionState = Literal["loading", "waiting for init", "live", "client lost"]

SHORTEST_SIDE, LONGEST_SIDE = 64, 1920
"""Pixels of a published picture's sides."""

Text = Annotated[
    str, Meta(min_length=1, max_length=1024, extra={"must": "be a string of 1 to 1024 characters, not empty"})
]
Token = Annotated[str, Meta(max_length=8192, extra={"must": "be a string of up to 8192 characters"})]
Side = Annotated[
    float,
    Meta(
        ge=SHORTEST_SIDE,
        le=LONGEST_SIDE,
        multiple_of=1,
        extra={"must": f"be a whole number from {SHORTEST_SIDE} to {LONGEST_SIDE}"},
    ),
]


class Channel(msgspec.Struct, frozen=True):
    """The channel that the avatar joins, and as whom, in whichever dialect it was said."""

    app_id: str
    channel: str
    uid: str
    enable_string_uid: bool
    token: str

    def __repr__(self) -> str:
        return f"Channel(app_id={self.app_id!r}, channel={self.channel!r}, uid={self.uid!r})"


class AgoraSettings(Channel, frozen=True):
    """The channel that the avatar joins, and as whom. Where a project has no certificate, ``token`` may be empty."""

    app_id: Text
    channel: Text
    uid: Text
    enable_string_uid: bool
    token: Token


class StartBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a start. Any other top-level field is the vendor's own, and kept."""

    avatar_id: Text
    quality: Quality
    version: Literal["v1", "1.0"]
    video_encoding: VideoEncoding
    agora_settings: AgoraSettings
    activity_idle_timeout: (
        Annotated[float, Meta(ge=0, le=1e9, extra={"must": "be a number of seconds from 0 to 1000000000 (0 is never)"})]
        | None
    ) = None
    area: Area | None = None
    video_width: Side | None = None
    video_height: Side | None = None
    aspect_ratio: (
        Annotated[
            str, Meta(pattern=r"^[1-9][0-9]{0,4}[:x/][1-9][0-9]{0,4}$", extra={"must": 'be "W:H", such as "9:16"'})
        ]
        | None
    ) = None
    api_key: Token | None = None


class FirstDialectBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /endpoint``, as the first revision of the protocol has it."""

    avatar_id: Text
    agora_channel: Text
    agora_uid: Annotated[str | int, Meta(extra={"must": "be a string or a whole number"})]
    agora_token: Token | None = None
    region: Token | None = None
    api_key: Token | None = None


class StopBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a stop. The token may come as ``Authorization: Bearer``, too; one of the two must be there."""

    session_id: Token | None = None
    session_token: Token | None = None
    api_key: Token | None = None


class Started(msgspec.Struct, frozen=True):
    """The token works many times, until the session ends."""

    session_id: str
    websocket_address: str
    session_token: str


class FirstDialectStarted(msgspec.Struct, frozen=True):
    """The address holds the session's token."""

    session_id: str
    websocket_address: str


class Stopped(msgspec.Struct, frozen=True):
    status: Literal["success"] = "success"
    message: Literal["Session terminated successfully"] = "Session terminated successfully"


class Refusal(msgspec.Struct, frozen=True):
    """What every refused request is answered with."""

    error: str
    message: str
    code: str


class Avatar(msgspec.Struct, frozen=True):
    """An avatar of this server.

    ``actions`` is what an agent's ``avatar.actions`` takes: the names of its gestures.
    ``sizes`` are width and height of what is published for each quality, where nothing else is asked for.
    """

    id: str
    name: str
    version: str
    width: int
    height: int
    fps: float
    states: list[str]
    gestures: list[str]
    actions: list[str]
    sizes: dict[Quality, tuple[int, int]]
    model: str | None
    licences: list[str]


class Avatars(msgspec.Struct, frozen=True):
    avatars: list[Avatar]


class SessionInfo(msgspec.Struct, frozen=True):
    """A session that lives. Times are in seconds."""

    session_id: str
    avatar_id: str
    channel: str
    uid: str
    state: SessionState
    speaking: bool
    age_s: float
    unheard_s: float


class SessionList(msgspec.Struct, frozen=True):
    sessions: list[SessionInfo]
