"""A clock for tests that jumps to the next moment at which somebody waits, so that an hour takes seconds."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count


class JumpingClock:
    """Time stands still while anybody works, and jumps while all sleep.

    Args:
        busy: whether work goes on outside of the event loop.
    """

    def __init__(self, busy: Callable[[], bool] = lambda: False) -> None:
        self._now_ns = 0
        self._busy = busy
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    def now_ns(self) -> int:
        return self._now_ns

    async def sleep_until(self, ns: int) -> None:
        if ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        awake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (ns, next(self._order), awake))
        await awake

    def hold_up(self, ns: int) -> None:
        """Time passes in which nobody could do anything."""
        self._now_ns += ns

    async def run(self) -> None:
        """Lets time pass until cancelled."""
        while True:
            if self._busy():
                await asyncio.sleep(0.0002)
                continue
            for _ in range(8):
                await asyncio.sleep(0)
            if self._sleepers and not self._busy():
                self._now_ns = max(self._now_ns, self._sleepers[0][0])
                while self._sleepers and self._sleepers[0][0] <= self._now_ns:
                    _, _, awake = heapq.heappop(self._sleepers)
                    if not awake.done():
                        awake.set_result(None)
