"""How well an encoder does: on human speech and neural voices with aligned words, and on voices it never heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS, VISEMES, aperture
from avatar.features import HOP_MS, SILENCE, log_mel
from models.making.speech.coarticulation import Track, track
from models.making.speech.utterances import SAMPLE_RATE, Utterance

Encode = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Windows of log-mel (n, frames, 80) to articulation (n, 7) and viseme logits (n, 14)."""

_NEAR_MS = 40
_SHUT = 0.12
_LONGEST_LAG = 15


@dataclass(frozen=True)
class Score:
    """Figures over a set of recordings; see the module's functions for how each is measured."""

    seconds: float
    frame_accuracy: float
    macro_f1: float
    closure_recall: float
    closure_precision: float
    n_closures: int
    open_vowels_shut: float
    aperture_r: float
    lag_ms: float
    recall_by_viseme: dict[str, float]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Answers:
    """What an encoder says every 10 ms: articulation (n, 7), viseme classes (n,)."""

    articulation: NDArray[np.float32]
    visemes: NDArray[np.intp]


def answers(encode: Encode, pcm: NDArray[np.int16], window: int, look_ahead_ms: int) -> Answers:
    """The encoder's answers at the times ``k`` × 10 ms of a recording, heard as a live session would hear it."""
    ahead = look_ahead_ms // HOP_MS
    mel = log_mel(np.concatenate([pcm, np.zeros(SAMPLE_RATE * look_ahead_ms // 1000, np.int16)]), SAMPLE_RATE)
    before = np.full((window - ahead, mel.shape[1]), SILENCE, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([before, mel]), window, axis=0)
    windows = windows.transpose(0, 2, 1)
    pieces = [encode(np.ascontiguousarray(windows[first : first + 256])) for first in range(0, len(windows), 256)]
    articulation, logits = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return Answers(articulation, logits.argmax(axis=1))


def score(pairs: Sequence[tuple[Answers, Track]]) -> Score:
    """Figures over recordings: what was answered against what the phones say, every 10 ms."""
    cut = [_same_length(said, true) for said, true in pairs]
    visemes = np.concatenate([true.visemes.astype(np.intp) for _, true in cut])
    said = np.concatenate([one.visemes for one, _ in cut])
    opening = [(aperture(one.articulation), aperture(true.articulation)) for one, true in cut]
    recalls, f1 = _by_viseme(said, visemes)
    hits, n_true, right, n_said = np.sum([closures(_pressed(one), true) for one, true in cut], axis=0)
    shut, n_open = np.sum([open_vowels(_shut(one), true) for one, true in cut], axis=0)
    return Score(
        seconds=len(visemes) * HOP_MS / 1000,
        frame_accuracy=float(np.mean(said == visemes)),
        macro_f1=float(np.nanmean(list(f1.values()))),
        closure_recall=float(hits / max(n_true, 1)),
        closure_precision=float(right / max(n_said, 1)),
        n_closures=int(n_true),
        open_vowels_shut=float(shut / max(n_open, 1)),
        aperture_r=correlation(opening, 0),
        lag_ms=lag_ms(opening),
        recall_by_viseme=recalls,
    )


def truth(alphabet: str, utterance: Utterance) -> Track:
    """The labels of an utterance with known phones."""
    return track(alphabet, utterance.phones, utterance.seconds)


def openvino_encoder(path: Path) -> Encode:
    """The exported network, run on one thread."""
    from models.runtimes.openvino import the_core

    compiled = the_core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"})

    def encode(mel: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        result = compiled({"mel": mel})
        return np.array(result["articulation"]), np.array(result["visemes"])

    return encode


def _same_length(said: Answers, true: Track) -> tuple[Answers, Track]:
    n = min(len(said.visemes), len(true.visemes))
    return Answers(said.articulation[:n], said.visemes[:n]), Track(true.articulation[:n], true.visemes[:n])


def _by_viseme(said: NDArray[np.intp], true: NDArray[np.intp]) -> tuple[dict[str, float], dict[str, float]]:
    """Recall and F1 of each viseme that occurs."""
    recall, f1 = {}, {}
    for number, name in enumerate(VISEMES):
        both, either = np.sum((said == number) & (true == number)), np.sum(said == number) + np.sum(true == number)
        if np.any(true == number):
            recall[name], f1[name] = float(both / np.sum(true == number)), float(2 * both / either)
    return recall, f1


def _pressed(said: Answers) -> NDArray[np.bool_]:
    """Where the lips are answered pressed together: ``close`` above one half."""
    return np.asarray(said.articulation[:, CHANNELS.index("close")] > 0.5)


def _shut(said: Answers) -> NDArray[np.bool_]:
    return np.asarray(aperture(said.articulation) < _SHUT)


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(First, past the last) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _merged(some: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Runs, those less than ``gap`` apart made one."""
    whole = some[:1]
    for start, end in some[1:]:
        if start - whole[-1][1] < gap:
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((start, end))
    return whole


def closures(shut: NDArray[np.bool_], true: Track) -> tuple[int, int, int, int]:
    """Lips seen ``shut`` (n,) against P B M: found, all true, right, all shut.

    ±40 ms count as met, and lips that open for less than that between are shut once.
    """
    near = _NEAR_MS // HOP_MS
    spoken, seen = runs(true.visemes == VISEMES.index("PP")), _merged(runs(shut), near)
    found = sum(any(a < end + near and start - near < b for a, b in seen) for start, end in spoken)
    right = sum(any(a < end + near and start - near < b for start, end in spoken) for a, b in seen)
    return found, len(spoken), right, len(seen)


def open_vowels(shut: NDArray[np.bool_], true: Track) -> tuple[int, int]:
    """Open vowels of 60 ms or more over whose middle the lips are ``shut`` (n,), and all of them."""
    middles = [
        (start + end) // 2
        for name in ("AA", "EH", "OO")
        for start, end in runs(true.visemes == VISEMES.index(name))
        if end - start >= 60 // HOP_MS
    ]
    return sum(bool(shut[middle]) for middle in middles), len(middles)


def correlation(opening: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], lag: int) -> float:
    """Pearson's r of the lips' opening, the answer taken ``lag`` × 10 ms later."""
    said = np.concatenate([one[max(lag, 0) : len(one) + min(lag, 0)] for one, _ in opening])
    true = np.concatenate([one[max(-lag, 0) : len(one) - max(lag, 0)] for _, one in opening])
    return float(np.corrcoef(said, true)[0, 1])


def lag_ms(opening: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> float:
    """By how much the answer comes late, from the peak of r over the lag (a parabola through its top three)."""
    lags = np.arange(-_LONGEST_LAG, _LONGEST_LAG + 1)
    r = np.array([correlation(opening, int(lag)) for lag in lags])
    top = int(np.clip(np.argmax(r), 1, len(r) - 2))
    before, here, after = r[top - 1 : top + 2]
    return float((lags[top] + 0.5 * (before - after) / (before - 2 * here + after)) * HOP_MS)
