"""Training data of the mouth renderer: the mouth's region at rest and speaking, in poses that the clips take.

Each pose gives one *input* (the mouth at rest, as a clip shows it) and `TARGETS_PER_POSE` *targets* (articulated).
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

from avatar.articulation import CHANNELS, TARGETS
from models.making.character.camera import region_of
from models.making.character.mouth import added, mouth_weights
from models.making.character.performance import PERFORMANCES, expression
from models.making.character.pose import Pose
from models.making.character.presenter import Presenter
from models.making.character.stage import render

_LOG = logging.getLogger(__name__)

N_POSES = 180
N_HELD_OUT = 12
TARGETS_PER_POSE = 4
INDEX = "index.jsonl"

_EXACT: tuple[tuple[str, int], ...] = (
    ("idle", 0),
    ("idle", 26),
    ("idle", 51),
    ("talk", 17),
    ("talk", 34),
    ("talk", 51),
    ("listen", 20),
    ("listen", 39),
    ("nod", 7),
    ("nod", 18),
    ("smile", 7),
    ("smile", 13),
)
"""Frames of clips whose poses are among the data exactly."""


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
    poses = random.permutation(N_POSES)
    return [made[pose * (TARGETS_PER_POSE + 1) + number] for pose in poses for number in range(TARGETS_PER_POSE + 1)]


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
    pose = PERFORMANCES[clip].pose(frame)
    smile = 0.0
    if clip == "smile":
        smile = (pose.weights["mouthSmile"] - expression()["mouthSmile"]) / (
            expression(smile=1.0)["mouthSmile"] - expression()["mouthSmile"]
        )
    return pose, smile


def _somewhere(random: np.random.Generator) -> tuple[Pose, float]:
    """A pose near one that a clip takes, sometimes smiling."""
    name = str(random.choice(["idle", "talk", "listen", "nod", "smile"], p=[0.2, 0.4, 0.15, 0.1, 0.15]))
    clip = PERFORMANCES[name]
    frame = int(random.integers(clip.n_frames))
    near = clip.pose(frame)
    smile = 0.0
    if name == "smile":
        smile = float(random.uniform(0, 1))
    elif random.random() < 0.15:
        smile = float(random.uniform(0, 0.6))
    yaw, pitch, roll = random.normal(0, [0.9, 0.8, 0.8])
    pose = replace(
        near,
        yaw=near.yaw + yaw,
        pitch=near.pitch + pitch,
        roll=near.roll + roll,
        lean=near.lean + float(random.normal(0, 0.12)),
        breath=float(np.clip(near.breath + random.normal(0, 0.2), 0, 1)),
        weights=expression(smile=smile),
    )
    return pose, smile


def _articulation(random: np.random.Generator, number: int) -> NDArray[np.float32]:
    """What a mouth may do, (7,): mostly visemes and what lies between two of them, at times anything at all."""
    visemes = TARGETS[1:]
    gain = random.uniform(0.4, 1.1)
    if number == 1:
        mouth = visemes[random.integers(len(visemes))] * gain
    elif number == TARGETS_PER_POSE and random.random() < 0.6:
        mouth = random.uniform(0, 1, len(CHANNELS)) ** 2 * random.uniform(0.2, 0.7)
    else:
        one, other = visemes[random.choice(len(visemes), 2, replace=False)]
        share = random.uniform(0, 1)
        mouth = (one * share + other * (1 - share)) * gain
    return np.asarray(np.clip(mouth, 0, 1), np.float32)
