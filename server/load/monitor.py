"""Watches what this process has to do, keeps sessions out that do not fit, and tells the others how much to draw."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self
from weakref import WeakSet

from models.loading import n_cores
from server.errors import CapacityExceeded
from server.load.capacity import SHOWN, Capacity
from server.load.process_time import ProcessTime
from server.load.reading import Reading
from server.metrics import Metrics
from server.session import Session, Shown

log = logging.getLogger(__name__)

EVERY_S = 0.25
CHILDREN_EVERY_S = 2.0

CORES, EVENT_LOOP, INFERENCE = "cores", "event loop", "inference thread"
"""What can run out."""

UNKNOWN: Mapping[str, float] = {CORES: 0.2, EVENT_LOOP: 0.05, INFERENCE: 0.2}
"""Shares that a speaking session is taken to use as long as nothing was ever drawn here."""


class Monitor:
    """Entering begins to measure, leaving ends it.

    Args:
        inference_busy_s: for how long the inference thread has worked until now.
        is_binding: whether anybody is kept out or drawn less of; it is measured all the same.
        cores: of the machine, as many as are this process's share of it; None is all.
    """

    def __init__(
        self,
        metrics: Metrics,
        inference_busy_s: Callable[[], float],
        *,
        is_binding: bool = True,
        cores: float | None = None,
    ) -> None:
        self.capacity = Capacity(UNKNOWN)
        self._metrics = metrics
        self._inference_busy_s = inference_busy_s
        self._is_binding = is_binding
        self._cores = n_cores() if cores is None else cores
        self._sessions: WeakSet[Session] = WeakSet()
        self._n_frames = self._n_late = 0
        self._spare: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch(), name="load")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def expect(self, guess: Mapping[str, float]) -> None:
        """What one speaking session is likely to use, by name; for the time before that is measured."""
        self.capacity = Capacity({**UNKNOWN, **guess})

    def join(self, session: Session) -> None:
        """A session performs from now on, until nobody else knows it."""
        self._sessions.add(session)

    def note(self, shown: Shown) -> None:
        """A frame was shown."""
        self._n_frames += 1
        self._n_late += shown.late
        if shown.spare is not None:
            self._spare.append(shown.spare)

    @property
    def level(self) -> str:
        return self.capacity.level.title

    @property
    def fits(self) -> int:
        """How many sessions fit, by what they cost."""
        return self.capacity.fits

    def check(self, n_sessions: int, next_end_s: float | None) -> None:
        """Raises CapacityExceeded: one more than ``n_sessions`` does not fit."""
        refusal = self.capacity.refusal(n_sessions, next_end_s)
        if refusal and self._is_binding:
            raise CapacityExceeded(f"No session fits now: {refusal.reason}", refusal.retry_after_s)

    async def _watch(self) -> None:
        process, began, n = ProcessTime(), time.monotonic(), 0
        loop_s, inference_s = time.thread_time(), self._inference_busy_s()
        while True:
            await asyncio.sleep(EVERY_S)
            if n % round(CHILDREN_EVERY_S / EVERY_S) == 0:
                await asyncio.to_thread(process.look_for_children)
            n += 1
            seconds = time.monotonic() - began
            used = {
                CORES: process.used_s() / self._cores,
                EVENT_LOOP: time.thread_time() - loop_s,
                INFERENCE: self._inference_busy_s() - inference_s,
            }
            began, loop_s, inference_s = time.monotonic(), time.thread_time(), self._inference_busy_s()
            self._read(seconds, {name: used_s / seconds for name, used_s in used.items()})

    def _read(self, seconds: float, used: Mapping[str, float]) -> None:
        n, n_speaking = len(self._sessions), sum(session.busy for session in self._sessions)
        before = self.capacity.level
        level = self.capacity.read(
            Reading(seconds, n - n_speaking, n_speaking, used, self._n_frames, self._n_late, tuple(self._spare))
        )
        self._n_frames = self._n_late = 0
        self._spare.clear()
        for name, share in used.items():
            self._metrics.used.labels(name).set(share)
        self._metrics.sessions_that_fit.set(self.capacity.fits)
        self._metrics.level.set(level)
        if level is not before:
            self._metrics.level_changes.labels(level.title).inc()
            log.warning(SHOWN[level], extra={"sessions": n, "speaking": n_speaking})
        for session in list(self._sessions) if self._is_binding else ():
            session.draw(level)
