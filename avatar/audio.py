"""Sound as the performance knows it: mono, 16-bit, at the timeline's rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.errors import AudioError

Pcm = NDArray[np.int16]
"""Mono sound, int16, shape (n_samples,)."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of speech at the timeline's sample rate, heard during ``turn``."""

    pcm: Pcm
    turn: int
    event_id: str = ""

    def __post_init__(self) -> None:
        if self.pcm.dtype != np.int16 or self.pcm.ndim != 1:
            raise AudioError(f"speech must be int16 (n,), not {self.pcm.dtype} {self.pcm.shape}")


def silence(n_samples: int) -> Pcm:
    return np.zeros(n_samples, np.int16)


def faded_out(pcm: Pcm, n_fade: int) -> Pcm:
    """A copy of ``pcm`` that falls to silence over its first ``n_fade`` samples (raised cosine) and stays there."""
    n = min(n_fade, len(pcm))
    out = np.zeros_like(pcm)
    ramp = 0.5 + 0.5 * np.cos(np.pi * (np.arange(n) + 1) / max(n_fade, 1))
    out[:n] = np.round(pcm[:n] * ramp)
    return out
