"""What a session and its child process tell each other: small typed messages over a socket pair, never frames."""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec

from server.publishers.agora.ring import RingShape

LENGTH = struct.Struct("<I")
LARGEST = 65_536
"""Bytes of the largest message."""


class MessageError(Exception):
    """Bytes that are no message of this channel."""


class Join(msgspec.Struct, tag=True, frozen=True):
    """The first order: which channel, as whom, and what will be published.

    Attributes:
        area: as the start request names it, such as ``GLOBAL``.
        codec: ``H264``, ``VP8`` or ``AV1``.
        encoded: whether we encode; else the SDK does.
        fps: (numerator, denominator).
        folder: where the SDK may write its logs and data.
    """

    app_id: str
    token: str
    channel: str
    uid: str
    string_uid: bool
    area: str
    codec: str
    encoded: bool
    fps: tuple[int, int]
    kbit_s: int
    folder: str
    ring: RingShape

    def __repr__(self) -> str:
        return f"Join(channel={self.channel!r}, uid={self.uid!r})"


class RenewToken(msgspec.Struct, tag=True, frozen=True):
    token: str

    def __repr__(self) -> str:
        return "RenewToken()"


class Leave(msgspec.Struct, tag=True, frozen=True):
    pass


Order = Join | RenewToken | Leave


class Connected(msgspec.Struct, tag=True, frozen=True):
    """In the channel, and publishing."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """The child cannot publish, and ends.

    Attributes:
        code: of ``reasons.py``.
        final: whether another try would end in the same way.
    """

    code: str
    message: str
    final: bool = False


class Reconnecting(msgspec.Struct, tag=True, frozen=True):
    pass


class Reconnected(msgspec.Struct, tag=True, frozen=True):
    pass


class ConnectionLost(msgspec.Struct, tag=True, frozen=True):
    """The SDK has not been able to reconnect for a while, and goes on trying."""


class TokenWillExpire(msgspec.Struct, tag=True, frozen=True):
    pass


class IntraRequested(msgspec.Struct, tag=True, frozen=True):
    """Somebody in the channel needs a whole picture."""


class SoundModeAdvised(msgspec.Struct, tag=True, frozen=True):
    """Somebody in the channel cannot hear the present audio scenario at its best; this one suits all."""

    scenario: int


class Trouble(msgspec.Struct, tag=True, frozen=True):
    """Something is not as it was asked for, but publishing goes on."""

    code: str
    message: str


class TransportStats(msgspec.Struct, tag=True, frozen=True):
    """Of the whole connection; sums since it was made, rates of the last two seconds."""

    duration_s: int
    round_trip_ms: int
    last_mile_ms: int
    sent_bytes: int
    sent_kbit_s: int
    sent_video_kbit_s: int
    sent_audio_kbit_s: int
    loss_percent: int
    users: int


class VideoStats(msgspec.Struct, tag=True, frozen=True):
    encoded_fps: int
    target_bit_s: int
    media_bit_s: int
    width: int
    height: int


class NetworkQuality(msgspec.Struct, tag=True, frozen=True):
    """Of our own uplink and downlink: 0 unknown, 1 excellent … 5 very bad, 6 down, 8 being measured."""

    uplink: int
    downlink: int


class Progress(msgspec.Struct, tag=True, frozen=True):
    """Counted since the last one.

    Attributes:
        pushed: frames handed to the SDK.
        flushed: frames thrown away because of an interruption.
        skipped: those of them whose silence was left out to catch up.
        key_frames: whole pictures encoded; 0 where the SDK encodes.
    """

    pushed: int
    flushed: int
    skipped: int
    key_frames: int


Report = (
    Connected
    | Failed
    | Reconnecting
    | Reconnected
    | ConnectionLost
    | TokenWillExpire
    | IntraRequested
    | SoundModeAdvised
    | Trouble
    | TransportStats
    | VideoStats
    | NetworkQuality
    | Progress
)

_encoder = msgspec.msgpack.Encoder()
_orders: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_reports: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def packed(message: Order | Report) -> bytes:
    """A message with its length before it.

    Raises:
        MessageError: it is too large.
    """
    body = _encoder.encode(message)
    if len(body) > LARGEST:
        raise MessageError(f"a message has {len(body)} bytes, but {LARGEST} are allowed")
    return LENGTH.pack(len(body)) + body


def length_of(head: bytes) -> int:
    """How long the message after these four bytes is.

    Raises:
        MessageError: longer than any.
    """
    (length,) = LENGTH.unpack(head)
    if length > LARGEST:
        raise MessageError(f"a message of {length} bytes is announced, but {LARGEST} are allowed")
    return int(length)


def order(body: bytes) -> Order:
    """Raises MessageError: it is none."""
    try:
        return _orders.decode(body)
    except msgspec.DecodeError as error:
        raise MessageError(f"this is no order: {error}") from None


def report(body: bytes) -> Report:
    """Raises MessageError: it is none."""
    try:
        return _reports.decode(body)
    except msgspec.DecodeError as error:
        raise MessageError(f"this is no report: {error}") from None


Notify = Callable[[Report], None]
"""Takes a report, from any thread and without waiting."""
