"""Clocks: the only place where a session learns what time it is."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

BEAT_NS = 10_000_000
"""Sessions begin on a beat that they share, so that one wake-up of the process serves several of them, and what they
want drawn comes together. A frame of 25 per second, the lead, and that in silence are whole numbers of beats."""


NEVER_NS = 1 << 62
"""A time that does not come."""


def next_beat(ns: int) -> int:
    """The first beat at ``ns`` or later."""
    return -(-ns // BEAT_NS) * BEAT_NS


class Clock(Protocol):
    """Time in nanoseconds from any fixed origin."""

    def now_ns(self) -> int: ...

    async def sleep_until(self, ns: int) -> None:
        """Returns when the clock shows ``ns`` or later; if it does already, after other tasks had a turn."""
        ...


class MonotonicClock:
    """The machine's own time."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep_until(self, ns: int) -> None:
        await asyncio.sleep(max(0, ns - time.monotonic_ns()) / 1e9)
