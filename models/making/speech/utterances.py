"""One spoken sentence with the times of its phones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Of all training speech, in hertz."""

PAUSE = "pau"
"""The name under which every synthesiser reports silence."""


@dataclass(frozen=True)
class Phone:
    """A speech sound between two times, in seconds from the utterance's start."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Utterance:
    """Speech, int16 (n,) at ``SAMPLE_RATE``, and its phones in order, without overlap."""

    pcm: NDArray[np.int16]
    phones: tuple[Phone, ...]

    @property
    def seconds(self) -> float:
        return len(self.pcm) / SAMPLE_RATE


def phones_from_ends(ends: list[tuple[str, float]], seconds: float, shift_s: float = 0.0) -> tuple[Phone, ...]:
    """Phones of (name, end in seconds) pairs, moved by ``shift_s`` and cut to an utterance of ``seconds``."""
    edges = [0.0, *(float(np.clip(end + shift_s, 0.0, seconds)) for _, end in ends)]
    if edges[-1] < seconds:
        ends = [*ends, (PAUSE, seconds)]
        edges.append(seconds)
    return tuple(
        Phone(name, start, end) for (name, _), (start, end) in zip(ends, pairwise(edges), strict=True) if end > start
    )


def at_sample_rate(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.int16]:
    """Samples (n,) in −1…1 at ``sample_rate``, resampled to ``SAMPLE_RATE`` and made int16."""
    import soxr

    if sample_rate != SAMPLE_RATE:
        samples = soxr.resample(samples, sample_rate, SAMPLE_RATE)
    return np.asarray(np.clip(np.round(samples * 32767), -32768, 32767), np.int16)
