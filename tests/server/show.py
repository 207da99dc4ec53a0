"""Frames to publish whose pictures and sound can be told apart after any codec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.audio import Pcm
from avatar.geometry import Size
from avatar.pictures import Picture, planes
from avatar.timeline import Timeline
from server.publisher import RenderedFrame

N_BITS = 16


@dataclass(frozen=True, slots=True)
class Show:
    """Numbered pictures with the sound of a voice that never repeats."""

    size: Size = Size(128, 96)
    timeline: Timeline = Timeline(Fraction(25), 24000)

    def frame(self, index: int, turn: int = 0) -> RenderedFrame:
        tick = self.timeline.tick(index)
        return RenderedFrame(tick, turn, numbered(self.size, index), self.sound(index))

    def frames(self, n: int, first: int = 0) -> Iterator[RenderedFrame]:
        return (self.frame(first + i) for i in range(n))

    def sound(self, index: int) -> Pcm:
        """Low noise, different for every frame, int16 (n_samples,)."""
        tick = self.timeline.tick(index)
        rough = np.random.default_rng(index).standard_normal(tick.n_samples + 8)
        return np.asarray(np.convolve(rough, np.hanning(9) / 4.5, "valid") * 6000, np.int16)

    def sound_of(self, n: int, first: int = 0) -> Pcm:
        return np.concatenate([self.sound(first + i) for i in range(n)])


def numbered(size: Size, number: int) -> Picture:
    """A gradient with ``number`` written below it in black and white fields, one per bit; read-only."""
    picture = np.full((size.height * 3 // 2, size.width), 128, np.uint8)
    y, u, v = planes(picture)
    y[:] = np.linspace(40, 200, size.width, dtype=np.uint8)
    u[:], v[:] = 110, 150
    for bit, columns in enumerate(np.array_split(np.arange(size.width), N_BITS)):
        y[size.height // 2 :, columns] = 210 if number >> bit & 1 else 40
    picture.setflags(write=False)
    return picture


def number_on(luma: NDArray[np.uint8]) -> int:
    """The number that ``numbered`` wrote, from a decoded luma plane (height, width)."""
    fields = np.array_split(luma[luma.shape[0] // 2 :], N_BITS, axis=1)
    return sum(1 << bit for bit, field in enumerate(fields) if field.mean() > 125)


@dataclass(frozen=True, slots=True)
class Watched:
    """What a player makes of a file.

    Attributes:
        pictures: RGB, uint8 (n, height, width, 3).
        times: when each picture is shown, seconds.
        sound: float32 (n_samples,), full scale 1, beginning at 0 seconds.
    """

    pictures: list[NDArray[np.uint8]]
    numbers: list[int]
    times: list[Fraction]
    sound: NDArray[np.float32]
    sample_rate: int
    duration_s: float


def watch(path: Path) -> Watched:
    """Decodes an MP4."""
    pictures: list[NDArray[np.uint8]] = []
    numbers: list[int] = []
    times: list[Fraction] = []
    sound: list[NDArray[np.float32]] = []
    with av.open(str(path)) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        for frame in file.decode(video, audio):
            assert isinstance(frame, av.VideoFrame | av.AudioFrame)
            assert frame.pts is not None
            assert frame.time_base is not None
            if isinstance(frame, av.VideoFrame):
                i420 = np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)
                pictures.append(np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420), np.uint8))
                numbers.append(number_on(i420[: frame.height]))
                times.append(frame.pts * frame.time_base)
            else:
                if not sound:
                    assert frame.pts == 0
                sound.append(np.asarray(frame.to_ndarray()[0], np.float32))
        assert file.duration is not None
        return Watched(
            pictures, numbers, times, np.concatenate(sound), audio.codec_context.sample_rate, file.duration / 1e6
        )


def delay(heard: NDArray[np.float32], spoken: Pcm, within: int) -> tuple[int, float]:
    """By how many samples ``heard`` comes after ``spoken``, and how well the two correlate there (-1 to 1).

    Judged by the part of ``spoken`` between ``within`` samples from its start and two seconds later.
    """
    said = spoken[within : within + 48_000].astype(np.float64)
    there = heard[: len(said) + 2 * within].astype(np.float64)
    said = said[: len(there) - 2 * within]
    n = 1 << (len(there) + len(said)).bit_length()
    products = np.fft.irfft(np.fft.rfft(there, n) * np.conj(np.fft.rfft(said, n)), n)[: 2 * within + 1]
    energy = np.concatenate([[0], np.cumsum(there**2)])
    loudness = np.sqrt((energy[len(said) :] - energy[: -len(said)])[: 2 * within + 1] * (said @ said))
    correlations = products / np.maximum(loudness, 1e-9)
    best = int(np.argmax(correlations))
    return best - within, float(correlations[best])
