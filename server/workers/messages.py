"""What a front and its workers tell each other: small typed messages over a socket pair, never speech or frames."""

from __future__ import annotations

import struct

import msgspec

from server.settings import Settings
from server.start_request import StartRequest

HEAD = struct.Struct("<II")
"""Before each message: its length in bytes, and the number of the call that it belongs to; 0 is none."""


class Begin(msgspec.Struct, tag=True, frozen=True):
    """The first message to a worker. Settings hold secrets, which belong neither in arguments nor in variables.

    Attributes:
        number: of the worker, from 1.
        embedded: the folder of the avatars that are there besides those of the settings.
    """

    number: int
    settings: Settings
    embedded: str


class Start(msgspec.Struct, tag=True, frozen=True):
    """Answered with None once the session has begun."""

    session_id: str
    request: StartRequest
    owner: str


class Stop(msgspec.Struct, tag=True, frozen=True):
    """Answered with None once the session has left its publishers.

    Attributes:
        evicted: another took its place; else it was asked for.
    """

    session_id: str
    evicted: bool = False


class Show(msgspec.Struct, tag=True, frozen=True):
    """Answered with SessionInfo."""

    session_id: str


class ShowAll(msgspec.Struct, tag=True, frozen=True):
    """Answered with a list of SessionInfo."""

    owner: str


class Watch(msgspec.Struct, tag=True, frozen=True):
    """A viewer's offer, answered with what ``Watchable.answer`` does."""

    session_id: str
    offer: str


class HangUp(msgspec.Struct, tag=True, frozen=True):
    """Answered with whether there was such a viewer."""

    session_id: str
    viewer_id: str


class ShowFigures(msgspec.Struct, tag=True, frozen=True):
    """Answered with figures in Prometheus' text format."""


Order = Start | Stop | Show | ShowAll | Watch | HangUp | ShowFigures


class Done(msgspec.Struct, tag=True, frozen=True):
    """The answer to an order."""

    value: msgspec.Raw


class Refused(msgspec.Struct, tag=True, frozen=True):
    """An order was refused as an HTTP request would be."""

    status: int
    error: str
    code: str
    message: str
    headers: dict[str, str]


Answer = Done | Refused


class State(msgspec.Struct, tag=True, frozen=True):
    """How a worker is: when it is ready, whenever that changes, and every second.

    Attributes:
        fits: sessions that fit by measure, with those that there are.
        level: how much is drawn: a ``Level``.
    """

    fits: int
    level: int


class Ended(msgspec.Struct, tag=True, frozen=True):
    """A session that was started is gone."""

    session_id: str


News = State | Ended
