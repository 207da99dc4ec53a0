"""What the lips in a film are worth: held against the phones that are heard, against other phones, and against rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from avatar.articulation import VISEMES, aperture
from models.making.evaluate.film import SeenLips
from models.making.evaluate.programme import Piece, Programme
from models.making.speech.coarticulation import Track
from models.making.speech.evaluation import closures, correlation, lag_ms, open_vowels

CLOSED = 0.15
"""Lips count as closed below this share of the gap that 95 % of the spoken frames stay under."""

PAUSE_S = 0.4
SETTLING_S = (0.16, 0.12)
"""After a pause begins, and before it ends, lips may move: they finish the last sound and prepare the next."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SeenSpeech:
    """Figures of the lips seen over some recordings; see ``models.making.speech.evaluation`` for their definitions.

    Attributes:
        swapped_r: correlation with what other recordings (of other words) ask for, the mean over all such pairs.
    """

    seconds: float
    aperture_r: float
    lag_ms: float
    closure_recall: float
    closure_precision: float
    n_closures: int
    open_vowels_shut: float
    n_open_vowels: int
    swapped_r: float


@dataclass(frozen=True)
class SeenRest:
    """Lips where nobody speaks: the share of frames in which they are closed."""

    n_frames: int
    closed: float


class Judge:
    """Judges one film of one programme."""

    def __init__(self, lips: SeenLips, programme: Programme) -> None:
        self._lips = lips
        self._programme = programme
        spoken = [lips.frames(start, end) for piece in programme.spoken for start, end in piece.sounds]
        self.wide = float(np.percentile(np.concatenate(spoken), 95))

    @property
    def closed_below(self) -> float:
        return CLOSED * self.wide

    def speech(self, pieces: Sequence[Piece]) -> SeenSpeech:
        """The lips over recordings of known words."""
        pairs = [self.pair(piece) for piece in pieces]
        opening = [(seen, aperture(true.articulation)) for seen, true in pairs]
        found, n_true, right, n_seen = np.sum(
            [closures(seen < self.closed_below, true) for seen, true in pairs], axis=0
        )
        shut, n_open = np.sum([open_vowels(seen < self.closed_below, true) for seen, true in pairs], axis=0)
        return SeenSpeech(
            seconds=sum(piece.seconds for piece in pieces),
            aperture_r=correlation(opening, 0),
            lag_ms=lag_ms(opening),
            closure_recall=float(found / max(n_true, 1)),
            closure_precision=float(right / max(n_seen, 1)),
            n_closures=int(n_true),
            open_vowels_shut=float(shut / max(n_open, 1)),
            n_open_vowels=int(n_open),
            swapped_r=_swapped([piece.words for piece in pieces], opening),
        )

    def pair(self, piece: Piece) -> tuple[Floats, Track]:
        """The gap that is seen and the mouth that the phones ask for, every 10 ms."""
        seen, true = self._lips.opening(piece), piece.truth
        n = min(len(seen), len(true.visemes))
        return seen[:n], Track(true.articulation[:n], true.visemes[:n])

    def rest(self, start_s: float, end_s: float) -> SeenRest:
        """The lips between two times of the programme."""
        return self._rest([self._lips.frames(start_s, end_s)])

    def pauses(self) -> SeenRest:
        """The lips well inside of pauses, within recordings and between them."""
        sounds = [span for piece in self._programme.spoken for span in piece.sounds]
        gaps = [(before[1], after[0]) for before, after in pairwise(sounds)]
        long = [(start, end) for start, end in gaps if end - start > PAUSE_S]
        return self._rest([self._lips.frames(start + SETTLING_S[0], end - SETTLING_S[1]) for start, end in long])

    def by_viseme(self, pieces: Sequence[Piece]) -> dict[str, tuple[Floats, Floats]]:
        """For each viseme that occurs: gaps, as shares of the widest, and the apertures that were asked for."""
        pairs = [self.pair(piece) for piece in pieces]
        visemes = np.concatenate([true.visemes for _, true in pairs])
        seen = np.concatenate([seen for seen, _ in pairs]) / np.float32(self.wide)
        asked = np.concatenate([aperture(true.articulation) for _, true in pairs])
        there = [(name, visemes == number) for number, name in enumerate(VISEMES)]
        return {name: (seen[here], asked[here]) for name, here in there if here.any()}

    def _rest(self, frames: Sequence[NDArray[np.float64]]) -> SeenRest:
        gaps = np.concatenate(frames) if frames else np.empty(0)
        return SeenRest(len(gaps), float(np.mean(gaps < self.closed_below)) if len(gaps) else 0.0)


def _swapped(words: Sequence[str], opening: Sequence[tuple[Floats, Floats]]) -> float:
    """Mean correlation at lag 0 of each recording's lips with every target of other words, cut to the shorter."""
    found = []
    for said, (seen, _) in zip(words, opening, strict=True):
        for other, (_, asked) in zip(words, opening, strict=True):
            n = min(len(seen), len(asked))
            if said != other and n:
                found.append(float(np.corrcoef(seen[:n], asked[:n])[0, 1]))
    return float(np.mean(found)) if found else float("nan")
