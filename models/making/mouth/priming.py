"""A renderer's first draft, worked out instead of trained: seconds where gradient descent takes an hour.

The principal components of what speech adds to a face at rest become the pictures that the renderer mixes, those of
the faces at rest its likenesses. A Gaussian process (Rasmussen & Williams, 2006, algorithm 2.1 and section 5.4) tells
the mixture for any articulation and likeness, having found how far the influence of each channel reaches; the
renderer's small embedding learns from it. Training starts from a face that speaks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avatar.articulation import CHANNELS, TARGETS
from models.making.mouth.lessons import to_images
from models.making.mouth.regions import Pose
from models.nets.mouth_renderer import HALF, LIKENESS, MouthRenderer, gate, replaced

_LEAST_GATE = 0.3
"""Mouths that hardly move say little about what to add to them: they are not scaled up further than this."""

_REACH, _LIKENESS_REACH, _NOISE = 0.8, 1.0, 1e-3
"""Length scales and noise that the Gaussian process starts from."""

_LEAST_REACH = 0.3
"""Shorter ones make a mouth that wobbles between the mouths it knows."""

_LIKENESS_SPREAD = 0.08
"""Standard deviation of a likeness."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """A Gaussian process from articulations and likenesses (n, 7 + likenesses) to amounts of pictures (n, rank).

    It never goes beyond the ``least`` and the ``most`` that there was of a picture: outside of what it knows it would
    run on, and a picture too much of is no mouth.
    """

    places: Tensor
    reach: Tensor
    solved: Tensor
    least: Tensor
    most: Tensor

    @classmethod
    def fit(cls, places: Tensor, amounts: Tensor, strengths: Tensor, n_steps: int = 100) -> Mixing:
        """The process through ``amounts`` at ``places``, with the reaches and the noise that make them likeliest.

        Every picture has an amplitude of its own; reaches are shared, and count for pictures by their ``strengths``.
        """
        reaches = [_REACH] * len(CHANNELS) + [_LIKENESS_REACH] * (places.shape[1] - len(CHANNELS))
        known, share = amounts.double(), (strengths**2 / (strengths**2).sum()).double()
        log_reach = torch.tensor(reaches, dtype=torch.float64).log().requires_grad_()
        log_noise = torch.tensor(_NOISE, dtype=torch.float64).log().requires_grad_()
        optimiser = torch.optim.Adam([log_reach, log_noise], lr=0.1)
        n = len(places)
        for _ in range(n_steps):
            factor = _factor(places, log_reach.exp(), log_noise.exp())
            amplitude = (known * torch.cholesky_solve(known, factor)).sum(dim=0).clamp_min(1e-9) / n
            unlikely = (share * amplitude.log()).sum() * n / 2 + factor.diagonal().log().sum()
            optimiser.zero_grad(set_to_none=True)
            unlikely.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                log_reach.clamp_(min=math.log(_LEAST_REACH))
        with torch.no_grad():
            reach = log_reach.exp()
            solved = torch.cholesky_solve(known, _factor(places, reach, log_noise.exp()))
        return cls(places, reach, solved, amounts.amin(dim=0), amounts.amax(dim=0))

    def at(self, places: Tensor) -> Tensor:
        """Its mean, within what there was."""
        mean = (_kernel(places, self.places, self.reach) @ self.solved).float()
        return mean.clamp(self.least, self.most)


def prime(
    network: MouthRenderer, poses: Sequence[Pose], weight: NDArray[np.float32], n_steps: int = 2000, seed: int = 1
) -> float:
    """Give the network its likenesses, its pictures and its mixture.

    Args:
        network: changed in place.
        poses: to learn from.
        weight: how much each pixel counts, (patch, patch), mean 1.
        n_steps: in which the embedding learns the mixture; a millisecond each.

    Returns:
        The share of the (weighted) variance that the pictures hold.
    """
    likenesses = _set_likeness(network, poses, weight)
    network.limits.copy_(
        torch.from_numpy(np.max([mouth.articulation for pose in poses for mouth in pose.spoken], axis=0))
    )
    added, articulations = _what_speech_adds(network, poses)
    of_pose = torch.tensor([index for index, pose in enumerate(poses) for _ in (pose.rest, *pose.spoken)])
    amounts, strengths, held = _set_pictures(network, added, weight)
    mixing = Mixing.fit(torch.cat([articulations, likenesses[of_pose]], dim=1), amounts, strengths)
    _teach(network, mixing, articulations, likenesses, strengths / strengths[0], n_steps, seed)
    return held


def _set_likeness(network: MouthRenderer, poses: Sequence[Pose], weight: NDArray[np.float32]) -> Tensor:
    """Make the network see what poses differ in most, and know the lips they have in common; the poses' likenesses."""
    window = network.config.window
    rests = torch.from_numpy(to_images([pose.rest.crop(network.config.patch) for pose in poses])) / HALF - 1
    importance = functional.avg_pool2d(torch.from_numpy(weight)[None, None], 8).sqrt().expand(-1, 3, -1, -1).flatten()
    small = functional.avg_pool2d(rests, 8).flatten(1)
    mean = small.mean(dim=0)
    _, values, components = torch.linalg.svd((small - mean) * importance, full_matrices=False)
    n = min(network.config.n_likeness, len(poses) - 1)
    spread = _LIKENESS_SPREAD * len(poses) ** 0.5 / values[:n].clamp_min(1e-6)
    with torch.no_grad():
        network.likeness.weight.zero_()
        network.likeness.bias.zero_()
        network.plain.copy_(rests.mean(dim=0)[:, window.rows, window.columns])
        network.likeness.weight[:n] = components[:n] * importance * spread[:, None]
        network.likeness.bias[:n] = -(network.likeness.weight[:n] @ mean)
        likenesses: Tensor = network.likeness(small).clamp(-LIKENESS, LIKENESS)
    return likenesses


def _set_pictures(network: MouthRenderer, added: Tensor, weight: NDArray[np.float32]) -> tuple[Tensor, Tensor, float]:
    """Make the network's pictures the principal components of ``added``.

    Returns:
        How much of each picture each mouth has, (n, rank), with mean square 1; how strong the pictures are; and which
        share of the variance they hold.
    """
    config, window = network.config, network.config.window
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

    # Through the (n, n) matrix of inner products: mouths are far fewer than pixels.
    values, vectors = torch.linalg.eigh((weighted @ weighted.T).double())
    n = min(config.rank, len(rows) - 1)
    strengths = torch.zeros(config.rank)
    amounts = torch.zeros(len(rows), config.rank)
    strengths[:n] = values.flip(0)[:n].clamp_min(1e-12).sqrt().float()
    amounts[:, :n] = vectors.flip(1)[:, :n].float() * len(rows) ** 0.5
    with torch.no_grad():
        network.pictures.weight.copy_((weighted.T @ amounts) / len(rows) / scale[:, None])
        network.pictures.bias.copy_(mean)
    return amounts, strengths, float(values.flip(0)[:n].sum() / values.sum())


def _teach(
    network: MouthRenderer,
    mixing: Mixing,
    articulations: Tensor,
    likenesses: Tensor,
    importance: Tensor,
    n_steps: int,
    seed: int,
) -> None:
    """Teach the embedding what the process says of the known mouths, of visemes and all between them."""
    random = torch.Generator().manual_seed(seed)
    visemes = torch.from_numpy(TARGETS.copy())
    n = 128

    def some(rows: Tensor) -> Tensor:
        return rows[torch.randint(len(rows), (n,), generator=random)]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random)

    parameters = [*network.embedding.parameters(), *network.mixture.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=4e-3)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    for _ in range(n_steps):
        share = uniform(n, 1)
        between = (share * some(visemes) + (1 - share) * some(visemes)) * 1.1 * uniform(n, 1)
        anything = uniform(n, len(CHANNELS)) ** 2 * (0.2 + 0.5 * uniform(n, 1))
        said = torch.cat([some(articulations), between, anything]).clamp(0, 1)
        seen = torch.cat([some(likenesses) for _ in range(3)])
        places = torch.cat([said, seen + 0.02 * torch.randn(seen.shape, generator=random)], dim=1)
        loss = (((network.mixture(network.embedding(places)) - mixing.at(places)) * importance) ** 2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        falling.step()


def _kernel(a: Tensor, b: Tensor, reach: Tensor) -> Tensor:
    return torch.exp(-0.5 * torch.cdist(a.double() / reach, b.double() / reach) ** 2)


def _factor(places: Tensor, reach: Tensor, noise: Tensor) -> Tensor:
    """The Cholesky factor of the places' covariance."""
    known: Tensor = torch.linalg.cholesky(
        _kernel(places, places, reach) + noise * torch.eye(len(places), dtype=torch.float64)
    )
    return known


def _what_speech_adds(network: MouthRenderer, poses: Sequence[Pose]) -> tuple[Tensor, Tensor]:
    """What the draft has to be (n, 3, patch, patch) for articulations (n, 7): ±2 at most before the gate is taken out.

    A pose at rest is among its mouths: nothing said, nothing added.
    """
    window, patch = network.config.window, network.config.patch
    differences, rests, articulations = [], [], []
    for pose in poses:
        rest = pose.rest.crop(patch).astype(np.float32)
        for mouth in (pose.rest, *pose.spoken):
            differences.append(mouth.crop(patch).astype(np.float32) - rest)
            rests.append(rest[window.rows, window.columns])
            articulations.append(mouth.articulation)
    said = torch.from_numpy(np.stack(articulations))
    added = torch.from_numpy(to_images(differences)) / HALF / gate(said).clamp_min(_LEAST_GATE)[:, None, None, None]
    lips = (torch.from_numpy(to_images(rests)) / HALF - 1 - network.plain.detach()) * network.fade
    added[:, :, window.rows, window.columns] += replaced(said)[:, None, None, None] * lips
    return added, said
