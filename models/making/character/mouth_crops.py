"""Training data of the mouth renderer: the mouth's region at rest and speaking, in poses that the clips take.

Each pose gives one *input* (the mouth at rest, as a clip shows it) and some *targets* (articulated).
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS, TARGETS, VISEMES
from models.making.character.camera import region_of
from models.making.character.mouth import added, mouth_weights
from models.making.character.performance import PERFORMANCES, nudged
from models.making.character.pose import Pose
from models.making.character.presenter import Presenter
from models.making.character.stage import render

_LOG = logging.getLogger(__name__)

N_POSES = 120
N_HELD_OUT = 10
TARGETS_PER_POSE = 4
INDEX = "index.jsonl"

_EXACT: tuple[tuple[str, int], ...] = (
    ("idle", 0),
    ("talk", 39),
    ("smile", 14),
    ("think", 18),
    ("idle", 50),
    ("shake", 7),
    ("surprise", 9),
    ("nod", 7),
    ("shake", 15),
    ("listen", 19),
    ("wink", 9),
    ("smile", 6),
)
"""Frames of clips whose poses are among the data exactly."""


_SPELT: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("idle", 0, ("WU", "OO", "AA", "CH", "PP", "FF", "IH", "EH", "RR", "SS", "TH", "DD", "KK")),
    ("smile", 14, ("WU", "OO", "AA", "CH", "PP", "FF", "IH", "EH", "RR", "SS", "TH", "DD", "KK")),
    ("shake", 15, ("WU", "OO", "AA", "CH", "PP", "FF")),
    ("think", 18, ("WU", "OO", "AA", "CH", "PP", "FF")),
)
"""Frames in which these visemes are rendered one by one, at their clearest."""


@dataclass(frozen=True)
class Sample:
    """One region to render: a pose, what the mouth does in it, and how much it smiles."""

    pose_id: int
    number: int
    """0 is the input, 1… are the targets."""
    pose: Pose
    articulation: NDArray[np.float32]
    smile: float
    split: Literal["train", "held_out"]

    @property
    def file(self) -> str:
        """The region's picture, by its name in the folder."""
        return f"{self.pose_id:04d}_{self.number}.png"


def samples(seed: int = 20) -> list[Sample]:
    """All regions, in the order to render them: shuffled, so that any beginning covers everything."""
    random = np.random.default_rng(seed)
    made: list[Sample] = []
    rest = np.zeros(len(CHANNELS), np.float32)
    for pose_id in range(N_POSES):
        pose, smile = _exact(pose_id) if pose_id < len(_EXACT) else _somewhere(random)
        split: Literal["train", "held_out"] = "held_out" if pose_id >= N_POSES - N_HELD_OUT else "train"
        made.append(Sample(pose_id, 0, pose, rest, smile, split))
        for number in range(1, TARGETS_PER_POSE + 1):
            made.append(Sample(pose_id, number, pose, _articulation(random, number), smile, split))
    spelt: list[Sample] = []
    for pose_id, (clip, frame, visemes) in enumerate(_SPELT, start=N_POSES):
        moment = PERFORMANCES[clip].motion(frame)
        mouths = [rest, *(TARGETS[VISEMES.index(viseme)] for viseme in visemes)]
        for number, mouth in enumerate(mouths):
            spelt.append(Sample(pose_id, number, moment.pose, mouth, moment.smile, "train"))
    poses = np.concatenate([np.arange(len(_EXACT)), len(_EXACT) + random.permutation(N_POSES - len(_EXACT))])
    poses = _held_out_early(poses)
    numbers = range(TARGETS_PER_POSE + 1)
    return spelt + [made[pose * len(numbers) + number] for pose in poses for number in numbers]


def _held_out_early(poses: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every sixth pose is a held-out one until there are no more, so that any beginning can be judged."""
    held, others = poses[poses >= N_POSES - N_HELD_OUT], poses[poses < N_POSES - N_HELD_OUT]
    return np.insert(others, np.arange(1, len(held) + 1) * 5, held)


def render_mouths(presenter: Presenter, folder: Path, n_samples: int, first: int | None = None) -> int:
    """Render what is missing of the first ``first`` regions (default: all) into ``folder``; returns how many.

    ``index.jsonl`` gets a line for each region that is there.
    """
    chosen = samples()[:first]
    present = {sample.file for sample in chosen if (folder / sample.file).exists()}
    missing = [sample for sample in chosen if sample.file not in present]
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / f".{INDEX}"
    known.write_text("".join(_line(presenter, sample) for sample in chosen if sample.file in present))
    known.replace(folder / INDEX)
    with (folder / INDEX).open("a") as index:
        for done, sample in enumerate(missing, start=1):
            began = time.monotonic()
            presenter.take(_articulated(sample))
            render(folder / sample.file, n_samples, region_of(presenter.track.affine(sample.pose)))
            index.write(_line(presenter, sample))
            index.flush()
            _LOG.info("%s: %.1f s (%d of %d)", sample.file, time.monotonic() - began, done, len(missing))
    return len(missing)


def _line(presenter: Presenter, sample: Sample) -> str:
    affine = presenter.track.affine(sample.pose)
    region = region_of(affine)
    entry: dict[str, Any] = {
        "pose_id": sample.pose_id,
        "file": sample.file,
        "kind": "target" if sample.number else "input",
        "split": sample.split,
        "articulation": [round(float(value), 4) for value in sample.articulation],
        "face": [[round(float(value), 5) for value in row] for row in affine],
        "offset": [region.left, region.top],
        "smile": round(sample.smile, 4),
    }
    return json.dumps(entry) + "\n"


def _articulated(sample: Sample) -> Pose:
    """The sample's pose with its mouth; the smile is in the weights of both input and target."""
    if sample.number == 0:
        return sample.pose
    return replace(sample.pose, weights=_speaking(sample.pose, sample.articulation, sample.smile))


def _speaking(pose: Pose, articulation: NDArray[np.float32], smile: float) -> dict[str, float]:
    silent = mouth_weights(np.zeros(len(CHANNELS), np.float32), smile)
    spoken = mouth_weights(articulation, smile)
    return added(pose.weights, {name: -weight for name, weight in silent.items()}, spoken)


def _exact(pose_id: int) -> tuple[Pose, float]:
    clip, frame = _EXACT[pose_id]
    moment = PERFORMANCES[clip].motion(frame)
    return moment.pose, moment.smile


def _somewhere(random: np.random.Generator) -> tuple[Pose, float]:
    """A pose near one that a clip takes; loops smile at times."""
    names = ["idle", "talk", "listen", "nod", "shake", "smile", "think", "surprise", "wink"]
    name = str(random.choice(names, p=[0.13, 0.30, 0.10, 0.08, 0.09, 0.14, 0.07, 0.05, 0.04]))
    moment = PERFORMANCES[name].motion(int(random.integers(PERFORMANCES[name].n_frames)))
    yaw, pitch, roll = random.normal(0, [0.7, 0.6, 0.6])
    return nudged(moment.pose, yaw=float(yaw), pitch=float(pitch), roll=float(roll)), moment.smile


def _articulation(random: np.random.Generator, number: int) -> NDArray[np.float32]:
    """What a mouth may do, (7,): mostly visemes and what lies between two of them, at times anything at all."""
    visemes = TARGETS[1:]
    gain = random.uniform(0.4, 1.15)
    if number == 1:
        mouth = visemes[random.integers(len(visemes))] * gain
    elif number == 2 and random.random() < 0.3:
        mouth = _WIDE * random.uniform(0.75, 1.0)
    elif number == TARGETS_PER_POSE and random.random() < 0.5:
        mouth = random.uniform(0, 1, len(CHANNELS)) ** 2 * random.uniform(0.2, 0.8)
    else:
        one, other = visemes[random.choice(len(visemes), 2, replace=False)]
        share = random.uniform(0, 1)
        mouth = (one * share + other * (1 - share)) * gain
    return np.asarray(np.clip(mouth, 0, 1), np.float32)


_WIDE = TARGETS[VISEMES.index("AA")] / TARGETS[VISEMES.index("AA")].max()
"""The jaw as far down as it goes."""
