"""How many sessions at once hold the bars: doubled until they break, then narrowed down, then confirmed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass

from server.bench.figures import LATE_SHARE, Figures

PROBE_S = 10.0
PROBE_LATE_SHARE = 5 * LATE_SHARE
"""A probe is short: one frame late weighs more in it, so it is judged more mildly. The confirming run is not."""

Measure = Callable[[int, float], Awaitable[Figures]]
"""Figures of so many sessions, over so many seconds."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has come to.

    Attributes:
        sessions: the most that held the bars for the full time; 0 if not even one did.
        confirmed: the last full run, which held, unless there is none.
        runs: all, in the order in which they were made.
    """

    sessions: int
    confirmed: Figures
    runs: list[Figures]

    def as_json(self) -> dict[str, object]:
        return {
            "capacity": self.sessions,
            "confirmed": self.confirmed.as_json(),
            "cpu_per_session": {one.sessions: rounded(one.per_session()) for one in self.ladder()},
            "runs": [one.as_json() for one in self.runs],
        }

    def ladder(self) -> list[Figures]:
        """One run for each number of sessions, the longest, the fewest sessions first."""
        longest: dict[int, Figures] = {}
        for one in self.runs:
            if one.sessions not in longest or one.seconds > longest[one.sessions].seconds:
                longest[one.sessions] = one
        return [longest[n] for n in sorted(longest)]


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def counts(first: int) -> Generator[int, bool, int]:
    """Yields numbers to try, and is sent whether each held; returns the largest that did, or 0."""
    low, n = 0, first
    while (yield n):
        low, n = n, 2 * n
    high = n
    while high - low > 1:
        middle = (low + high) // 2
        if (yield middle):
            low = middle
        else:
            high = middle
    return low


async def find_capacity(measure: Measure, seconds: float, first: int = 1) -> Found:
    """Probes beginning with ``first`` sessions, then runs of ``seconds``, with one session less until one holds."""
    runs: list[Figures] = []
    search = counts(first)
    try:
        n = next(search)
        while True:
            runs.append(await measure(n, min(PROBE_S, seconds)))
            n = search.send(not runs[-1].breaks(PROBE_LATE_SHARE))
    except StopIteration as found:
        n = int(found.value)
    n = max(n, 1)
    while True:
        runs.append(await measure(n, seconds))
        if not runs[-1].breaks():
            return Found(n, runs[-1], runs)
        if n == 1:
            return Found(0, runs[-1], runs)
        n -= 1
