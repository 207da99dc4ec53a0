"""Sample rates raised to the timeline's, as speech streams in: with a millisecond or two of delay, and exactly.

The band-limited interpolation of J. O. Smith, "Digital Audio Resampling": a sinc under a Kaiser window, as a bank of
one filter per position between two input samples. libsoxr, the usual choice, filters by FFT and holds back 20–40 ms of
speech (at 8 kHz 180 ms) that a lip-sync could have had. It remains for rates without a small common ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from avatar.audio import Pcm

HALF_WIDTH = 36
"""Input samples on either side that an output sample depends on: 1.5 ms at 24 kHz."""

BETA = 9.0
"""Of the Kaiser window: images are some 90 dB down."""

ONE = 1 << 24
"""Filters are whole numbers of this fraction, so that sums of their products with int16 are exact in float64,
and thus the same in whatever order and in however large pieces they are added."""

LARGEST_BLOCK = 1000
SMALLEST_BLOCK = 32
"""Input samples that are filtered at a time, by one matrix; rates that need more are left to libsoxr."""

LARGEST_PRODUCT = 200_000
"""Multiplications in one matrix product: with more, OpenBLAS wakes a thread for every core, which costs far more."""


class Resampler(Protocol):
    """Turns one rate into another, in pieces of any size; the result is the same as for the whole at once."""

    def resample(self, pcm: Pcm) -> Pcm:
        """What is certain after this piece."""
        ...

    def end(self) -> Pcm:
        """The rest, as if silence followed. Nothing may come after it."""
        ...


def resampler(from_hz: int, to_hz: int) -> Resampler:
    """The fitting one. Rates are raised, or stay."""
    if from_hz > to_hz:
        raise ValueError(f"{from_hz} Hz cannot be raised to {to_hz} Hz")
    if from_hz == to_hz:
        return _Unchanged()
    if from_hz // math.gcd(from_hz, to_hz) > LARGEST_BLOCK:
        return _Soxr(from_hz, to_hz)
    return _FilterBank(from_hz, to_hz)


class _Unchanged:
    def resample(self, pcm: Pcm) -> Pcm:
        return pcm

    def end(self) -> Pcm:
        return np.zeros(0, np.int16)


class _FilterBank:
    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._bank = _bank(from_hz, to_hz)
        self._ratio = to_hz, from_hz
        self._n_in = 0
        self._n_out = 0
        # The output begins with the input's first sample, so half a filter of silence comes before it.
        self._pending = np.zeros(HALF_WIDTH - 1, np.int16)

    def resample(self, pcm: Pcm) -> Pcm:
        self._n_in += len(pcm)
        out = self._filter(pcm)
        self._n_out += len(out)
        return out

    def end(self) -> Pcm:
        to_hz, from_hz = self._ratio
        n_left = -(-self._n_in * to_hz // from_hz) - self._n_out
        return self._filter(np.zeros(HALF_WIDTH + self._bank.n_in, np.int16))[:n_left]

    def _filter(self, pcm: Pcm) -> Pcm:
        """Every whole block of what waits and what came."""
        bank = self._bank
        samples = np.concatenate([self._pending, pcm])
        n_blocks = max(0, (len(samples) - bank.reach) // bank.n_in + 1)
        self._pending = samples[n_blocks * bank.n_in :]
        if not n_blocks:
            return np.zeros(0, np.int16)
        windows = np.lib.stride_tricks.sliding_window_view(samples, bank.reach)[:: bank.n_in][:n_blocks]
        out = np.empty((n_blocks, bank.filters.shape[1]), np.int16)
        n_rows = max(1, LARGEST_PRODUCT // bank.filters.size)
        for first in range(0, n_blocks, n_rows):
            sums = windows[first : first + n_rows].astype(np.float64) @ bank.filters
            out[first : first + n_rows] = np.rint(sums / ONE).clip(-32768, 32767)
        return out.ravel()


class _Soxr:
    """libsoxr in float32, rounded once: its int16 mode dithers, and its dither depends on the pieces."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, "float32", "HQ")

    def resample(self, pcm: Pcm) -> Pcm:
        return self._rounded(pcm, last=False)

    def end(self) -> Pcm:
        return self._rounded(np.zeros(0, np.int16), last=True)

    def _rounded(self, pcm: Pcm, *, last: bool) -> Pcm:
        samples = self._stream.resample_chunk(pcm.astype(np.float32), last=last)
        return np.asarray(np.rint(samples).clip(-32768, 32767), np.int16)


@dataclass(frozen=True, slots=True)
class _Bank:
    """One matrix that makes a block of output of a window of input.

    Attributes:
        n_in: how far the window moves from block to block.
        reach: samples in a window.
        filters: whole numbers, float64 (reach, output samples in a block).
    """

    n_in: int
    reach: int
    filters: NDArray[np.float64]


@lru_cache(maxsize=16)
def _bank(from_hz: int, to_hz: int) -> _Bank:
    divisor = math.gcd(from_hz, to_hz)
    n_repeats = -(-SMALLEST_BLOCK // (from_hz // divisor))
    n_in, n_out = n_repeats * from_hz // divisor, n_repeats * to_hz // divisor
    reach = n_in + 2 * HALF_WIDTH - 1
    position = np.arange(n_out) * n_in / n_out  # of each output sample, in input samples after the block's first
    distance = np.arange(reach)[:, None] - (HALF_WIDTH - 1) - position
    inside = np.clip(1 - (distance / HALF_WIDTH) ** 2, 0, None)
    window = np.where(inside > 0, np.i0(BETA * np.sqrt(inside)) / np.i0(BETA), 0)
    filters = np.rint(np.sinc(distance) * window * ONE)
    filters.setflags(write=False)
    return _Bank(n_in, reach, filters)
