"""The publisher that records a session to an MP4 file, which another process encodes."""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from avatar.errors import AvatarError
from avatar.geometry import Size
from avatar.timeline import Timeline
from server.publisher import RenderedFrame
from server.publishers.ending import to_its_end
from server.publishers.held_frames import HeldFrames, HeldShape
from server.publishers.recorder import Film, Outcome, Recorder

log = logging.getLogger(__name__)

PICTURES_HELD_S = 10
"""Seconds of pictures that wait for a slow disk; beyond that a picture is left out and the one before it stays."""

SOUND_HELD_S = 60
"""Seconds of sound that wait for a slow disk; beyond that the recording has failed."""

FINISH_S = 6
"""Seconds that leaving waits for the file to be completed."""


class RecordingFailed(AvatarError):
    """The recording stopped early; the session goes on without it."""


class RecordingPublisher:
    """Records what is published to ``path``. Leaving completes the file, also when an error or a cancellation leaves.

    A disk or an encoder that is too slow costs pictures, never sound. Whatever goes wrong in the process that encodes
    is logged once and kept in ``failed``; publishing then does nothing.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        timeline: Timeline,
        recorder: Recorder,
        *,
        crf: int = 20,
        pictures_held_s: float = PICTURES_HELD_S,
    ) -> None:
        self.path = path
        self.failed: RecordingFailed | None = None
        self.n_pictures_left_out = 0
        held = HeldShape.lasting(size, timeline, SOUND_HELD_S, pictures_held_s)
        self._film = Film(path, size, timeline, crf, held)
        self._recorder = recorder
        self._held = ExitStack()
        self._answer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            with ExitStack() as held:
                await self._begin(held)
                self._held = held.pop_all()
        except OSError as error:
            self._fail(f"it could not begin: {error}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_its_end(self._finish())

    def publish(self, frame: RenderedFrame) -> None:
        if self.failed:
            return
        if self._frames.is_full:
            self._fail(f"the disk is {SOUND_HELD_S} s behind")
            return
        has_place = self._frames.put(frame.picture, frame.tick, frame.sound)
        if not has_place:
            if not self.n_pictures_left_out:
                log.warning("recording is too slow: pictures are left out", extra={"recording": self.path.name})
            self.n_pictures_left_out += 1

    def flush(self) -> None:
        """Nothing to throw away: what was published was played, and belongs to the recording."""

    async def _begin(self, held: ExitStack) -> None:
        self._frames = held.enter_context(closing(HeldFrames(self._film.held)))
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as unused:
            unused.callback(ours.close)
            await to_its_end(asyncio.to_thread(self._recorder.record, theirs, self._frames.descriptor))
            reader, self._writer = await asyncio.open_unix_connection(sock=ours)
            unused.pop_all()
        held.callback(self._writer.close)
        self._writer.write(pickle.dumps(self._film))
        self._answer = asyncio.create_task(self._answered(reader), name=f"recording {self.path.stem}")

    async def _answered(self, reader: asyncio.StreamReader) -> None:
        """Waits for how it went, until the recording is over."""
        outcome = Outcome("the process that recorded came to an end")
        with suppress(EOFError, ConnectionError):
            outcome = pickle.loads(await reader.read())  # noqa: S301 — our own process wrote it
        if outcome.failure is not None:
            self._fail(outcome.failure)

    async def _finish(self) -> None:
        if self._answer:
            self._writer.write_eof()
            try:
                await asyncio.wait_for(self._answer, FINISH_S)
            except TimeoutError:
                self._fail(f"the file was not completed in {FINISH_S} s")
        self._held.close()

    def _fail(self, why: str) -> None:
        if self.failed is None:
            self.failed = RecordingFailed(why)
            log.error("recording failed: %s", why, extra={"recording": self.path.name})
