"""What a front and its workers tell each other: small typed messages over a socket pair, never speech or frames."""

from __future__ import annotations

import struct

import msgspec

from server.settings import Settings
from server.start_request import StartRequest

LENGTH = struct.Struct("<I")


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
    """A viewer's offer, answered with Answer."""

    session_id: str
    offer: str


class HangUp(msgspec.Struct, tag=True, frozen=True):
    """Answered with whether there was such a viewer."""

    session_id: str
    viewer_id: str


class ShowFigures(msgspec.Struct, tag=True, frozen=True):
    """Answered with figures in Prometheus' text format."""


Order = Start | Stop | Show | ShowAll | Watch | HangUp | ShowFigures


class Asked(msgspec.Struct, tag=True, frozen=True):
    """An order that is to be answered under this number."""

    call: int
    order: Order


class Answered(msgspec.Struct, tag=True, frozen=True):
    call: int
    value: msgspec.Raw


class Refused(msgspec.Struct, tag=True, frozen=True):
    """An order was refused as an HTTP request would be."""

    call: int
    status: int
    error: str
    code: str
    message: str
    headers: dict[str, str]


class State(msgspec.Struct, tag=True, frozen=True):
    """How a worker is; first when it is ready, and then whenever that changes.

    Attributes:
        fits: sessions that fit by measure, with those that there are.
        level: how much is drawn: a ``Level``.
    """

    fits: int
    level: int


class Ended(msgspec.Struct, tag=True, frozen=True):
    """A session that was started is gone."""

    session_id: str


ToWorker = Begin | Asked
FromWorker = Answered | Refused | State | Ended

TO_WORKER: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)
FROM_WORKER: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


def packed(message: ToWorker | FromWorker) -> bytes:
    """A message with its length before it."""
    body = msgspec.json.encode(message)
    return LENGTH.pack(len(body)) + body
