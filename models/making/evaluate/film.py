"""A film in which the avatar spoke the programme: where in it each piece is heard, and how far the lips are open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.errors import AvatarError
from avatar.features import HOP_MS
from models.making.evaluate.programme import Piece
from models.making.speech.utterances import SAMPLE_RATE
from models.speech_files import read_speech, resampled

_HEARD = 0.9
"""The film's sound must agree with the programme's this well (correlation at the best offset)."""


@dataclass(frozen=True)
class SeenLips:
    """The lips in a film.

    Attributes:
        times_s: (n,) the middle of each frame, counted from the programme's start as it is heard.
        gaps: (n,) the inner lips' distance in distances between the eyes; NaN where no face was found.
    """

    times_s: NDArray[np.float64]
    gaps: NDArray[np.float64]

    @property
    def found(self) -> NDArray[np.bool_]:
        return np.isfinite(self.gaps)

    def opening(self, piece: Piece) -> NDArray[np.float32]:
        """The gap every 10 ms of a piece, as its phones are counted, between the middles of frames interpolated."""
        times = piece.start_s + np.arange(int(1000 * piece.seconds) // HOP_MS + 1) * HOP_MS / 1000
        return np.interp(times, self.times_s[self.found], self.gaps[self.found]).astype(np.float32)

    def frames(self, start_s: float, end_s: float) -> NDArray[np.float64]:
        """The gap in each frame whose middle lies between two times; frames without a face are left out."""
        inside = (self.times_s >= start_s) & (self.times_s < end_s)
        return np.asarray(self.gaps[inside & self.found])


def read_lips(film: Path, gaps: Path, programme: Path) -> SeenLips:
    """The lips of ``film``, as ``lip_gaps.py`` saw them, on the time of the sound of ``programme``.

    Raises:
        AvatarError: the programme is not heard in the film.
    """
    with np.load(gaps) as file:
        starts_s, seen = file["times_s"], file["gaps"]
    middle_s = float(np.median(np.diff(starts_s))) / 2
    return SeenLips(starts_s + middle_s - heard_at(film, programme), seen)


def heard_at(film: Path, programme: Path) -> float:
    """When the programme begins in the film's sound, in seconds, to a sample of 16 kHz.

    Raises:
        AvatarError: it is not heard in it.
    """
    sound, spoken = (resampled(*read_speech(path), SAMPLE_RATE).astype(np.float64) for path in (film, programme))
    n = 1 << (len(sound) + len(spoken)).bit_length()
    agreement = np.fft.irfft(np.fft.rfft(sound, n) * np.conj(np.fft.rfft(spoken, n)), n)
    offset = int(np.argmax(agreement))
    r = agreement[offset] / np.sqrt(np.sum(sound**2) * np.sum(spoken**2))
    if r < _HEARD:
        raise AvatarError(f"{film} does not sound like {programme}: they agree by {r:.2f} at best")
    return (offset if offset < n / 2 else offset - n) / SAMPLE_RATE
