"""Our own encoder for a channel: at the bit rate that the network allows, with whole pictures when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

KEY_INTERVAL_S = 10
"""Seconds between whole pictures that nobody asked for."""

LEAST_BIT_S = 100_000
DOWN, UP = 0.9, 1.25
"""A new target is followed when it is below or above the present one by these factors."""

UP_AFTER_MS = 5000
"""Going up costs a whole picture, too, and can wait: the network may take it back."""


class NoEncoder(Exception):
    """This machine has no encoder for a codec."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One picture. H.264 is Annex B, with parameter sets before every whole picture."""

    data: bytes
    whole: bool


def _x264(bit_s: int) -> dict[str, str]:
    return {"preset": "superfast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"} | _bounded(bit_s)


def _nvenc(bit_s: int) -> dict[str, str]:
    return {"preset": "p4", "tune": "ull", "zerolatency": "1", "delay": "0", "forced-idr": "1", "rc": "cbr"} | _bounded(
        bit_s
    )


def _vpx(bit_s: int) -> dict[str, str]:
    speed = {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0"}
    return speed | _bounded(bit_s) | {"minrate": str(bit_s), "undershoot-pct": "50", "overshoot-pct": "50"}


def _bounded(bit_s: int) -> dict[str, str]:
    """A buffer of half a second, so that no picture is much larger than the network takes."""
    return {"maxrate": str(bit_s), "bufsize": str(bit_s // 2)}


ENCODERS: Mapping[str, Sequence[tuple[str, Callable[[int], dict[str, str]]]]] = {
    "H264": (("h264_nvenc", _nvenc), ("libx264", _x264)),
    "VP8": (("libvpx", _vpx),),
    "AV1": (("av1_nvenc", _nvenc),),
}
"""FFmpeg's encoders for each codec, best first: the first that opens is used. AV1 takes a GPU to be done in time."""


_missing: dict[str, str] = {}
"""Why an encoder does not open in this process: to try one again would take half a second, with each new rate."""


class PictureEncoder:
    """Encodes I420 pictures one by one, each into one packet.

    FFmpeg cannot change the rate of an open encoder, so a new rate takes a new encoder, which begins with a whole
    picture: small changes of the target are not followed.

    Raises:
        NoEncoder: none of the codec's encoders opens here.
    """

    def __init__(self, codec: str, width: int, height: int, fps: Fraction, bit_s: int) -> None:
        self._codec = codec
        self._width, self._height, self._fps = width, height, fps
        self._most_bit_s = self.bit_s = bit_s
        self._changed_ms = 0
        self.name, self._context = self._open()

    def aim(self, bit_s: int, now_ms: int) -> None:
        """Follows what the network allows, up to the rate that the picture is worth."""
        wanted = max(LEAST_BIT_S, min(bit_s, self._most_bit_s))
        up = wanted > UP * self.bit_s or wanted == self._most_bit_s > self.bit_s
        if wanted < DOWN * self.bit_s or (up and now_ms - self._changed_ms >= UP_AFTER_MS):
            self.bit_s, self._changed_ms = wanted, now_ms
            self.name, self._context = self._open()

    def encode(self, picture: memoryview, ms: int, *, whole: bool) -> list[Encoded]:
        """The picture's packet, as a list that is empty where the encoder left the picture out.

        Args:
            picture: I420, as bytes.
            ms: its time; must grow.
            whole: make it one from which one can begin to watch.
        """
        i420 = np.frombuffer(picture, np.uint8).reshape(self._height * 3 // 2, self._width)
        frame = av.VideoFrame.from_numpy_buffer(i420, "yuv420p")
        frame.pts, frame.time_base = ms, self._context.time_base
        frame.pict_type = PictureType.I if whole else PictureType.NONE
        return [Encoded(bytes(packet), packet.is_keyframe) for packet in self._context.encode(frame)]

    def _open(self) -> tuple[str, VideoCodecContext]:
        for name, options in ENCODERS[self._codec]:
            if name in _missing:
                continue
            try:
                context = av.CodecContext.create(name, "w")
                assert isinstance(context, VideoCodecContext)  # noqa: S101 - the names are of video encoders
                context.width, context.height = self._width, self._height
                context.pix_fmt = "yuv420p"
                context.framerate, context.time_base = self._fps, Fraction(1, 1000)
                context.gop_size = round(KEY_INTERVAL_S * self._fps)
                context.max_b_frames = 0
                context.thread_count = 1
                context.bit_rate = self.bit_s
                context.options = options(self.bit_s)
                context.open()
            except (av.FFmpegError, ValueError) as error:  # ValueError: PyAV was built without it
                _missing[name] = str(error)
            else:
                return name, context
        failures = "; ".join(f"{name}: {_missing[name]}" for name, _ in ENCODERS[self._codec])
        raise NoEncoder(f"no encoder for {self._codec} opens here ({failures})")
