"""Training of the mouth renderer: a budget of seconds, a file to go on from, and no end that loses work."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import AdamW

from avatar.errors import BundleError
from avatar.geometry import Box
from models.making.mouth.lessons import Lesson, Lessons
from models.making.mouth.losses import mouth_loss
from models.making.mouth.motion import measure_motion, mouth_mask
from models.making.mouth.priming import prime
from models.making.mouth.regions import Mouths, Pose
from models.nets.mouth_renderer import MouthRenderer, RendererConfig


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        seconds: wall-clock time of all the training, interruptions not counted; the learning rate follows it.
        draft_share, pictures_share: learning rates of the articulation's mixture and of what it mixes, relative to the
            convolutions'.
        save_every_s: between two checkpoints; new poses are read then, too.
        average: decay of the running average of the weights, which is what training yields.
    """

    seconds: float
    learning_rate: float = 1.2e-3
    last_share: float = 0.02
    draft_share: float = 0.3
    pictures_share: float = 0.05
    warm_up_steps: int = 60
    average: float = 0.997
    weight_decay: float = 1e-4
    largest_gradient: float = 1.0
    save_every_s: float = 60.0
    poses_per_step: int = 2
    mouths_per_pose: int = 4
    seed: int = 1

    def rate_at(self, step: int, spent_s: float) -> float:
        """The learning rate: rises over the first steps, then falls as a cosine of the time spent."""
        done = min(spent_s / self.seconds, 1.0)
        cosine = self.last_share + (1 - self.last_share) * 0.5 * (1 + math.cos(math.pi * done))
        return self.learning_rate * min(1.0, (step + 1) / self.warm_up_steps) * cosine


@dataclass(slots=True)
class Progress:
    """How far training has come; ``loss`` is a running average."""

    step: int = 0
    spent_s: float = 0.0
    loss: float = math.nan
    n_poses: int = 0


@dataclass
class Training:
    """A renderer being trained, with everything that is needed to go on after an interruption."""

    plan: Plan
    config: RendererConfig
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        torch.manual_seed(self.plan.seed)
        self.network = MouthRenderer(self.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        # Priming has found the draft already: it is only touched up. Decay would make its pictures grey.
        drafting = (self.network.likeness, self.network.embedding, self.network.mixture)
        pictures = [self.network.plain, *self.network.pictures.parameters()]
        draft = [parameter for part in drafting for parameter in part.parameters()]
        known = {id(parameter) for parameter in (*pictures, *draft)}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in known]
        groups = [
            {"params": others, "share": 1.0, "weight_decay": self.plan.weight_decay},
            {"params": draft, "share": self.plan.draft_share, "weight_decay": 0.0},
            {"params": pictures, "share": self.plan.pictures_share, "weight_decay": 0.0},
        ]
        self.optimiser = AdamW(groups, lr=self.plan.learning_rate, betas=(0.9, 0.98))

    @property
    def done(self) -> bool:
        return self.progress.spent_s >= self.plan.seconds

    def prime(self, poses: Sequence[Pose], weight: Tensor) -> None:
        """Work out the first draft; before the first step."""
        prime(self.network, poses, weight[0, 0].numpy())
        self.average = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def learn(self, lesson: Lesson, weight: Tensor) -> float:
        """One step; the loss before it."""
        rate = self.plan.rate_at(self.progress.step, self.progress.spent_s)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        crops = torch.from_numpy(lesson.crops).contiguous(memory_format=torch.channels_last)
        targets, articulations = torch.from_numpy(lesson.targets), torch.from_numpy(lesson.articulations)
        each = len(articulations) // len(crops)
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bf16()):
            seen = tuple(scale.repeat_interleave(each, dim=0) for scale in self.network.look(crops))
            patches = self.network.paint(crops.repeat_interleave(each, dim=0), seen, articulations)
        loss = mouth_loss(patches.float(), targets, weight)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.largest_gradient)
        self.optimiser.step()
        self._average()
        self.progress.step += 1
        value = float(loss.detach())
        former = self.progress.loss
        self.progress.loss = value if math.isnan(former) else 0.98 * former + 0.02 * value
        return value

    def _average(self) -> None:
        decay = min(self.plan.average, (self.progress.step + 1) / (self.progress.step + 10))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        torch.save(
            {
                "config": asdict(self.config),
                "progress": asdict(self.progress),
                "network": self.network.state_dict(),
                "average": self.average,
                "optimiser": self.optimiser.state_dict(),
            },
            unfinished,
        )
        os.replace(unfinished, path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of a network of the same size; with the plan's own time and rate."""
        saved = _read(path)
        if config_of(saved) != self.config:
            raise BundleError(f"{path} holds a renderer {config_of(saved)}, asked for is {self.config}")
        self.network.load_state_dict(saved["network"])
        self.average = dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.progress = Progress(**saved["progress"])


def load_renderer(checkpoint: Path) -> MouthRenderer:
    """The averaged network of a checkpoint, ready to draw."""
    saved = _read(checkpoint)
    network = MouthRenderer(config_of(saved))
    network.load_state_dict(saved["average"])
    return network.eval()


def train(
    training: Training, mouths: Mouths, checkpoint: Path, report: Callable[[Progress], None] = lambda progress: None
) -> None:
    """Train until the plan's time is spent; saves now and then, and on every way out, Ctrl-C among them."""
    plan, patch = training.plan, training.config.patch
    lessons = Lessons(patch, plan.seed + training.progress.step, plan.poses_per_step, plan.mouths_per_pose)
    poses, weight = _curriculum(mouths, patch)
    training.progress.n_poses = len(poses)
    if training.progress.step == 0:
        training.prime(poses, weight)
    last = saved = time.monotonic()
    try:
        while not training.done:
            training.learn(lessons.draw(poses), weight)
            now = time.monotonic()
            training.progress.spent_s, last = training.progress.spent_s + now - last, now
            if now - saved > plan.save_every_s:
                training.save(checkpoint)
                saved = now
                if len(found := mouths.read()) != len(poses):
                    poses, weight = _curriculum(mouths, patch, found)
                    training.progress.n_poses = len(poses)
            report(training.progress)
    finally:
        training.save(checkpoint)


def loss_weight(poses: Sequence[Pose], patch: int) -> NDArray[np.float32]:
    """How much each pixel of a patch counts, (patch, patch), mean 1: nothing where the mask hides it, most on lips."""
    motion = measure_motion(poses, patch)
    mask = mouth_mask(motion).astype(np.float32) / 255
    weight = 0.01 + mask * (0.3 + motion.mean / max(float(motion.mean.max()), 1e-6))
    return np.asarray(weight / weight.mean(), np.float32)


def multiplies_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware (AMX); without that, bf16 is several times slower than fp32."""
    return bool(torch.cpu._is_amx_tile_supported())


def config_of(saved: Mapping[str, Any]) -> RendererConfig:
    values = dict(saved["config"])
    return RendererConfig(**{**values, "window": Box(**values["window"]), "widths": tuple(values["widths"])})


def _curriculum(mouths: Mouths, patch: int, found: Sequence[Pose] | None = None) -> tuple[list[Pose], Tensor]:
    poses = [pose for pose in (found or mouths.read()) if not pose.held_out]
    if not poses:
        raise BundleError(f"{mouths.folder} has no poses to train on")
    return poses, torch.from_numpy(loss_weight(poses, patch))[None, None]


def _read(path: Path) -> dict[str, Any]:
    return cast(dict[str, Any], torch.load(path, map_location="cpu", weights_only=True))
