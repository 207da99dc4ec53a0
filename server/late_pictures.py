"""Pictures that were not ready when their frames were shown."""

from __future__ import annotations

import asyncio
from collections import deque

from avatar.pictures import Picture

MOST = 2
"""How many are still waited for; of more, some are given up."""


class LatePictures:
    """Keeps an overloaded avatar moving: a picture that comes too late for its frame is better than an older one."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Picture]] = deque()

    def add(self, picture: asyncio.Future[Picture]) -> None:
        """Waits for a picture whose frame has been shown without it."""
        self._waiting.append(picture)
        while len(self._waiting) > MOST:
            # The oldest is probably being drawn already: it is the one after it that is given up.
            self._waiting[1].cancel()
            del self._waiting[1]

    def newest(self) -> Picture | None:
        """The newest that is ready by now, if any; those before it are given up."""
        for index in range(len(self._waiting) - 1, -1, -1):
            picture = self._waiting[index]
            if picture.done():
                for _ in range(index + 1):
                    self._waiting.popleft().cancel()
                return None if picture.cancelled() or picture.exception() else picture.result()
        return None

    def give_up(self) -> None:
        while self._waiting:
            self._waiting.popleft().cancel()
