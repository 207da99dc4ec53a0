"""What a long run measures, each figure beside its bar."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import psutil

Progress = Callable[[float], None]
"""Is told which share of the work is done, from 0 to 1."""


def no_progress(done: float) -> None:
    """Nobody looks on."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that was counted or measured, and what it may be."""

    what: str
    seen: float
    unit: str = ""
    least: float = float("-inf")
    most: float = float("inf")

    @property
    def holds(self) -> bool:
        return self.least <= self.seen <= self.most

    @property
    def bar(self) -> str:
        bounds = [("≥", self.least), ("≤", self.most)]
        shown = [f"{sign} {bound:g}" for sign, bound in bounds if abs(bound) != float("inf")]
        return "" if not shown else "0" if self.most == 0 and self.least < 0 else " and ".join(shown)


class Memory:
    """Resident memory of one process and of its children, read now and then while work goes on."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._bytes: list[int] = []

    def read(self) -> None:
        self._bytes.append(sum(map(_resident, [self._process, *self._process.children()])))

    @property
    def mib(self) -> float:
        """The last reading."""
        return self._bytes[-1] / 2**20

    @property
    def growth(self) -> float:
        """In per cent, over the second half: the first half is warm-up. Each end is the median of a tenth."""
        n_half, n_tenth = len(self._bytes) // 2, max(1, len(self._bytes) // 10)
        middle = statistics.median(self._bytes[n_half : n_half + n_tenth])
        return 100 * (statistics.median(self._bytes[-n_tenth:]) / middle - 1)

    def figures(self, of: str) -> list[Figure]:
        return [
            Figure(f"memory of {of}", self.mib, "MiB"),
            Figure("· its growth in the second half", self.growth, "%", most=5),
        ]


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:  # it has just ended
        return 0


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds and has to give back."""

    files: int
    threads: int
    children: int
    tasks: int = 0

    @classmethod
    def by(cls, process: psutil.Process) -> Self:
        return cls(process.num_fds(), process.num_threads(), len(process.children(recursive=True)))

    @classmethod
    def here(cls) -> Self:
        """By this process, and how many tasks its event loop has."""
        held = cls.by(psutil.Process())
        return cls(held.files, held.threads, held.children, len(asyncio.all_tasks()))

    def figures(self, before: Held) -> list[Figure]:
        """What is held more than before. Nothing may be, but for the threads of asyncio's own pool, which fills up."""
        pool = min(32, (os.cpu_count() or 1) + 4)
        most = {"files": 0, "threads": pool, "children": 0, "tasks": 0}
        return [
            Figure(f"· {name} held after it and not before", getattr(self, name) - getattr(before, name), most=allowed)
            for name, allowed in most.items()
        ]

    def exceeds(self, before: Held) -> bool:
        return not all(one.holds for one in self.figures(before))


async def becomes(true: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Whether something that tells nobody when it happens does so in time."""
    end = asyncio.get_running_loop().time() + within_s
    while not true():
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.05)
    return True


async def settled(held: Callable[[], Held], still_s: float = 3.0, within_s: float = 60.0) -> Held:
    """What is held once that is the same for a while: a server rehearses when sessions are on the air, and keeps it."""
    clock = asyncio.get_running_loop().time
    seen, since, end = held(), clock(), clock() + within_s
    while clock() - since < still_s and clock() < end:
        await asyncio.sleep(0.1)
        if (now := held()) != seen:
            seen, since = now, clock()
    return seen
