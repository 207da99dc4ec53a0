"""What a session costs: learned from what the process uses while some sessions speak and others are quiet."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from server.load.reading import Reading

FORGETS_IN_S = 30.0
"""What is this old counts e times less than what is new. Nothing is learned while all are quiet, nor forgotten."""

TRUST = 4.0
"""Weight of the first guess: as much as four seconds of one session. It is forgotten like everything else."""

STEADY = 0.2
"""The weight that it keeps, lest nothing be known of quiet sessions after a time in which all spoke."""


class Costs:
    """Shares of everything that can run out, per quiet and per speaking session.

    Weighted least squares that forget: used = quiet * a + speaking * b.

    Args:
        guess: b, by name, until more is known; a is guessed to be 0.
    """

    def __init__(self, guess: Mapping[str, float]) -> None:
        self._names = tuple(guess)
        self._guess = np.array([[0.0] * len(guess), list(guess.values())])
        self._squares: NDArray[np.float64] = TRUST * np.eye(2)
        self._products: NDArray[np.float64] = TRUST * self._guess
        self._heard_s = 0.0

    @property
    def is_guess(self) -> bool:
        """Whether there is little else to go by than the first guess."""
        return self._heard_s < TRUST

    @property
    def speaking(self) -> dict[str, float]:
        """What one session uses that speaks."""
        each = np.linalg.solve(self._squares + STEADY * np.eye(2), self._products + STEADY * self._guess)
        return {name: max(0.0, float(cost)) for name, cost in zip(self._names, each.max(axis=0), strict=True)}

    def read(self, reading: Reading) -> None:
        if not reading.speaking:
            return
        self._heard_s += reading.seconds * reading.speaking
        counts = np.array([reading.quiet, reading.speaking])
        used = np.array([reading.used.get(name, 0.0) for name in self._names])
        kept = math.exp(-reading.seconds / FORGETS_IN_S)
        self._squares = kept * self._squares + reading.seconds * np.outer(counts, counts)
        self._products = kept * self._products + reading.seconds * np.outer(counts, used)
