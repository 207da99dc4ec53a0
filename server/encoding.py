"""An MP4 file that is written while it is played: H.264 and AAC on the session's timeline."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from avatar.audio import Pcm
from avatar.errors import AvatarError
from avatar.geometry import Size
from avatar.pictures import Picture, size_of
from avatar.timeline import FrameTick, Timeline

MOV_FLAGS = "hybrid_fragmented+frag_keyframe+delay_moov"
"""Fragments while the file grows, so that what a killed process leaves can be played; an ordinary MP4 once closed.
The index waits for the first fragment: only then does it know the encoders' delays, and both tracks begin at 0."""

N_AAC_SAMPLES = 1024
"""Samples in one AAC frame."""

BT601_MATRIX = 6
"""Matrix coefficients of ITU-R BT.601 as H.264 (table E-5) counts them; PyAV's names are the scaler's, which differ."""

KEY_INTERVAL_S = 2
"""Seconds between pictures that stand alone; also how much of the end a killed process loses."""


class Mp4Writer:
    """Writes one MP4 file: H.264 (BT.601, limited range) and AAC, mono. A context manager for one thread; it blocks.

    Both tracks count the timeline's samples, from the first tick that is written, so nothing drifts.

    Args:
        crf: x264's constant quality: lower is better and larger; 18 is hardly told from the original.
        preset: x264's speed; "superfast" takes 2 to 3 ms of one core for a 512x512 picture of a talking head.
        sound_bit_rate: bits per second.
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        timeline: Timeline,
        *,
        crf: int = 20,
        preset: str = "superfast",
        sound_bit_rate: int = 128_000,
    ) -> None:
        self._path = path
        self._size = size
        self._timeline = timeline
        self._time_base = Fraction(1, timeline.sample_rate)
        self._crf = crf
        self._preset = preset
        self._sound_bit_rate = sound_bit_rate
        self._origin = 0
        self._next_sample: int | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = av.open(str(self._path), "w", format="mp4", options={"movflags": MOV_FLAGS, "flush_packets": "1"})

        self._video = self._file.add_stream("libx264", rate=self._timeline.fps)
        self._video.width, self._video.height = self._size.width, self._size.height
        self._video.pix_fmt = "yuv420p"
        self._video.options = {"preset": self._preset, "crf": str(self._crf)}
        codec = self._video.codec_context
        codec.time_base = self._time_base
        codec.thread_count = 1
        codec.gop_size = round(KEY_INTERVAL_S * self._timeline.fps)
        codec.colorspace = BT601_MATRIX
        codec.color_range = ColorRange.MPEG
        codec.color_primaries = ColorPrimaries.SMPTE170M
        codec.color_trc = ColorTrc.SMPTE170M

        rate = self._timeline.sample_rate
        self._audio = self._file.add_stream("aac", rate=rate, layout="mono")
        self._audio.bit_rate = self._sound_bit_rate
        self._audio.options = {"aac_coder": "fast"}  # half the work of the usual one, and no worse at this rate
        self._cutter = av.AudioResampler("fltp", "mono", rate, frame_size=N_AAC_SAMPLES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if self._next_sample is not None:
                self._file.mux(self._video.encode(None))
                for cut in self._cutter.resample(None):
                    # AAC would fill up what is left to 21 ms: where it is silent, leaving it out is nearer the truth.
                    if cut.to_ndarray().any():
                        self._file.mux(self._audio.encode(cut))
                self._file.mux(self._audio.encode(None))

    def write(self, picture: Picture, tick: FrameTick, sound: Pcm) -> None:
        """Append one frame; ticks follow one another without a gap.

        Args:
            picture: I420, uint8 (height * 3 / 2, width).
            sound: int16 (tick.n_samples,).

        Raises:
            AvatarError: if the picture, the sound or the tick does not fit the file.
        """
        if size_of(picture) != self._size:
            raise AvatarError(f"a picture is {size_of(picture)} but its recording is {self._size}")
        if len(sound) != tick.n_samples:
            raise AvatarError(f"frame {tick.index} has {len(sound)} samples but owns {tick.n_samples}")
        if self._next_sample is None:
            self._origin = tick.first_sample
        elif tick.first_sample != self._next_sample:
            raise AvatarError(f"frame {tick.index} begins at sample {tick.first_sample}, not at {self._next_sample}")
        self._next_sample = tick.first_sample + tick.n_samples

        shown = av.VideoFrame.from_numpy_buffer(picture, "yuv420p")
        shown.pts, shown.time_base, shown.duration = tick.first_sample - self._origin, self._time_base, tick.n_samples
        self._file.mux(self._video.encode(shown))

        heard = av.AudioFrame.from_ndarray(sound[None], "s16", "mono")
        heard.pts, heard.time_base = tick.first_sample - self._origin, self._time_base
        heard.sample_rate = self._timeline.sample_rate
        for cut in self._cutter.resample(heard):
            self._file.mux(self._audio.encode(cut))
