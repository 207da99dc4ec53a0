"""Encoders for those who watch now: no look-ahead, one thread, a whole picture when asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from avatar.audio import Pcm
from avatar.geometry import Size
from avatar.pictures import Picture
from avatar.timeline import FrameTick, Timeline
from server.publisher import RenderedFrame
from server.publishers.nvenc import nvenc_opens

VideoCodec = Literal["H264", "VP8"]

BITS_PER_PIXEL = 0.25
"""Bound of the bit rate: 1.6 Mbit/s for 512x512 at 25 fps; a talking head on a still background stays far below."""

BURST_S = 0.5
"""For how long more may be sent, as a whole picture always is."""

KEY_INTERVAL_S = 10
"""Seconds between whole pictures where nobody asks for one."""

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
OPUS_BIT_RATE = 64_000
PACKET_MS = (40, 20)
"""Lengths of a packet of sound: as long as a frame where that can be, so that each leaves when its first sample is due,
for players conclude from when packets left which sound belongs to which picture. Else as short as usual."""


class LiveVideoEncoder:
    """Turns I420 pictures into packets at once. Pictures may be left out between two calls.

    H.264 is left to a GPU that can encode it. On the CPU it is quantised evenly, which spares x264 a third of its work:
    to bound its rate it would look at each picture twice. Where that takes too many bits, as with noisy footage, an
    encoder with a bound takes over for good.

    Args:
        setups: in the place of the codec's own.
    """

    def __init__(self, codec: VideoCodec, size: Size, timeline: Timeline, setups: Sequence[Setup] = ()) -> None:
        self._size = size
        self._timeline = timeline
        self._bit_rate = round(BITS_PER_PIXEL * size.width * size.height * timeline.fps)
        self._setups = list(setups or setups_of(codec))
        self._context = self._next_context()
        self._n_over = 0
        """Bits that were made beyond the bound and are not made up for."""
        self._last_sample: int | None = None

    @property
    def name(self) -> str:
        """Of FFmpeg's encoder that is used."""
        return self._context.name

    def encode(self, picture: Picture, tick: FrameTick, *, whole: bool) -> list[av.Packet[Any]]:
        """The packets of one picture, stamped with the tick's first sample.

        Args:
            whole: make it a key frame, from which one can begin to watch.
        """
        frame = av.VideoFrame.from_numpy_buffer(picture, "yuv420p")
        frame.pts, frame.time_base, frame.duration = tick.first_sample, self._context.time_base, tick.n_samples
        frame.pict_type = PictureType.I if whole else PictureType.NONE
        packets = self._context.encode(frame)
        if self._setups and self._is_too_much(packets, tick):
            self._context = self._next_context()
        return packets

    def _is_too_much(self, packets: Sequence[av.Packet[Any]], tick: FrameTick) -> bool:
        n_samples = tick.first_sample - (tick.first_sample if self._last_sample is None else self._last_sample)
        self._last_sample = tick.first_sample
        n_allowed = self._bit_rate * n_samples // self._timeline.sample_rate
        self._n_over = max(0, self._n_over - n_allowed) + 8 * sum(packet.size for packet in packets)
        return self._n_over > BURST_S * self._bit_rate

    def _next_context(self) -> VideoCodecContext:
        """The next that opens: all that a GPU can encode at once may be in use."""
        while True:
            setup = self._setups.pop(0)
            try:
                context = setup.make(self._bit_rate)
                context.width, context.height = self._size.width, self._size.height
                context.pix_fmt = "yuv420p"
                context.framerate = self._timeline.fps
                context.time_base = Fraction(1, self._timeline.sample_rate)
                context.gop_size = round(KEY_INTERVAL_S * self._timeline.fps)
                context.thread_count = 1
                context.open()
            except (av.FFmpegError, ValueError):  # ValueError: PyAV was built without it
                if not self._setups:
                    raise
            else:
                self._setups = [] if setup.keeps_bound else self._setups
                return context


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to encode.

    Attributes:
        make: sets an encoder up, given its highest bit rate.
        keeps_bound: whether it keeps to that; if it does not, what comes next takes over when it must.
    """

    make: Callable[[int], VideoCodecContext]
    keeps_bound: bool = True


def _nvenc_h264(bit_rate: int) -> VideoCodecContext:
    context = av.CodecContext.create("h264_nvenc", "w")
    context.bit_rate = 0  # as many as the quality takes, up to the bound
    context.max_b_frames = 0
    context.options = {
        "preset": "p4",
        "tune": "ull",
        "profile": "baseline",
        "zerolatency": "1",
        "delay": "0",
        "forced-idr": "1",
        "rc": "vbr",
        "cq": "23",
        "maxrate": str(bit_rate),
        "bufsize": str(round(BURST_S * bit_rate)),
    }
    return context


def _h264(rate: Mapping[str, str]) -> VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    context.profile = "Baseline"
    context.options = {"preset": "superfast", "tune": "zerolatency", "forced-idr": "1", "aq-mode": "none", **rate}
    return context


def _even_h264(bit_rate: int) -> VideoCodecContext:
    return _h264({"qp": "23", "sc_threshold": "0"})


def _bounded_h264(bit_rate: int) -> VideoCodecContext:
    return _h264({"crf": "24", "maxrate": str(bit_rate), "bufsize": str(round(BURST_S * bit_rate))})


def _vp8(bit_rate: int) -> VideoCodecContext:
    context = av.CodecContext.create("libvpx", "w")
    context.bit_rate = bit_rate
    context.qmin, context.qmax = 4, 50
    context.options = {
        "deadline": "realtime",
        "cpu-used": "-8",
        "lag-in-frames": "0",
        "static-thresh": "1",
        "maxrate": str(bit_rate),
        "bufsize": str(bit_rate),
    }
    return context


X264 = (Setup(_even_h264, keeps_bound=False), Setup(_bounded_h264))
NVENC = (Setup(_nvenc_h264),)
SETUPS: Mapping[VideoCodec, Sequence[Setup]] = {"H264": X264, "VP8": (Setup(_vp8),)}
"""How each codec is set up on the CPU: the first that opens, and what follows where it takes too many bits."""


def setups_of(codec: VideoCodec) -> Sequence[Setup]:
    """How a codec is set up here, the best way first."""
    return (*NVENC, *SETUPS[codec]) if codec == "H264" and nvenc_opens() else SETUPS[codec]


class LiveSoundEncoder:
    """Cuts sound into Opus packets, each stamped with the sample that it begins with.

    The stamps allow for the codec's own delay: what is decoded at a stamp is what was said there.

    Args:
        first_sample: where the sound begins.
        packet_ms: length of a packet, one of ``PACKET_MS``.
    """

    def __init__(self, sample_rate: int, first_sample: int, packet_ms: int) -> None:
        if sample_rate not in OPUS_RATES:
            raise ValueError(f"Opus encodes {', '.join(map(str, OPUS_RATES))} Hz, not {sample_rate} Hz")
        context = av.CodecContext.create("libopus", "w")
        context.format = av.AudioFormat("s16")
        context.layout = av.AudioLayout("mono")
        context.sample_rate = sample_rate
        context.time_base = Fraction(1, sample_rate)
        context.bit_rate = OPUS_BIT_RATE
        context.options = {"application": "audio", "frame_duration": str(packet_ms), "compression_level": "5"}
        self._context = context
        self._n_packet = sample_rate * packet_ms // 1000
        self._waiting = np.zeros(0, np.int16)
        self._next_sample = first_sample

    @property
    def end(self) -> int:
        """The first sample that it was not given yet."""
        return self._next_sample + len(self._waiting)

    def encode(self, sound: Pcm) -> list[av.Packet[Any]]:
        """The packets that are complete with ``sound``, int16 (n,), which follows what was given before."""
        self._waiting = np.concatenate([self._waiting, sound])
        packets = []
        while len(self._waiting) >= self._n_packet:
            frame = av.AudioFrame.from_ndarray(self._waiting[None, : self._n_packet], "s16", "mono")
            frame.sample_rate, frame.time_base = self._context.sample_rate, self._context.time_base
            frame.pts = self._next_sample
            packets += self._context.encode(frame)
            self._waiting = self._waiting[self._n_packet :]
            self._next_sample += self._n_packet
        return packets


@dataclass(frozen=True, slots=True)
class LivePackets:
    """A picture for each codec, and the packets that its sound completed."""

    picture: Mapping[VideoCodec, list[av.Packet[Any]]]
    sound: list[av.Packet[Any]]


class LiveEncoder:
    """Encodes a session's frames once for all who watch it, in the codecs that are in use. For one thread."""

    def __init__(self, size: Size, timeline: Timeline) -> None:
        self._size = size
        self._timeline = timeline
        self._pictures: dict[VideoCodec, LiveVideoEncoder] = {}
        self._packet_ms = next((ms for ms in PACKET_MS if ms * timeline.fps == 1000), PACKET_MS[-1])
        self._sound = self._sound_from(0)

    def encode(
        self, frames: Sequence[RenderedFrame], codecs: Collection[VideoCodec], whole: Collection[VideoCodec]
    ) -> LivePackets:
        """Encode the sound of all frames, and the picture of the last.

        Between two calls frames may be missing: whoever watches sees the same picture longer.

        Args:
            frames: one, or several where there was no time for each picture.
            codecs: those in use; the encoders of others are given up.
            whole: those in which somebody needs a whole picture.
        """
        last = frames[-1]
        self._pictures = {codec: encoder for codec, encoder in self._pictures.items() if codec in codecs}
        pictures: dict[VideoCodec, list[av.Packet[Any]]] = {}
        for codec in codecs:
            if codec not in self._pictures:
                self._pictures[codec] = LiveVideoEncoder(codec, self._size, self._timeline)
            pictures[codec] = self._pictures[codec].encode(last.picture, last.tick, whole=codec in whole)
        sound: list[av.Packet[Any]] = []
        for frame in frames:
            if self._sound.end != frame.tick.first_sample:
                self._sound = self._sound_from(frame.tick.first_sample)
            sound += self._sound.encode(frame.sound)
        return LivePackets(pictures, sound)

    def _sound_from(self, sample: int) -> LiveSoundEncoder:
        return LiveSoundEncoder(self._timeline.sample_rate, sample, self._packet_ms)
