"""How many sessions an operator allows, however many would fit: at once, of one key, and started in a minute."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from server.errors import CapacityExceeded, TooManyStarts
from server.limits import Allowance
from server.settings import Settings


class Quotas:
    """
    Args:
        now: seconds from any fixed origin.
    """

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._starts: dict[str, Allowance] = {}  # by owner, of whom there are as many as keys

    def check(self, owners: Collection[str], owner: str, retry_after_s: int) -> None:
        """Whether ``owner`` may have one more.

        Args:
            owners: of all sessions that stay, one for each.

        Raises:
            CapacityExceeded
        """
        most, most_of_key = self._settings.max_sessions, self._settings.max_sessions_per_key
        n_own = sum(1 for other in owners if other == owner)
        if most and len(owners) >= most:
            raise CapacityExceeded(f"{len(owners)} of {most} sessions are in use", retry_after_s)
        if most_of_key and n_own >= most_of_key:
            raise CapacityExceeded(f"{n_own} of {most_of_key} sessions of this key are in use", retry_after_s)

    def count_start(self, owner: str) -> None:
        """Raises TooManyStarts."""
        per_minute = self._settings.max_starts_per_minute
        starts = self._starts.setdefault(owner, Allowance(per_minute / 60, per_minute, self._now))
        if not starts.take():
            message = f"This key has started {per_minute} sessions in the last minute, as many as it may"
            raise TooManyStarts(message, math.ceil(starts.wait_s))

    def forget_start(self, owner: str) -> None:
        """One that was counted came to nothing."""
        self._starts[owner].give_back()
