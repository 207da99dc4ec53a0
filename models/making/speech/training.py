"""Training of the speech encoder, for a given number of steps, resumable at any moment."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from avatar.articulation import CHANNELS, VISEMES
from models.making.speech.batches import Batch, Stretches
from models.making.speech.export import exported_weights
from models.nets.speech_encoder import SpeechEncoder

_CHANNEL_WEIGHTS = {"jaw": 1.5, "close": 2.5, "round": 1.0, "spread": 0.8, "tuck": 1.5, "funnel": 0.8, "tongue": 0.6}
_CLASS_WEIGHTS = {"SIL": 0.7, "AA": 0.85, "DD": 0.85, "TH": 1.4, "CH": 1.2, "PP": 1.2, "FF": 1.2, "WU": 1.2, "RR": 1.2}
_FIRMLY = {"close": 2.0, "tuck": 1.5}
"""How much worse it is not to touch than to touch: a missing closure is seen at once, one too many hardly."""
_SAVE_EVERY_S = 120.0
_POOL = 24
"""Batches kept for further use."""


@dataclass(frozen=True)
class Plan:
    """How to train: steps, the highest learning rate, stretches a batch, answers a stretch, threads, bfloat16.

    Making a batch costs as much as learning from it, so each stretch is used ``n_uses`` times, each time among others
    (data echoing, Choi et al. 2019).
    """

    steps: int = 4000
    learning_rate: float = 1.5e-3
    n_batch: int = 24
    n_answers: int = 100
    n_threads: int = 2
    n_workers: int = 1
    n_uses: int = 2
    seed: int = 1
    bf16: bool = False


def loss_of(logits: Tensor, channels: Tensor, visemes: Tensor, articulation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy of the visemes, of the channels (as soft probabilities), squared error of the lips' opening."""
    classes = torch.tensor([_CLASS_WEIGHTS.get(name, 1.0) for name in VISEMES])
    by_class = nn.functional.cross_entropy(logits.flatten(0, 1), visemes.flatten(), classes, label_smoothing=0.05)
    weights = torch.tensor([_CHANNEL_WEIGHTS[name] for name in CHANNELS])
    firmly = torch.tensor([_FIRMLY.get(name, 1.0) for name in CHANNELS])
    by_channel = nn.functional.binary_cross_entropy_with_logits(channels, articulation, weights, pos_weight=firmly)
    opening = (_aperture(torch.sigmoid(channels)) - _aperture(articulation)).square().mean()
    return by_class, by_channel, opening


def _aperture(articulation: Tensor) -> Tensor:
    """``avatar.articulation.aperture`` on tensors."""
    jaw, close, rounding, _, tuck, funnel, _ = articulation.unbind(-1)
    return ((jaw * (1 - 0.5 * rounding) + 0.1 * funnel) * (1 - close) * (1 - 0.8 * tuck)).clamp(0, 1)


def train(corpus: Path, folder: Path, plan: Plan, start: Path | None = None) -> Path:
    """Train on ``corpus`` for the plan's steps in all, from the last checkpoint in ``folder``; returns that checkpoint.

    A new run begins with random weights, or with those of an exported encoder (.onnx), ``start``.

    It holds the trained weights, their moving average (what is exported), the optimiser's state and the time spent.
    """
    torch.set_num_threads(plan.n_threads)
    torch.manual_seed(plan.seed)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.pt"
    encoder, average = SpeechEncoder(), SpeechEncoder()
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=plan.learning_rate, weight_decay=0.02, betas=(0.9, 0.98))
    step, spent_s = 0, 0.0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        encoder.load_state_dict(saved["encoder"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step, spent_s = saved["step"], saved["spent_s"]
    else:
        if start:
            encoder.load_state_dict(exported_weights(start))
        average.load_state_dict(encoder.state_dict())
    stretches = Stretches(corpus, n_batch=plan.n_batch, n_answers=plan.n_answers, seed=1_000_003 * plan.seed + step)
    loader = DataLoader(stretches, batch_size=None, num_workers=plan.n_workers, prefetch_factor=4)

    def save() -> None:
        state: dict[str, Any] = {
            "encoder": encoder.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "spent_s": spent_s,
        }
        torch.save(state, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    saved_s, first, smooth = spent_s, step, [0.0, 0.0, 0.0, 0.0]
    with Progress(*columns) as progress:
        bar = progress.add_task("training", total=plan.steps, completed=step)
        try:
            before = float("inf")
            for mel, visemes, articulation in _echoed(iter(loader), plan.n_uses):
                before = min(before, time.monotonic())  # time counts from the first batch: reading the corpus is free
                if step >= plan.steps:
                    break
                for group in optimiser.param_groups:
                    group["lr"] = plan.learning_rate * _schedule(step, plan.steps)
                with torch.autocast("cpu", torch.bfloat16, enabled=plan.bf16):
                    logits, channels = (answer.float() for answer in encoder(mel))
                by_class, by_channel, opening = loss_of(logits, channels, visemes, articulation)
                loss = by_class + 1.5 * by_channel + 6 * opening
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
                optimiser.step()
                step += 1
                _follow(average, encoder, min(0.99, 1 - 10 / (step + 10)))
                now = time.monotonic()
                spent_s, before = spent_s + now - before, now
                right = (logits.argmax(-1) == visemes).float().mean()
                for i, value in enumerate((by_class, by_channel, opening, right)):
                    smooth[i] += (float(value.detach()) - smooth[i]) * max(0.02, 1 / (step - first))
                described = "step {} class {:.3f} channels {:.3f} opening {:.4f} right {:.3f}".format(step, *smooth)
                progress.update(bar, completed=step, description=described)
                if step % 50 == 0:
                    progress.console.log(f"{described} at {spent_s:.0f} s")
                if spent_s - saved_s > _SAVE_EVERY_S:
                    save()
                    saved_s = spent_s
        finally:
            save()
    return path


def _echoed(fresh: Iterator[Batch], n_uses: int) -> Iterator[Batch]:
    """Batches drawn at random from a pool of the latest; a fresh one comes in for every ``n_uses`` that go out."""
    pool: list[Batch] = []
    while True:
        pool.append(next(fresh))
        pool = pool[-_POOL:]
        for _ in range(n_uses if len(pool) > 4 else 1):
            mel, visemes, articulation = (
                torch.cat(column) for column in zip(*random.sample(pool, min(3, len(pool))), strict=True)
            )
            chosen = torch.randperm(len(mel))[: len(pool[0][0])]
            yield mel[chosen], visemes[chosen], articulation[chosen]


def _schedule(step: int, steps: int) -> float:
    """Share of the highest learning rate: up over 200 steps, level, and down to almost nothing over the last third.

    Level, so that a run can be resumed with other ``steps`` to end it sooner or later.
    """
    return min(1.0, (step + 1) / 200, max(0.02, 3 * (1 - step / steps)))


def _follow(average: nn.Module, trained: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), trained.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)
