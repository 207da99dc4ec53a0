"""Channels as the stand-in keeps them: what came into them, and what shall happen to those who join."""

from __future__ import annotations

import asyncio
import itertools
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.audio import Pcm

RECORD = struct.Struct("=6q")
ORIGIN_MS = 1000
"""Where the timeline begins in the SDK's timestamps."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One thing that was handed to the SDK.

    Attributes:
        ms: its timestamp, on the session's timeline.
        a, b: see ``struct record`` of the stand-in.
    """

    kind: str
    arrived_ns: int
    ms: int
    a: int
    b: int
    data: bytes

    @property
    def picture(self) -> NDArray[np.uint8]:
        """I420, uint8 (height * 3 / 2, width)."""
        return np.frombuffer(self.data, np.uint8).reshape(self.b * 3 // 2, self.a)


@dataclass(frozen=True, slots=True)
class Channel:
    """What one process, the ``n``-th to join, did in a channel."""

    calls: list[str]
    sent: list[Sent]

    def of(self, kind: str) -> list[Sent]:
        return [one for one in self.sent if one.kind == kind]

    @property
    def sound(self) -> Pcm:
        return np.frombuffer(b"".join(one.data for one in self.of("S")), np.int16)

    def called(self, name: str) -> list[str]:
        return [call for call in self.calls if call.split()[0] == name]

    @property
    def most_queued_ms(self) -> float:
        """The most sound that the SDK ever held, were it to play in real time."""
        empty_ns, most = 0, 0.0
        for one in self.of("S"):
            empty_ns = max(empty_ns, one.arrived_ns) + 10_000_000
            most = max(most, (empty_ns - one.arrived_ns) / 1e6)
        return most


class Channels:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = (f"channel-{n}" for n in itertools.count(1))

    def name(self) -> str:
        """A channel that nobody was in."""
        return next(self._names)

    def script(self, channel: str, *lines: str, nth: int | None = None) -> None:
        """What the stand-in does for those who join, or for the ``nth`` (from 1) of them."""
        path = self.folder / f"{channel}.{f'{nth}.' if nth else ''}script"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def n_joins(self, channel: str) -> int:
        return len(list(self.folder.glob(f"{channel}.*.calls")))

    def read(self, channel: str, nth: int = 1) -> Channel:
        calls = (self.folder / f"{channel}.{nth}.calls").read_text(encoding="utf-8").splitlines()
        media = self.folder / f"{channel}.{nth}.media"
        data = media.read_bytes() if media.exists() else b""
        sent, at = [], 0
        while at + RECORD.size <= len(data):
            kind, arrived_ns, pts_ms, a, b, n_bytes = RECORD.unpack_from(data, at)
            at += RECORD.size
            if at + n_bytes > len(data):
                break  # the process was killed while it wrote
            sent.append(Sent(chr(kind), arrived_ns, pts_ms - ORIGIN_MS, a, b, data[at : at + n_bytes]))
            at += n_bytes
        return Channel(calls, sent)

    async def until(self, channel: str, nth: int, wanted: Callable[[Channel], bool], within_s: float = 30) -> Channel:
        """The channel as soon as it is as wanted."""
        end = time.monotonic() + within_s
        while True:
            if self.n_joins(channel) >= nth:
                there = self.read(channel, nth)
                if wanted(there):
                    return there
            assert time.monotonic() < end, f"{channel} is not as wanted after {within_s} s"
            await asyncio.sleep(0.05)
