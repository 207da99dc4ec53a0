"""Log-mel features of speech, defined in seconds and hertz, so that they are the same at any sample rate.

Frame ``i`` (from 0) describes the 25 ms of sound that end at sample ``(i + 1) * hop``: it is final once that sample's
predecessor has arrived, and nothing later touches it. Before the first sample there is silence.

25 ms Hann window, 10 ms hop, a Fourier transform of 32 ms (bins 31.25 Hz apart) of the windowed sound, power divided
by the window's squared sum (so that a tone has the same level at every rate), 80 triangular bands between 60 and
7600 Hz, equally wide on the mel scale ``2595 log10(1 + f / 700)`` but never narrower than the bins' spacing, natural
logarithm, and fixed constants that bring speech to about zero mean and unit variance.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

HOP_MS = 10
WINDOW_MS = 25
N_MELS = 80
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0

_BIN_HZ = 31.25
_FLOOR = 1e-10
"""Power below which all is silence (−100 dB; a full-scale sine has ¼)."""
_MEAN, _DEVIATION = -14.0, 4.0
"""Of ln(power) over the corpus of the speech encoder, rounded."""

SILENCE = (float(np.log(_FLOOR)) - _MEAN) / _DEVIATION
"""The value of every band in digital silence."""


class LogMel:
    """Log-mel frames of a stream of sound at ``sample_rate`` (16, 24, 32, 48 kHz …; in hertz)."""

    def __init__(self, sample_rate: int) -> None:
        if sample_rate < 16_000 or sample_rate % 1000:
            raise ValueError(f"log-mel needs a sample rate of 16000 Hz or more in whole kilohertz, not {sample_rate}")
        self.sample_rate = sample_rate
        self.hop = sample_rate * HOP_MS // 1000
        self._n_window = sample_rate * WINDOW_MS // 1000
        self._n_fft = round(sample_rate / _BIN_HZ)
        self._window = _window(self._n_window)
        self._bands = _mel_bands()
        self._kept = np.zeros(self._n_window - self.hop, np.float32)

    def push(self, samples: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples (n,), int16 or float32 in −1…1; return the frames (k, 80) that they complete."""
        if samples.ndim != 1:
            raise ValueError(f"log-mel takes mono samples (n,), not an array of shape {samples.shape}")
        if samples.dtype == np.int16:
            sound = samples.astype(np.float32) / np.float32(32768)
        else:
            sound = np.asarray(samples, np.float32)
        sound = np.concatenate([self._kept, sound])
        n_frames = max(0, (len(sound) - (self._n_window - self.hop)) // self.hop)
        self._kept = sound[n_frames * self.hop :].copy()
        if n_frames == 0:
            return np.empty((0, N_MELS), np.float32)
        frames = np.empty((n_frames, self._n_window), np.float32)
        for index in range(n_frames):
            start = index * self.hop
            np.multiply(sound[start : start + self._n_window], self._window, out=frames[index])
        spectrum = np.fft.rfft(frames, self._n_fft)[:, : len(self._bands)]
        power = spectrum.real**2 + spectrum.imag**2
        level = np.asarray(power @ self._bands, np.float32)
        level += _FLOOR
        np.log(level, out=level)
        level -= _MEAN
        level /= _DEVIATION
        return level

    def reset(self) -> None:
        """Forget what was heard: silence comes before the next sample."""
        self._kept = np.zeros(self._n_window - self.hop, np.float32)


def log_mel(samples: NDArray[np.int16] | NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Frames (len(samples) // hop, 80) of a whole recording (n,)."""
    return LogMel(sample_rate).push(samples)


@cache
def _window(n: int) -> NDArray[np.float32]:
    """Hann's, of ``n`` samples that add up to 1; read-only, for it is the same one for all who hear."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n)
    return _read_only(window / window.sum())


@cache
def _mel_bands() -> NDArray[np.float32]:
    """Weights (n_bins, 80) of the bins from 0 Hz up in each band; each band's weights add up to 1; read-only."""
    lowest, highest = 2595 * np.log10(1 + LOWEST_HZ / 700), 2595 * np.log10(1 + HIGHEST_HZ / 700)
    edges_hz = 700 * (10 ** (np.linspace(lowest, highest, N_MELS + 2) / 2595) - 1)
    bins_hz = np.arange(0, HIGHEST_HZ + 2 * _BIN_HZ, _BIN_HZ)[:, None]
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz - centre) / np.maximum(centre - low, _BIN_HZ)
    falling = (bins_hz - centre) / np.maximum(high - centre, _BIN_HZ)
    weights = np.clip(1 - np.where(bins_hz < centre, -rising, falling), 0, None)
    return _read_only(weights / weights.sum(axis=0))


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float32]:
    array = np.asarray(values, np.float32)
    array.setflags(write=False)
    return array
