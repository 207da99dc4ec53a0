"""How often something may be done."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """A bucket that fills at a steady rate; everything done takes one out. (A token bucket, as in RFC 2697.)

    Args:
        per_s: how many it gains in a second; 0 sets no limit.
        burst: how many it holds.
        now: seconds from any fixed origin.
    """

    def __init__(self, per_s: float, burst: float, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now = now
        self._left = burst
        self._at = now()

    def take(self) -> bool:
        """Whether it may be done now."""
        if not self._per_s:
            return True
        now = self._now()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        """It was not done after all."""
        self._left = min(self._burst, self._left + 1)

    @property
    def wait_s(self) -> float:
        """Seconds until it may be done again."""
        return max(0.0, (1 - self._left) / self._per_s) if self._per_s else 0.0
