"""Where pictures that take work are made for all sessions: networks run in some threads, and crossings in another."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.lipsync import LipSyncModel, MouthJob
from avatar.pictures import Picture, Rgb
from models.loading import n_cores
from models.threads import CROSSING, giving_way
from server.pacing import NEVER_NS

TOGETHER_NS = 20_000_000
"""Mouths are drawn together if they are due within this of the most urgent: other sessions', not the frames that
the same session renders ahead, for which its next frame would have to wait."""


COMFORT_NS = 100_000_000
"""What is due later than this from now waits for others to be drawn with: mouths in a full batch take half the time.
As long as half of it is left, it matters little what else is drawn with the most urgent."""

GATHER_S = 0.001
"""How long a thread waits for more mouths to draw with those that are urgent: until none has come for so long. Sessions
share a beat and ask one after the other."""


LATEST_SHARE = 0.1
"""How much the latest batch counts in what one is expected to take."""


def threads_for(wanted: int = 0, cores: float | None = None) -> int:
    """How many inference threads there should be; 0 decides by the cores, None being all of this machine.

    That is half of them: a little less than half of what a speaking session costs is spent in them. On two cores a
    second thread takes the core from the event loop and the encoders, and makes more frames late.
    """
    return wanted or max(1, int((n_cores() if cores is None else cores) / 2))


Compose = Callable[[Rgb], Picture]
"""Lays a drawn mouth on its frame; called in an inference thread."""


@dataclass(slots=True, eq=False)
class _Request:
    """
    Attributes:
        mouth: what it is to do, once it has been heard.
    """

    model: LipSyncModel
    job: MouthJob
    compose: Compose
    deadline_ns: int
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Picture]
    mouth: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))


class Inference:
    """Draws mouths in batches: the most urgent first, together with what is due at about the same time.

    Mouths that can still be in time go before those that cannot. Whoever draws late mouths first when there are too
    many makes all that come after them late as well, long after there are fewer again.

    Speech of different avatars is heard together if the same encoder hears it; mouths are painted by avatar. Each
    thread draws a batch of its own, on one core.

    The queue needs no bound of its own: a session never has more than its few frames of lead in it.

    Args:
        n_threads: how many batches are drawn at the same time.
        max_batch: the most mouths in one of them, as suits what runs the networks.
        comfort_ns: how long before it is due a mouth is drawn at the latest; with ``NEVER_NS`` at once.
        now_ns: the time in which deadlines are told.
    """

    def __init__(
        self,
        n_threads: int = 1,
        max_batch: int = 4,
        comfort_ns: int = COMFORT_NS,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._max_batch = max_batch
        self._comfort_ns = comfort_ns
        self._now_ns = now_ns
        self._batch_ns = 0.0
        """What a batch took lately."""
        self._requests: list[_Request] = []
        self._first_ns = NEVER_NS
        """When the most urgent is due of those that threads wait with."""
        self._changed = threading.Condition()
        self._closing = False
        self._n_drawing = 0
        self.busy_s = 0.0
        """For how long the threads have worked, on average."""
        self.batches: Counter[int] = Counter()
        """How often so many mouths were drawn at once."""
        self._footage = giving_way(1, "footage", CROSSING)
        self._n_footage = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{number}", daemon=True) for number in range(n_threads)
        ]

    def __enter__(self) -> Self:
        # Pictures are small and sessions many: to wake other threads for a part of one costs more than it saves.
        cv2.setNumThreads(1)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._footage.shutdown(cancel_futures=True)

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for has been answered."""
        with self._changed:
            return not self._requests and not self._n_drawing and not self._n_footage

    def draw(self, model: LipSyncModel, job: MouthJob, compose: Compose, deadline_ns: int) -> asyncio.Future[Picture]:
        """Asks for a picture with a mouth; it arrives on the calling event loop. Cancelling withdraws the request."""
        loop = asyncio.get_running_loop()
        request = _Request(model, job, compose, deadline_ns, loop, loop.create_future())
        with self._changed:
            self._requests.append(request)
            if len(self._requests) >= self._max_batch or deadline_ns < self._first_ns:
                self._changed.notify()
        return request.answer

    def compose(self, compose: Callable[[], Picture]) -> asyncio.Future[Picture]:
        """Asks for a picture that no network draws on, and so waits for none; otherwise as ``draw``."""
        picture = asyncio.get_running_loop().run_in_executor(self._footage, compose)
        self._n_footage += 1
        picture.add_done_callback(self._composed)
        return picture

    def _composed(self, picture: asyncio.Future[Picture]) -> None:
        self._n_footage -= 1

    def _work(self) -> None:
        while batch := self._next_batch():
            began = time.monotonic()
            heard = [request for group in _alike(batch, _ear) for request in _answered(_hear, group)]
            for group in _alike(heard, _model):
                _answered(_paint, group)
            took_s = time.monotonic() - began
            with self._changed:
                self._n_drawing -= len(batch)
                self.batches[len(batch)] += 1
                self.busy_s += took_s / len(self._threads)
                self._batch_ns += LATEST_SHARE * (1e9 * took_s - self._batch_ns)

    def _next_batch(self) -> list[_Request]:
        """Waits for work, and as long as it can for more to do with it; an empty list means that there will be none."""
        with self._changed:
            n = 0
            while True:
                self._requests = [request for request in self._requests if not request.answer.cancelled()]
                if not self._requests and self._closing:
                    return []
                self._first_ns = min((request.deadline_ns for request in self._requests), default=NEVER_NS)
                spare_s = (self._first_ns - self._now_ns() - self._comfort_ns) / 1e9
                has_come = len(self._requests) != n
                n = len(self._requests)
                if n >= self._max_batch or (n and (self._closing or (spare_s <= 0 and not has_come))):
                    break
                self._changed.wait(max(GATHER_S, spare_s) if n else None)
            batch = self._choose()
            chosen = set(map(id, batch))
            self._requests = [request for request in self._requests if id(request) not in chosen]
            self._first_ns = NEVER_NS
            self._n_drawing += len(batch)
            return batch

    def _choose(self) -> list[_Request]:
        """What is most urgent, and what goes with it: its own avatar's mouths before those of others."""
        now_ns = self._now_ns()
        soonest_ns = now_ns + self._batch_ns
        waiting = [one for one in self._requests if one.deadline_ns >= soonest_ns] or self._requests
        first = min(waiting, key=lambda request: request.deadline_ns)
        has_room = first.deadline_ns > now_ns + self._comfort_ns // 2
        last_ns = NEVER_NS if has_room else first.deadline_ns + TOGETHER_NS
        due = [request for request in waiting if request.deadline_ns <= last_ns]
        due.sort(key=lambda request: (request.model is not first.model, request.deadline_ns))
        return due[: self._max_batch]


def _ear(request: _Request) -> object:
    return request.model.ear


def _model(request: _Request) -> object:
    return request.model


def _alike(requests: Sequence[_Request], what: Callable[[_Request], object]) -> Iterator[list[_Request]]:
    """The requests in groups, each in its order."""
    groups: dict[object, list[_Request]] = {}
    for request in requests:
        groups.setdefault(what(request), []).append(request)
    return iter(groups.values())


def _answered(work: Callable[[list[_Request]], None], group: list[_Request]) -> list[_Request]:
    """Does some work for a group; where that fails, all of it are told and none are left."""
    try:
        work(group)
    except Exception as error:  # whatever a runtime throws belongs to those who asked
        _post([(request, error) for request in group])
        return []
    return group


def _hear(group: list[_Request]) -> None:
    mouths = group[0].model.hear([request.job for request in group])
    for request, mouth in zip(group, mouths, strict=True):
        request.mouth = mouth


def _paint(group: list[_Request]) -> None:
    patches = group[0].model.paint([request.job for request in group], np.stack([request.mouth for request in group]))
    _post([(request, request.compose(patch)) for request, patch in zip(group, patches, strict=True)])


def _post(results: Sequence[tuple[_Request, Picture | Exception]]) -> None:
    """Answers those who asked; an event loop is woken once for all of its own."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Request, Picture | Exception]]] = {}
    for request, result in results:
        by_loop.setdefault(request.loop, []).append((request, result))
    for loop, some in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, some)


def _settle(results: Sequence[tuple[_Request, Picture | Exception]]) -> None:
    for request, result in results:
        if request.answer.done():
            continue
        if isinstance(result, Exception):
            request.answer.set_exception(result)
        else:
            request.answer.set_result(result)
