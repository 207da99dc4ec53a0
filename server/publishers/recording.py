"""The publisher that records a session to an MP4 file, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from avatar.geometry import Size
from avatar.timeline import Timeline
from models.loading import n_cores
from models.threads import ENCODING, give_way
from server.encoding import Mp4Writer
from server.publisher import RenderedFrame
from server.publishers.ending import to_its_end

log = logging.getLogger(__name__)

_ENCODING_NOW = threading.BoundedSemaphore(n_cores())
"""Recordings that encode at the same time. Whoever holds the interpreter's lock would else wait for a core behind all
of the others, and the event loop with it."""

PICTURES_HELD_S = 10
"""Seconds of pictures that wait for a slow disk; beyond that a picture is left out and the one before it stays."""

SOUND_HELD_S = 120
"""Seconds of sound that wait for a slow disk; beyond that the recording has failed."""

FINISH_S = 6
"""Seconds that leaving waits for the file to be completed."""


class RecordingFailed(Exception):
    """The recording stopped early; the session goes on without it."""


class RecordingPublisher:
    """Records what is published to ``path``. Leaving completes the file, also when an error or a cancellation leaves.

    A disk or an encoder that is too slow costs pictures, never sound. Whatever goes wrong in the thread is logged once
    and kept in ``failed``; publishing then does nothing.
    """

    def __init__(
        self, path: Path, size: Size, timeline: Timeline, *, crf: int = 20, pictures_held_s: float = PICTURES_HELD_S
    ) -> None:
        self.path = path
        self.failed: Exception | None = None
        self.n_pictures_left_out = 0
        self._writer = Mp4Writer(path, size, timeline, crf=crf)
        self._max_pictures = round(pictures_held_s * timeline.fps)
        self._max_frames = round(SOUND_HELD_S * timeline.fps)
        self._queue: deque[RenderedFrame] = deque()
        self._changed = threading.Condition()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name=f"recording {path.stem}", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ends = True
            self._changed.notify()
        await to_its_end(asyncio.to_thread(self._thread.join, FINISH_S))
        if self._thread.is_alive():
            self._fail(RecordingFailed(f"the file was not completed in {FINISH_S} s"))

    def publish(self, frame: RenderedFrame) -> None:
        if self.failed:
            return
        with self._changed:
            n_waiting = len(self._queue)
            if n_waiting < self._max_frames:
                if n_waiting >= self._max_pictures:
                    frame = self._without_picture(frame)
                self._queue.append(frame)
                self._changed.notify()
        if n_waiting >= self._max_frames:
            self._fail(RecordingFailed(f"the disk is {SOUND_HELD_S} s behind"))

    def flush(self) -> None:
        """Nothing to throw away: what was published was played, and belongs to the recording."""

    def _without_picture(self, frame: RenderedFrame) -> RenderedFrame:
        """The frame with the last picture that waits, so that it takes no more memory."""
        if not self.n_pictures_left_out:
            log.warning("recording is too slow: pictures are left out", extra={"recording": self.path.name})
        self.n_pictures_left_out += 1
        return replace(frame, picture=self._queue[-1].picture)

    def _run(self) -> None:
        """The thread: writes until it is told to end and nothing waits."""
        give_way(ENCODING)
        try:
            with self._writer as writer:
                while (frame := self._next()) is not None:
                    with _ENCODING_NOW:
                        writer.write(frame.picture, frame.tick, frame.sound)
        except Exception as error:  # whatever a disk or an encoder throws
            self._fail(error)

    def _next(self) -> RenderedFrame | None:
        with self._changed:
            while not self._queue:
                if self._ends:
                    return None
                self._changed.wait()
            return self._queue.popleft()

    def _fail(self, error: Exception) -> None:
        if self.failed is None:
            self.failed = error
            log.error("recording failed: %s", error, extra={"recording": self.path.name})
        with self._changed:
            self._queue.clear()
