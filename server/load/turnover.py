"""When a session is likely to end: what a server that is full can honestly say."""

from __future__ import annotations

from collections import deque

REMEMBERED = 16
"""Endings."""

LONG_AGO_S = 600.0
"""Endings before that say nothing."""


class Turnover:
    """Told of each session that ends, in seconds from any fixed origin."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=REMEMBERED)

    def ended(self, now: float) -> None:
        self._ends.append(now)

    def next_end_s(self, now: float) -> float | None:
        """Seconds until the next is likely to end, as often as they did lately; None if that cannot be said."""
        recent = [at for at in self._ends if now - at <= LONG_AGO_S]
        return (now - recent[0]) / len(recent) if len(recent) > 1 else None
