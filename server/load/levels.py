"""How much of the pictures is drawn: less while the machine has too much to do, and more again once it has not."""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from server.load.reading import Reading

LOOKS_BACK_S, LASTS_S = 1.0, 0.6
"""It is judged by the last second whether there is too much to do: it is if it was for so much of it. What holds
everybody up once makes many frames late at one time, and drawing less would be no help."""

TOO_MANY, TOO_FEW_TO_TELL = 0.05, 3
"""Share of frames that are late or nearly, from which on there is too much to do, unless they are fewer than this."""

CALM = 0.005
"""Share of such frames up to which it counts as calm."""

FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 60.0
"""How long it must be calm before more is drawn; twice as long each time that this was too much, up to the second."""


class Level(IntEnum):
    """What is drawn; sound is never touched."""

    FULL = 0
    HALF_RATE = 1
    """Every second mouth; each is shown twice, on a body that moves as ever."""
    BODY_ONLY = 2
    """The footage; mouths close."""

    @property
    def title(self) -> str:
        return self.name.lower().replace("_", " ")


class Levels:
    """Steps down within a second, and up again one by one, ever more slowly if that was too early."""

    def __init__(self) -> None:
        self.level = Level.FULL
        self._recent: deque[Reading] = deque()
        self._calm_s = 0.0
        self._since_rise_s = float("inf")
        self._wait_s = FIRST_WAIT_S

    @property
    def recovers_in_s(self) -> float:
        """Seconds until everything may be drawn again, if nothing is late meanwhile."""
        return max(0.0, self.level * self._wait_s - self._calm_s)

    def read(self, reading: Reading) -> Level:
        """What is drawn from now on."""
        self._since_rise_s += reading.seconds
        self._recent.append(reading)
        while sum(one.seconds for one in self._recent) - self._recent[0].seconds >= LOOKS_BACK_S:
            self._recent.popleft()
        n_tight, n_frames = sum(one.n_tight for one in self._recent), sum(one.n_frames for one in self._recent)
        too_much_s = sum(one.seconds for one in self._recent if one.n_tight > TOO_MANY * one.n_frames)
        if n_tight >= TOO_FEW_TO_TELL and too_much_s >= LASTS_S:
            self._step_down()
        elif n_tight > CALM * n_frames:
            self._calm_s = 0
        else:
            self._step_up(reading.seconds)
        return self.level

    def _step_down(self) -> None:
        self._recent.clear()
        self._calm_s = 0
        if self._since_rise_s < self._wait_s:
            self._wait_s = min(LONGEST_WAIT_S, 2 * self._wait_s)
        self._since_rise_s = float("inf")
        self.level = Level(min(self.level + 1, Level.BODY_ONLY))

    def _step_up(self, seconds: float) -> None:
        self._calm_s += seconds
        if self.level and self._calm_s >= self._wait_s:
            self.level = Level(self.level - 1)
            self._calm_s = self._since_rise_s = 0
        elif not self.level and self._calm_s >= LONGEST_WAIT_S:
            self._wait_s = FIRST_WAIT_S
