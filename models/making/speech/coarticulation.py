"""Articulation targets over time: neighbouring sounds share the mouth.

Each phone pulls each channel towards its own target with its own strength (Cohen and Massaro, "Modeling coarticulation
in synthetic visual speech", 1993: dominance functions). Here the strength of a phone over time is its stretch of time,
weighted and smoothed by the channel's kernel, and the channel is the weighted mean of the targets. Vowels that are
short are therefore reduced, and rounding spreads ahead over sounds that do not care. What must touch does: lips of
P B M are pressed together at the sound's centre however short it is, and F V reach the teeth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS, TARGETS, VISEMES
from models.making.speech.phones import SHAPES, parts
from models.making.speech.utterances import Phone

HOP_S = 0.01
_STEP_S = 0.005

_SHAPE_TARGETS = np.vstack(
    [TARGETS, np.array([[0.42, 0, 0, 0.10, 0, 0, 0], [0.35, 0, 0, 0.10, 0, 0, 0]], np.float32)]  # schwa, breath
)

_WEIGHTS = {
    # jaw  close round spread tuck funnel tongue: how much a sound cares where this part of the mouth is
    "SIL": (0.5, 1.0, 0.5, 0.5, 1.0, 0.5, 1.0),
    "PP": (0.8, 3.0, 0.2, 0.2, 1.0, 0.3, 0.5),
    "FF": (0.8, 1.0, 0.3, 0.3, 3.0, 0.4, 0.5),
    "TH": (0.6, 1.0, 0.3, 0.3, 1.0, 0.4, 2.0),
    "DD": (0.4, 1.0, 0.15, 0.25, 1.0, 0.2, 1.0),
    "KK": (0.2, 1.0, 0.1, 0.2, 1.0, 0.1, 0.6),
    "CH": (1.0, 1.0, 0.5, 0.5, 1.0, 1.5, 1.0),
    "SS": (1.2, 1.0, 0.3, 0.6, 1.0, 0.5, 1.0),
    "RR": (0.5, 1.0, 0.6, 0.5, 1.0, 0.8, 0.8),
    "WU": (0.8, 1.0, 1.5, 1.0, 1.0, 0.7, 1.0),
    "OO": (1.0, 1.0, 1.2, 1.0, 1.0, 0.7, 1.0),
    "AA": (1.0, 1.0, 0.7, 0.8, 1.0, 0.7, 1.0),
    "EH": (1.0, 1.0, 0.8, 1.0, 1.0, 0.7, 1.0),
    "IH": (0.9, 1.0, 0.9, 1.2, 1.0, 0.7, 1.0),
    "schwa": (0.5, 1.0, 0.3, 0.3, 1.0, 0.4, 0.8),
    "breath": (0.1, 1.0, 0.05, 0.05, 1.0, 0.05, 0.4),
}
_SHAPE_WEIGHTS = np.array([_WEIGHTS[shape] for shape in SHAPES], np.float32)

_KERNEL_S = {
    # standard deviation before a sound's own time (spreading ahead), and after it
    "jaw": (0.035, 0.035),
    "close": (0.015, 0.015),
    "round": (0.075, 0.045),
    "spread": (0.050, 0.045),
    "tuck": (0.020, 0.020),
    "funnel": (0.050, 0.035),
    "tongue": (0.025, 0.025),
}


@dataclass(frozen=True)
class Track:
    """Labels of an utterance at the times ``k`` × 10 ms: articulation (n, 7) and viseme classes (n,)."""

    articulation: NDArray[np.float32]
    visemes: NDArray[np.uint8]


@dataclass(frozen=True)
class _Sound:
    start_s: float
    end_s: float
    viseme: int
    shape: int


def track(alphabet: str, phones: Sequence[Phone], seconds: float) -> Track:
    """The mouth's movement over an utterance of ``seconds`` (its last label is at or before its end)."""
    sounds = _sounds(alphabet, phones)
    n_steps = round(seconds / _STEP_S) + 1
    times = np.asarray(np.arange(n_steps) * _STEP_S, np.float64)
    shapes = np.zeros(n_steps, np.intp)
    visemes = np.zeros(n_steps, np.uint8)
    for sound in sounds:
        here = slice(*np.searchsorted(times, (sound.start_s - 1e-9, sound.end_s - 1e-9)))
        shapes[here], visemes[here] = sound.shape, sound.viseme
    weights, targets = _SHAPE_WEIGHTS[shapes], _SHAPE_TARGETS[shapes]
    articulation = np.empty((n_steps, len(CHANNELS)), np.float32)
    for channel, name in enumerate(CHANNELS):
        kernel = _kernel(*_KERNEL_S[name])
        pull = _smooth(weights[:, channel] * targets[:, channel], kernel)
        articulation[:, channel] = pull / _smooth(weights[:, channel], kernel)
    _touch(articulation, times, sounds)
    every = round(HOP_S / _STEP_S)
    return Track(np.clip(articulation[::every], 0, 1), visemes[::every])


def _sounds(alphabet: str, phones: Sequence[Phone]) -> list[_Sound]:
    sounds = []
    for phone in phones:
        start = phone.start_s
        for part in parts(alphabet, phone.name):
            end = start + part.share * (phone.end_s - phone.start_s)
            sounds.append(_Sound(start, end, VISEMES.index(part.viseme), SHAPES.index(part.shape)))
            start = end
    return sounds


def _kernel(before_s: float, after_s: float) -> NDArray[np.float32]:
    """A two-sided Gaussian: a sound acts ``before_s`` ahead of itself and ``after_s`` behind."""
    reach = round(3 * max(before_s, after_s) / _STEP_S)
    lag = np.arange(-reach, reach + 1) * _STEP_S
    kernel = np.exp(-0.5 * (lag / np.where(lag < 0, before_s, after_s)) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _smooth(values: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    reach = len(kernel) // 2
    return np.asarray(np.convolve(np.pad(values, reach, mode="edge"), kernel, mode="valid"), np.float32)


def _touch(articulation: NDArray[np.float32], times: NDArray[np.float64], sounds: Sequence[_Sound]) -> None:
    """Let P B M close the lips and F V lift the lower lip fully, in place, whatever the smoothing left of it."""
    for viseme, channel, ramp_s, level in (("PP", "close", 0.045, 1.0), ("FF", "tuck", 0.050, 0.95)):
        number, column = VISEMES.index(viseme), CHANNELS.index(channel)
        for sound in sounds:
            if sound.viseme != number:
                continue
            centre, half = (sound.start_s + sound.end_s) / 2, max((sound.end_s - sound.start_s) / 2 - 0.010, 0.005)
            outside = np.clip((np.abs(times - centre) - half) / ramp_s, 0, 1)
            raised = level * 0.5 * (1 + np.cos(np.pi * outside))
            articulation[:, column] = np.maximum(articulation[:, column], raised)
