"""Sounds at which no mouth may move: silence, breath, music and noise, made here and the same every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from models.making.speech.utterances import SAMPLE_RATE

SECONDS = 8.0
SPEECH_DBFS = -23.0
"""Level that speech is brought to for broadcasting (EBU R 128); what follows is set against it."""

BREATH_DBFS, MUSIC_DBFS, NOISE_DBFS = SPEECH_DBFS - 15, SPEECH_DBFS - 3, SPEECH_DBFS - 20

Floats = NDArray[np.float64]


def silence() -> Floats:
    return np.zeros(_n())


def breath() -> Floats:
    """Somebody who breathes in and out every 2 s: noise through an open throat's resonances, without a voice."""
    noise = np.random.default_rng(1).standard_normal(_n())
    spectrum, hertz = np.fft.rfft(noise), np.fft.rfftfreq(_n(), 1 / SAMPLE_RATE)
    resonances = sum(1 / (1 + ((hertz - centre) / width) ** 2) for centre, width in _THROAT)
    rushing = np.fft.irfft(spectrum * resonances, _n())
    swell = np.clip(np.sin(2 * np.pi * _times()), 0, None) ** 2
    return _at(rushing * swell, BREATH_DBFS)


def music() -> Floats:
    """Plucked chords over a bass and a soft beat: harmonics, attacks and level like speech, but nobody who sings."""
    sound = np.zeros(_n())
    for beat in range(int(SECONDS / _BEAT_S)):
        chord = _CHORDS[beat // 4 % len(_CHORDS)]
        start = beat * _BEAT_S
        for order, hertz in enumerate((chord[0] / 2, *chord)):
            _add(sound, start + 0.03 * order, _plucked(hertz))
        tap = np.random.default_rng(beat).standard_normal(SAMPLE_RATE // 20)
        _add(sound, start + _BEAT_S / 2, 0.15 * tap * np.exp(-np.arange(len(tap)) / 120))
    return _at(sound, MUSIC_DBFS)


def noise() -> Floats:
    """White noise 20 dB below speech."""
    return _at(np.random.default_rng(2).standard_normal(_n()), NOISE_DBFS)


SOUNDS: Mapping[str, Callable[[], Floats]] = {"silence": silence, "breath": breath, "music": music, "noise": noise}

_THROAT = ((600.0, 250.0), (1500.0, 350.0), (2600.0, 500.0))
"""Centre and half width of the resonances, hertz."""

_BEAT_S = 0.4
_CHORDS = ((261.6, 329.6, 392.0), (220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7))
"""C major, A minor, F major, G major."""


def _plucked(hertz: float) -> Floats:
    """A string's harmonics, the higher the shorter they ring."""
    times = np.arange(round(1.2 * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = np.arange(1, int(5000 / hertz) + 1)[:, None]
    rings = np.sin(2 * np.pi * hertz * harmonics * times) * np.exp(-times * (2 + 1.2 * harmonics)) / harmonics
    return np.asarray(rings.sum(axis=0) * np.minimum(times / 0.004, 1))


def _add(sound: Floats, start_s: float, note: Floats) -> None:
    here = sound[round(start_s * SAMPLE_RATE) :][: len(note)]
    here += note[: len(here)]


def _at(sound: Floats, dbfs: float) -> Floats:
    """The sound at a level, RMS over all of it."""
    return np.asarray(sound * 10 ** (dbfs / 20) / np.sqrt(np.mean(sound**2)))


def _n() -> int:
    return round(SECONDS * SAMPLE_RATE)


def _times() -> Floats:
    return np.arange(_n()) / SAMPLE_RATE
