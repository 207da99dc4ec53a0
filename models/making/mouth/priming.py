"""A renderer's first draft, worked out instead of trained.

The principal components of what speech adds to a face at rest become the pictures that the renderer mixes, and a
moment's regression teaches it the mixture for each articulation. Training then starts from a face that speaks already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.making.mouth.lessons import to_images
from models.making.mouth.regions import Pose
from models.nets.mouth_renderer import HALF, MouthRenderer, gate

_LEAST_GATE = 0.3
"""Mouths that hardly move say little about what to add to them: they are not scaled up further than this."""


def prime(network: MouthRenderer, poses: Sequence[Pose], weight: NDArray[np.float32], n_steps: int = 1500) -> float:
    """Give the network its pictures and its mixture.

    Args:
        network: changed in place.
        poses: to learn from.
        weight: how much each pixel counts, (patch, patch), mean 1.
        n_steps: of the regression; a few milliseconds each.

    Returns:
        The share of the (weighted) variance that the pictures hold.
    """
    config, patch = network.config, network.config.patch
    window = config.window
    added, articulations = _what_speech_adds(poses, patch)
    importance = torch.from_numpy(weight).sqrt()
    halves = functional.avg_pool2d(added, 2)
    rest = added - functional.interpolate(halves, scale_factor=2.0, mode="bilinear", align_corners=False)
    near = rest[:, :, window.rows, window.columns]
    # A pixel at half size stands for four.
    face_scale = 2 * functional.avg_pool2d(importance[None, None], 2)[0, 0].expand(3, -1, -1).reshape(-1)
    near_scale = importance[window.rows, window.columns].expand(3, -1, -1).reshape(-1)
    scale = torch.cat([face_scale, near_scale]).clamp_min(1e-3)
    rows = torch.cat([halves.flatten(1), near.flatten(1)], dim=1)
    mean = rows.mean(dim=0)
    weighted = (rows - mean) * scale

    # The components through the (n, n) matrix of inner products: n mouths are far fewer than pixels.
    values, vectors = torch.linalg.eigh((weighted @ weighted.T).double())
    n = min(config.rank, len(rows) - 1)
    strengths = values.flip(0)[:n].clamp_min(1e-12).sqrt().float()
    amounts = vectors.flip(1)[:, :n].float() * len(rows) ** 0.5
    pictures = (weighted.T @ amounts) / len(rows) / scale[:, None]
    held = float(values.flip(0)[:n].sum() / values.sum())

    with torch.no_grad():
        network.pictures.weight.zero_()
        network.pictures.weight[:, :n] = pictures
        network.pictures.bias.copy_(mean)
    _fit_mixture(network, articulations, amounts, strengths / strengths[0], n_steps)
    return held


def _fit_mixture(
    network: MouthRenderer, articulations: Tensor, amounts: Tensor, importance: Tensor, n_steps: int
) -> None:
    parameters = [*network.embedding.parameters(), *network.mixture.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=4e-3, weight_decay=1e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    for _ in range(n_steps):
        noisy = articulations + 0.01 * torch.randn_like(articulations)
        found = network.mixture(network.embedding(noisy))[:, : amounts.shape[1]]
        loss = (((found - amounts) * importance) ** 2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        falling.step()


def _what_speech_adds(poses: Sequence[Pose], patch: int) -> tuple[Tensor, Tensor]:
    """Differences from rest (n, 3, patch, patch), ±2 at most before the gate is taken out, and articulations (n, 7)."""
    differences, articulations = [], []
    for pose in poses:
        rest = pose.rest.crop(patch).astype(np.float32)
        for spoken in pose.spoken:
            differences.append(spoken.crop(patch).astype(np.float32) - rest)
            articulations.append(spoken.articulation)
    said = torch.from_numpy(np.stack(articulations))
    added = torch.from_numpy(to_images(differences)) / HALF
    return added / gate(said).clamp_min(_LEAST_GATE)[:, None, None, None], said
