"""Where measured sessions publish to, by name: nowhere, or as ``avatar serve`` publishes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import av
import psutil

from avatar.geometry import Size
from avatar.timeline import Timeline
from models.loading import n_cores
from models.threads import encoder_threads
from server.bench.viewers import ViewersProcess
from server.errors import SettingsError
from server.publisher import Publisher, RenderedFrame
from server.publishers import factory
from server.publishers.nvenc import nvenc_opens
from server.publishers.recorder import Recorder
from server.publishers.viewer import PictureTrack, SoundTrack, Viewer
from server.publishers.webrtc import WebRtcPublisher

ON_AIR_WITHIN_S = 10.0


class Audience(Protocol):
    """Entered before the first session, left after the last.

    Attributes:
        encoded_ms: from when a frame was published until its picture was encoded, where that is known.
    """

    encoded_ms: list[float]

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def publishers(self, session_id: str, size: Size, timeline: Timeline) -> Sequence[Publisher]:
        """What a session publishes to."""
        ...

    async def come(self) -> None:
        """All sessions are on the air; returns when everybody watches who is to."""
        ...

    @property
    def encoders(self) -> Sequence[psutil.Process]:
        """Processes that encode for the sessions."""
        ...

    async def used_s(self) -> float | None:
        """CPU-seconds that those who watch have used, in processes of their own; None if there are none."""
        ...


class _Alone:
    """No audience."""

    def __init__(self) -> None:
        self.encoded_ms: list[float] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def publishers(self, session_id: str, size: Size, timeline: Timeline) -> Sequence[Publisher]:
        """Nothing: pictures are drawn, and thrown away as they are."""
        return []

    async def come(self) -> None:
        pass

    @property
    def encoders(self) -> Sequence[psutil.Process]:
        return []

    async def used_s(self) -> float | None:
        return None


class _Encoded(_Alone):
    """Sessions share encoders as in ``avatar serve``."""

    def __init__(self, cores: float) -> None:
        super().__init__()
        self._encoders = encoder_threads(cores)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(nvenc_opens)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._encoders.shutdown, cancel_futures=True)


class _Discarded(_Encoded):
    """As with ``webrtc``, H.264 and Opus are encoded live; the packets are thrown away."""

    def publishers(self, session_id: str, size: Size, timeline: Timeline) -> Sequence[Publisher]:
        return [DiscardingPublisher(size, timeline, self._encoders, self.encoded_ms.append)]


class _Recorded(_Alone):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._recorder = Recorder()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._recorder.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._recorder.__exit__, kind, error, trace)

    def publishers(self, session_id: str, size: Size, timeline: Timeline) -> Sequence[Publisher]:
        return [factory.recording(session_id, size, timeline, self._folder, self._recorder)]

    @property
    def encoders(self) -> Sequence[psutil.Process]:
        return [psutil.Process(self._recorder.pid)]


class _Watched(_Encoded):
    """Each session is watched over a true WebRTC connection, by a viewer in another process who decodes it."""

    def __init__(self, cores: float) -> None:
        super().__init__(cores)
        self._publishers: list[WebRtcPublisher] = []
        self._viewers = ViewersProcess()

    async def __aenter__(self) -> Self:
        await self._viewers.__aenter__()
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._viewers.__aexit__(kind, error, trace)
        await super().__aexit__(kind, error, trace)

    def publishers(self, session_id: str, size: Size, timeline: Timeline) -> Sequence[Publisher]:
        self._publishers.append(WebRtcPublisher(size, timeline, encoders=self._encoders))
        return self._publishers[-1:]

    async def come(self) -> None:
        for publisher in self._publishers:
            answer = await publisher.answer(await self._viewers.offer())
            await self._viewers.accept(answer.sdp)
        await self._viewers.all_see()

    async def used_s(self) -> float | None:
        return self._viewers.used_s()


class DiscardingPublisher(WebRtcPublisher):
    """A WebRTC publisher that is watched by nobody, but works as if it were: it encodes for its life.

    Args:
        note: is told for each picture how many milliseconds after it was published it had been encoded.
    """

    def __init__(
        self,
        size: Size,
        timeline: Timeline,
        encoders: Executor | None = None,
        note: Callable[[float], None] = lambda ms: None,
    ) -> None:
        super().__init__(size, timeline, encoders=encoders)
        self._note = note
        self._published_at: dict[int, float] = {}

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._viewers["nobody"] = _Nobody(self._encoded)
        return self

    def publish(self, frame: RenderedFrame) -> None:
        self._published_at[frame.tick.first_sample] = time.monotonic()
        super().publish(frame)

    def _encoded(self, first_sample: int) -> None:
        self._note(1000 * (time.monotonic() - self._published_at[first_sample]))
        self._published_at = {sample: at for sample, at in self._published_at.items() if sample > first_sample}


class _Nobody(Viewer):
    """A viewer without a connection, who takes every packet at once."""

    def __init__(self, took: Callable[[int], None]) -> None:
        self.id = "nobody"
        self.codec = "H264"
        self.pictures, self.sound = _TakenPictures(took), _TakenSound()
        self.gone = asyncio.Event()

    async def hang_up(self) -> None:
        self.gone.set()


class _TakenPictures(PictureTrack):
    def __init__(self, took: Callable[[int], None]) -> None:
        super().__init__()
        self.is_read = True
        self._took = took

    def _put(self, packet: av.Packet[Any]) -> None:
        if packet.pts is not None:
            self._took(packet.pts)


class _TakenSound(SoundTrack):
    def __init__(self) -> None:
        super().__init__()
        self.is_read = True

    def _put(self, packet: object) -> None:
        pass


AUDIENCES: Mapping[str, Callable[[Path, float], Audience]] = {
    "none": lambda folder, cores: _Alone(),
    "null": lambda folder, cores: _Discarded(cores),
    "recording": lambda folder, cores: _Recorded(folder),
    "webrtc": lambda folder, cores: _Watched(cores),
}
"""By name, given a folder for files and how many cores there are."""


def audience_of(name: str, folder: Path, cores: float | None = None) -> Audience:
    """Raises SettingsError: there is none of this name."""
    check_audience(name)
    return AUDIENCES[name](folder, n_cores() if cores is None else cores)


def check_audience(name: str) -> None:
    """Raises SettingsError: there is none of this name."""
    if name not in AUDIENCES:
        raise SettingsError(f"--publisher is '{name}', but must be one of {', '.join(AUDIENCES)}")
