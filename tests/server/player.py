"""A WHEP player, and what it needs: a server on a free port, and a show that is on the air."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import av
import httpx
import numpy as np
import uvicorn
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray
from starlette.types import ASGIApp

from avatar.geometry import Size
from server.publisher import Publisher
from tests.server.show import Show, number_on


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """A true server on a port of its own; the URL under which it is found."""
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="warning", ws="none"))
    task = asyncio.create_task(server.serve())
    await becomes(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def becomes(true: Callable[[], bool]) -> None:
    """Waits for something that tells nobody when it happens."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def on_air(publisher: Publisher, show: Show) -> AsyncIterator[None]:
    """Publishes the show in real time, as a session does, while the block runs."""

    async def play() -> None:
        loop, index = asyncio.get_running_loop(), 0
        start = loop.time()
        while True:
            publisher.publish(show.frame(index))
            index += 1
            await asyncio.sleep(max(0, start + show.timeline.start_ns(index) / 1e9 - loop.time()))

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass
class Player:
    """Watches one session.

    Attributes:
        endpoint: the WHEP URL.
        codecs: video codecs to offer, such as "VP8"; all when empty.
        kinds: what to ask for.
        numbers: what ``show.numbered`` wrote on each picture that came.
        whole: which of these were key frames (H.264; VP8's decoder does not tell).
        sizes: of the pictures that came, without repetition.
        sound: int16 (n,), what was heard so far, at 48 kHz.
    """

    endpoint: str
    headers: dict[str, str] = field(default_factory=dict)
    codecs: Sequence[str] = ()
    kinds: Sequence[str] = ("video", "audio")
    numbers: list[int] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    sizes: set[Size] = field(default_factory=set)
    answer: str = ""
    location: str = ""

    def __post_init__(self) -> None:
        self._heard: list[NDArray[np.int16]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Condition()
        self.ended = asyncio.Event()
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.on("track", self._on_track)

    @property
    def sound(self) -> NDArray[np.int16]:
        return np.concatenate(self._heard) if self._heard else np.zeros(0, np.int16)

    async def offer(self) -> str:
        for kind in self.kinds:
            transceiver = self.connection.addTransceiver(kind, "recvonly")
            if kind == "video" and self.codecs:
                have = RTCRtpSender.getCapabilities("video").codecs
                transceiver.setCodecPreferences([codec for codec in have if codec.mimeType[6:] in self.codecs])
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def __aenter__(self) -> Self:
        try:
            async with httpx.AsyncClient() as http:
                headers = {"Content-Type": "application/sdp", **self.headers}
                response = await http.post(self.endpoint, content=await self.offer(), headers=headers)
            response.raise_for_status()
            self.answer = response.text
            self.location = str(response.url.join(response.headers["location"]))
            await self.connection.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        except BaseException:
            await self.connection.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, n_pictures: int = 0, n_samples: int = 0) -> None:
        """Waits until so much was seen and heard in all."""

        def enough() -> bool:
            return len(self.numbers) >= n_pictures and sum(map(len, self._heard)) >= n_samples

        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(enough)

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._take(track)))

    async def _take(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, av.VideoFrame):
                    self.numbers.append(number_on(np.asarray(frame.to_ndarray()[: frame.height], np.uint8)))
                    self.sizes.add(Size(frame.width, frame.height))
                    self.whole.append(bool(frame.key_frame))
                elif isinstance(frame, av.AudioFrame):
                    self._heard.append(np.asarray(frame.to_ndarray()[0, :: len(frame.layout.channels)], np.int16))
                async with self._news:
                    self._news.notify_all()
        except MediaStreamError:
            self.ended.set()
