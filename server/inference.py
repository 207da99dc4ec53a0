"""Where pictures that take work are made for all sessions: networks run in one thread, and crossings in another."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import cv2

from avatar.lipsync import LipSyncModel, MouthJob
from avatar.pictures import Picture, Rgb

TOGETHER_NS = 20_000_000
"""Mouths are drawn together if they are due within this of the most urgent: other sessions', not the frames that
the same session renders ahead, for which its next frame would have to wait."""

Compose = Callable[[Rgb], Picture]
"""Lays a drawn mouth on its frame; called in the inference thread."""


@dataclass(frozen=True, slots=True)
class _Request:
    model: LipSyncModel
    job: MouthJob
    compose: Compose
    deadline_ns: int
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Picture]


class Inference:
    """Draws mouths in batches: what is due at about the same time from the same model, the most urgent first.

    The queue needs no bound of its own: a session never has more than its few frames of lead in it.

    Args:
        max_batch: the most mouths that are drawn at once.
    """

    def __init__(self, max_batch: int = 16) -> None:
        self._max_batch = max_batch
        self._requests: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._n_drawing = 0
        self.busy_s = 0.0
        """For how long the thread has worked."""
        self.batches: Counter[int] = Counter()
        """How often so many mouths were drawn at once."""
        self._footage = ThreadPoolExecutor(1, "footage")
        self._n_footage = 0
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)

    def __enter__(self) -> Self:
        # Pictures are small and sessions many: to wake other threads for a part of one costs more than it saves.
        cv2.setNumThreads(1)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
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
            try:
                mouths = batch[0].model.draw([request.job for request in batch])
                for request, mouth in zip(batch, mouths, strict=True):
                    _post(request, request.compose(mouth))
            except Exception as error:  # whatever a runtime throws belongs to those who asked
                for request in batch:
                    _post(request, error)
            self.batches[len(batch)] += 1
            self.busy_s += time.monotonic() - began

    def _next_batch(self) -> list[_Request]:
        """Waits for work; an empty list means that there will be none."""
        with self._changed:
            self._n_drawing = 0
            while True:
                self._requests = deque(request for request in self._requests if not request.answer.cancelled())
                if self._requests:
                    break
                if self._closing:
                    return []
                self._changed.wait()
            waiting = sorted(self._requests, key=lambda request: request.deadline_ns)
            first = waiting[0]
            batch = [
                request
                for request in waiting
                if request.model is first.model and request.deadline_ns <= first.deadline_ns + TOGETHER_NS
            ][: self._max_batch]
            chosen = {id(request) for request in batch}
            self._requests = deque(request for request in self._requests if id(request) not in chosen)
            self._n_drawing = len(batch)
            return batch


def _post(request: _Request, result: Picture | Exception) -> None:
    def settle() -> None:
        if request.answer.done():
            return
        if isinstance(result, Exception):
            request.answer.set_exception(result)
        else:
            request.answer.set_result(result)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        request.loop.call_soon_threadsafe(settle)
