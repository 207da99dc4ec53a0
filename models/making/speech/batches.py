"""Endless training batches: stretches of speech, spoiled, with the labels of each answer that the network gives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from avatar.articulation import VISEMES
from avatar.features import HOP_MS, log_mel
from models.making.speech.augmentation import breath, in_other_time, masked, no_speech, other_throat, spoil
from models.making.speech.coarticulation import Track, track
from models.making.speech.corpus import Recorded, load
from models.making.speech.utterances import SAMPLE_RATE
from models.nets.speech_encoder import LOOK_AHEAD_MS, STRIDE, WINDOW

_HOP = SAMPLE_RATE * HOP_MS // 1000
_SILENT_STRETCHES = 0.25
"""Share of stretches in which nobody speaks."""

_TRUE_TO_LIFE = 2.0
_HESITANT = 0.25
_HELD = [VISEMES.index(name) for name in ("RR", "WU", "OO", "AA", "EH", "IH")]
_LOOK_EVERY = 20
"""Batches between two looks for newly recorded voices."""

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Labelled:
    """An utterance's sound (n,) int16 and its labels every 10 ms."""

    pcm: NDArray[np.int16]
    track: Track


def labelled(voice: Recorded) -> list[Labelled]:
    """A voice's utterances with their labels."""
    return [Labelled(u.pcm, track(voice.alphabet, u.phones, u.seconds)) for u in voice.utterances]


def _look(folder: Path, known: dict[Path, list[Labelled]]) -> None:
    """Add a few voices not known yet, so that work can begin with the first; held-out voices are known, and empty."""
    new = [path for path in sorted(folder.glob("*.npz")) if path not in known]
    for path in new[:: max(1, len(new) // 4)]:
        voice = load(path)
        known[path] = [] if voice.held_out else labelled(voice)


def _shares(known: dict[Path, list[Labelled]]) -> NDArray[np.float64]:
    """How often each voice that is not empty is heard: by the root of its time; people and neural ones more."""
    weights = [
        np.sqrt(sum(len(one.pcm) for one in voice))
        * (_TRUE_TO_LIFE if path.name.startswith(("kokoro", "person", "piper")) else 1)
        for path, voice in known.items()
        if voice
    ]
    return np.asarray(np.divide(weights, np.sum(weights)), np.float64)


def label_indices(n_answers: int, look_ahead_ms: int = LOOK_AHEAD_MS) -> NDArray[np.intp]:
    """The label (10 ms each) that each answer describes, for a stretch whose first frame ends at 10 ms."""
    last_frames = WINDOW - 1 + STRIDE * np.arange(n_answers)
    return last_frames + 1 - look_ahead_ms // HOP_MS


class Stretches(IterableDataset[Batch]):
    """Batches of mel (batch, frames, 80), viseme classes (batch, answers) and articulation (batch, answers, 7).

    With several look-aheads, the answers of each come one after another.
    """

    def __init__(
        self,
        folder: Path,
        *,
        n_batch: int,
        n_answers: int,
        seed: int,
        look_aheads_ms: Sequence[int] = (LOOK_AHEAD_MS,),
    ) -> None:
        self._indices = np.concatenate([label_indices(n_answers, ms) for ms in look_aheads_ms])
        self._folder = folder
        self._n_batch, self._n_answers, self._seed = n_batch, n_answers, seed

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        random = np.random.default_rng([self._seed, worker.id if worker else 0])
        torch.set_num_threads(1)
        known: dict[Path, list[Labelled]] = {}
        for number in itertools.count():
            if number < 30 or number % _LOOK_EVERY == 0:
                _look(self._folder, known)
                voices = [voice for voice in known.values() if voice]
                if not voices:
                    raise FileNotFoundError(f"no voice to train on in {self._folder}: synthesise first")
                shares = _shares(known)
            rows = [self._stretch(voices, shares, random) for _ in range(self._n_batch)]
            mel, visemes, articulation = (np.stack(column) for column in zip(*rows, strict=True))
            yield torch.from_numpy(mel), torch.from_numpy(visemes), torch.from_numpy(articulation)

    def _stretch(
        self, voices: Sequence[Sequence[Labelled]], shares: NDArray[np.float64], random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        n_frames = WINDOW + STRIDE * (self._n_answers - 1)
        n_samples = n_frames * _HOP
        indices = self._indices
        if random.random() < _SILENT_STRETCHES:
            mel = log_mel(no_speech(n_samples, random), SAMPLE_RATE)
            return mel, np.zeros(len(indices), np.int64), np.zeros((len(indices), 7), np.float32)
        voice = voices[int(random.choice(len(voices), p=shares))]
        hesitant = random.random() < _HESITANT
        speed = float(np.exp(random.uniform(-0.13, 0.13))) if not hesitant and random.random() < 0.8 else 1.0
        source = _string_together(voice, round(n_samples * speed) + 2 * _HOP, random)
        places = np.arange(n_samples) * speed
        heard = source.pcm.astype(np.float32) / np.float32(32768)
        if hesitant:
            sound, places = in_other_time(heard, _hesitating(source.track.visemes, n_samples, random))
        else:
            sound = np.interp(places, np.arange(len(heard)), heard).astype(np.float32)
        babble = np.zeros(n_samples, np.float32)
        if random.random() < 0.2:
            for _ in range(random.integers(2, 5)):
                other = _string_together(voices[int(random.integers(len(voices)))], n_samples, random)
                babble += other.pcm[:n_samples].astype(np.float32)
        mel = log_mel(spoil(sound, babble, random), SAMPLE_RATE)
        times = places[np.minimum(indices * _HOP, n_samples - 1)] / _HOP
        labels = np.clip(np.round(times).astype(np.intp), 0, len(source.track.visemes) - 1)
        mel = masked(other_throat(mel, random), random)
        return mel, source.track.visemes[labels].astype(np.int64), source.track.articulation[labels]


def _hesitating(visemes: NDArray[np.uint8], n_samples: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Which sample of a stretch is heard when (n_samples,), by a speaker who holds some vowels ("well", "um").

    All else keeps its pace: bursts and closures do not bear stretching.
    """
    holdable = np.flatnonzero(np.isin(visemes, _HELD))
    held = set(random.permutation(holdable)[: random.integers(1, 5)].tolist())
    steps: list[float] = []
    at, left, pace = 0.0, 0, 1.0
    for _ in range(n_samples // _HOP + 1):
        if left == 0 and int(at) in held:
            held.remove(int(at))
            left, pace = int(random.integers(15, 60)), random.uniform(0.02, 0.2)
        steps.append(pace if left else 1.0)
        left = max(left - 1, 0)
        at += steps[-1]
    return np.cumsum(np.repeat(steps, _HOP)[:n_samples])


def _string_together(voice: Sequence[Labelled], n_samples: int, random: np.random.Generator) -> Labelled:
    """A random stretch of a voice (n_samples,), from anywhere in an utterance, with pauses between utterances."""
    pcm: list[NDArray[np.int16]] = []
    visemes: list[NDArray[np.uint8]] = []
    articulation: list[NDArray[np.float32]] = []
    skip, length = int(random.integers(0, 300)), 0
    n_labels = n_samples // _HOP + 1
    while length < n_labels:
        one = voice[int(random.integers(len(voice)))]
        n_here = len(one.pcm) // _HOP
        first = min(skip, max(n_here - 100, 0))
        skip = 0
        gap = int(random.integers(0, 80)) if random.random() < 0.5 else 0
        pause = np.zeros(gap * _HOP, np.float32)
        if gap > 20 and random.random() < 0.4:
            pause = breath(gap * _HOP, random) * np.float32(10 ** random.uniform(1.5, 3.5))
        pcm += [one.pcm[first * _HOP : n_here * _HOP], pause.astype(np.int16)]
        visemes += [one.track.visemes[first:n_here], np.zeros(gap, np.uint8)]
        articulation += [one.track.articulation[first:n_here], np.zeros((gap, 7), np.float32)]
        length += n_here - first + gap
    sound = np.concatenate(pcm)[:n_samples]
    sound = np.pad(sound, (0, n_samples - len(sound)))
    return Labelled(sound, Track(np.concatenate(articulation)[:n_labels], np.concatenate(visemes)[:n_labels]))
