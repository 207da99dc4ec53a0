"""Where a session's pictures and sound go: the protocol that every publisher fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from avatar.audio import Pcm
from avatar.pictures import Picture
from avatar.timeline import FrameTick


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """One frame to publish: picture (I420, read-only) and the sound that belongs to it, under one timestamp."""

    tick: FrameTick
    turn: int
    picture: Picture
    sound: Pcm


class Publisher(Protocol):
    """Entering joins, leaving always leaves. ``publish`` and ``flush`` never wait and are called on the event loop.

    Frames come in order, one per tick, paced in real time by the session; a publisher that cannot keep up drops
    pictures, never sound, within a bounded queue of its own. The picture must not be changed.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def publish(self, frame: RenderedFrame) -> None: ...

    def flush(self) -> None:
        """Throw away what was published but not yet played: the speaker was interrupted."""
        ...
