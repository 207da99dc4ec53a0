"""Whether one more session fits, and how much of the pictures is drawn; measured, without a clock of its own."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from server.load.costs import Costs
from server.load.levels import Level, Levels
from server.load.reading import Reading

FULL = 0.75
"""Share of cores and threads that may be in use when every session speaks. What is left is for a moment in which many
do what costs most, and for a host whose cores are slower at times."""

LEAST_SPARE = 1.0
"""Frames' times that must be left when pictures are finished, in all but a tenth of them."""

LOOKS_BACK_S = 3.0
"""Seconds of pictures that this is judged by."""

MOST = 10_000
"""Sessions that fit where they seem to cost nothing."""

SOON_S, LATER_S = 2, 10
"""Retry-After where it will be known better very soon, and where nothing is known."""


SHOWN: Mapping[Level, str] = {
    Level.FULL: "every mouth is drawn",
    Level.HALF_RATE: "every second mouth is drawn",
    Level.BODY_ONLY: "no mouths are drawn",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no session fits now, and in how many seconds it is worth asking again."""

    reason: str
    retry_after_s: int


class Capacity:
    """Fed with readings in order.

    Args:
        guess: what one speaking session may use of everything that can run out, until that is measured.
    """

    def __init__(self, guess: Mapping[str, float]) -> None:
        self._levels = Levels()
        self._costs = Costs(guess)
        self._recent: deque[Reading] = deque()

    @property
    def level(self) -> Level:
        return self._levels.level

    def read(self, reading: Reading) -> Level:
        """Takes in what was measured; answers what is drawn from now on."""
        if self.level is Level.FULL:
            self._costs.read(reading)
        self._recent.append(reading)
        while sum(one.seconds for one in self._recent) - self._recent[0].seconds >= LOOKS_BACK_S:
            self._recent.popleft()
        return self._levels.read(reading)

    def expected(self, n_sessions: int) -> dict[str, float]:
        """What so many sessions use when all speak at once."""
        return {name: n_sessions * cost for name, cost in self._costs.speaking.items()}

    @property
    def fits(self) -> int:
        """How many sessions fit by what they cost; at least one."""
        dearest = max(self._costs.speaking.values(), default=0.0)
        return max(1, int(FULL / max(dearest, FULL / MOST)))

    def refusal(self, n_sessions: int, next_end_s: float | None = None) -> Refusal | None:
        """Why one more than ``n_sessions`` does not fit; None if it does. The first always does.

        Args:
            next_end_s: seconds until one of them is likely to end, if that can be said.
        """
        if n_sessions < 1:
            return None
        if self.level is not Level.FULL:
            return Refusal(f"there is too much to do: {SHOWN[self.level]}", seconds(self._levels.recovers_in_s))
        if n_sessions + 1 > self.fits:
            name, use = max(self.expected(n_sessions + 1).items(), key=lambda item: item[1])
            reason = f"with one session more, {100 * use:.0f} % of the {name} would be in use"
            if self._costs.is_guess:
                return Refusal(f"{reason}, as far as can be told before they have spoken", SOON_S)
            return Refusal(reason, LATER_S if next_end_s is None else seconds(next_end_s))
        spare = [left for one in self._recent for left in one.spare]
        if spare and (least := float(np.percentile(spare, 10))) < LEAST_SPARE:
            return Refusal(f"pictures are finished {least:.1f} frames before their time", seconds(LOOKS_BACK_S))
        return None

    def admits(self, n_sessions: int) -> bool:
        """Whether one more than ``n_sessions`` fits."""
        return self.refusal(n_sessions) is None


def seconds(wait_s: float) -> int:
    """Whole seconds, as the header wants them: at least one and at most a minute."""
    return min(60, max(1, math.ceil(wait_s)))
