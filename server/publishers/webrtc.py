"""The publisher that browsers watch: WebRTC, encoded once for all who watch the session."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import Executor
from types import TracebackType
from typing import Any, Self

import av
from aiortc import RTCIceServer

from avatar.geometry import Size
from avatar.timeline import Timeline
from models.threads import ENCODING, giving_way
from server.publisher import RenderedFrame
from server.publishers.ending import to_its_end
from server.publishers.live_encoding import LiveEncoder
from server.publishers.offers import Answer, IceServer, NotOnAir, TooManyViewers
from server.publishers.viewer import Viewer

log = logging.getLogger(__name__)

PICTURES_HELD_MS = 200
"""Where more than this waits for the encoder, it takes only the newest picture, and the sound of all."""

SOUND_HELD_MS = 1000
"""Where more than this waits for the encoder, the oldest is dropped."""

CONNECT_S = 20.0
"""Seconds between a viewer's offer and its connection."""


class WebRtcPublisher:
    """Sends what is published to everybody who watches, and is as good as free while nobody does.

    Frames are encoded in a thread, once for each codec in use, and stamped on the session's timeline; the session paces
    them. Leaving hangs up on all viewers.

    Args:
        encoders: threads that encode for many sessions, few enough not to be in each other's way; without them the
            publisher has one of its own.
    """

    def __init__(
        self,
        size: Size,
        timeline: Timeline,
        *,
        ice_servers: Sequence[IceServer] = (),
        max_viewers: int = 8,
        connect_s: float = CONNECT_S,
        encoders: Executor | None = None,
    ) -> None:
        self._encoder = LiveEncoder(size, timeline)
        self._max_pictures = max(1, round(PICTURES_HELD_MS * timeline.fps / 1000))
        self._max_frames = max(1, round(SOUND_HELD_MS * timeline.fps / 1000))
        self._ice_servers = [RTCIceServer(server.url, server.username, server.credential) for server in ice_servers]
        self._max_viewers = max_viewers
        self._connect_s = connect_s
        self._viewers: dict[str, Viewer] = {}
        self._waiting: deque[RenderedFrame] = deque()
        self._arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = False
        self._own_thread = None if encoders else giving_way(1, "webrtc", ENCODING)
        self._encoders = encoders or self._own_thread

    @property
    def n_viewers(self) -> int:
        """Viewers that watch or are about to."""
        return len(self._viewers)

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._start(self._send())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        await to_its_end(self._leave())

    def publish(self, frame: RenderedFrame) -> None:
        if not any(viewer.is_watching for viewer in self._viewers.values()):
            return
        if len(self._waiting) >= self._max_frames:
            self._waiting.popleft()
        self._waiting.append(frame)
        self._arrived.set()

    def flush(self) -> None:
        self._waiting.clear()
        for viewer in self._viewers.values():
            viewer.sound.flush()

    async def answer(self, offer: str) -> Answer:
        """Let somebody watch who sent this SDP offer.

        Raises:
            OfferRefused: see ``Viewer.answer``.
            NotOnAir: the session has not begun, or has ended.
            TooManyViewers: as many watch as may.
        """
        if not self._is_open:
            raise NotOnAir("the session is not on the air")
        if len(self._viewers) >= self._max_viewers:
            raise TooManyViewers(f"{self._max_viewers} viewers watch this session, as many as may")
        viewer = Viewer(self._ice_servers)
        self._viewers[viewer.id] = viewer
        answered = False
        try:
            sdp = await viewer.answer(offer)
            answered = self._is_open
        finally:
            if not answered:
                self._viewers.pop(viewer.id, None)
                await to_its_end(viewer.hang_up())
        if not answered:
            raise NotOnAir("the session is not on the air")
        self._start(self._attend(viewer))
        return Answer(viewer.id, sdp)

    async def hang_up(self, viewer_id: str) -> bool:
        """End a viewer's connection; False if there is none of that id."""
        viewer = self._viewers.get(viewer_id)
        if viewer:
            await viewer.hang_up()
        return viewer is not None

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _leave(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(viewer.hang_up() for viewer in self._viewers.values()))
        if self._own_thread:
            self._own_thread.shutdown(wait=False)

    async def _attend(self, viewer: Viewer) -> None:
        """Until the viewer is gone, or was not there in time."""
        try:
            async with asyncio.timeout(self._connect_s):
                await viewer.connected.wait()
            log.info("viewer connected", extra={"codec": viewer.codec})
            await viewer.gone.wait()
            log.info("viewer gone")
        except TimeoutError:
            log.info("viewer did not connect")
        finally:
            del self._viewers[viewer.id]
            await to_its_end(viewer.hang_up())

    async def _send(self) -> None:
        """Encodes what arrives and hands it to those who watch."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            watching = [viewer for viewer in self._viewers.values() if viewer.is_watching]
            codecs = {viewer.codec for viewer in watching if viewer.pictures.is_read}
            whole = {viewer.codec for viewer in watching if viewer.pictures.needs_whole}
            try:
                packets = await loop.run_in_executor(
                    self._encoders, self._encoder.encode, self._next_frames(), codecs, whole
                )
            except av.FFmpegError:
                log.exception("live encoding failed; all viewers are sent away")
                await asyncio.gather(*(viewer.hang_up() for viewer in watching))
                continue
            for viewer in watching:
                viewer.sound.send(packets.sound)
                viewer.pictures.send(packets.picture.get(viewer.codec, ()))

    def _next_frames(self) -> list[RenderedFrame]:
        """What to encode next: one frame, or all that wait where they wait for too long."""
        if len(self._waiting) <= self._max_pictures:
            return [self._waiting.popleft()]
        late = list(self._waiting)
        self._waiting.clear()
        return late
