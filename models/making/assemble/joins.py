"""Where clips can be left for one another, by how alike their pictures are outside of the mouth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.bundle import Join, cycle_of
from models.making.assemble.footage import Footage

_SMALL = 64
"""Pictures are compared at this width and height, blurred: what matters is where things are, not their grain."""

_CROSSING_FRAMES = 2.0
"""How far two clips part in a crossing of three frames for each frame's worth of difference in speed."""

_FACE = 4.0
"""How much more a pixel of the face counts than one beside it: it is what people look at."""

GESTURE_ENTRIES = 3
"""A gesture is entered in one of its first frames, or it would not be seen whole."""

Matrix = NDArray[np.float64]
"""One number for each frame of one clip and each of another, (n, m)."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Small pictures of the steps of a clip's cycle, flattened.

    Attributes:
        luma: (n, k).
        speed: how it changes from step to step, (n, k).
        weight: how much each pixel counts, (n, k): nothing where a mouth is drawn, more on the face around it.
    """

    luma: Matrix
    speed: Matrix
    weight: Matrix

    @classmethod
    def of(cls, clip: Footage, mask: NDArray[np.uint8]) -> Looks:
        """What of ``clip`` is compared; ``mask`` (patch, patch) is where the mouth will be drawn over."""
        luma = np.stack([_small(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)) for picture in clip.pictures])
        height, width = clip.pictures.shape[1:3]
        size, face_crop = (width, height), np.ones_like(mask)
        drawn = np.stack([_small(cv2.warpAffine(mask, face, size)) for face in clip.faces]) / 255
        on_face = np.stack([_small(cv2.warpAffine(face_crop, face, size)) for face in clip.faces])
        n = len(luma)
        steps = [step if step < n else 2 * n - 2 - step for step in range(cycle_of(n, clip.there_and_back))]
        luma, weight = luma[steps], ((1 - drawn) * (1 + (_FACE - 1) * on_face))[steps]
        if clip.there_and_back:
            speed = (np.roll(luma, -1, axis=0) - np.roll(luma, 1, axis=0)) / 2
        else:
            speed = np.gradient(luma, axis=0) if n > 1 else np.zeros_like(luma)
        return cls(luma, speed, weight)


def find_joins(
    clips: Sequence[Footage], mask: NDArray[np.uint8], gestures: Collection[str]
) -> dict[str, dict[str, Join]]:
    """For every clip and every other one, where each step goes on best, and how well: see `avatar.bundle.Join`.

    A gesture also has a join to itself: it may be asked for twice.

    Args:
        clips: all of an avatar's clips.
        mask: where mouths are drawn, in crop space, uint8 (patch, patch).
        gestures: names of the clips that are played once.
    """
    looks = {clip.name: Looks.of(clip, mask) for clip in clips}
    step = ordinary_step(list(looks.values()))
    joins: dict[str, dict[str, Join]] = {}
    for clip in clips:
        joins[clip.name] = {}
        for other in clips:
            if other is clip and clip.name not in gestures:
                continue
            cost = parting(looks[clip.name], looks[other.name]) / step
            if other.name in gestures:
                cost = cost[:, :GESTURE_ENTRIES]
            entry = cost.argmin(axis=1)
            lowest = np.take_along_axis(cost, entry[:, None], axis=1)[:, 0]
            joins[clip.name][other.name] = Join(entry.astype(np.int32), lowest.astype(np.float32))
    return joins


def parting(here: Looks, there: Looks) -> Matrix:
    """How far apart two clips are if one is left for the other, in levels, for all pairs of their steps.

    The distance of the pictures, and of where they are going.
    """
    apart = distance_squared(here.luma, here.weight, there.luma, there.weight)
    towards = distance_squared(here.speed, here.weight, there.speed, there.weight)
    return np.asarray(np.sqrt(apart + _CROSSING_FRAMES**2 * towards), np.float64)


def distance_squared(a: Matrix, weight_a: Matrix, b: Matrix, weight_b: Matrix) -> Matrix:
    """Weighted mean squared differences (n, m) of the rows of a (n, k) and of b (m, k)."""
    total = weight_a @ weight_b.T
    squares = (weight_a * a * a) @ weight_b.T - 2 * (weight_a * a) @ (weight_b * b).T + weight_a @ (weight_b * b * b).T
    return np.asarray(np.maximum(squares, 0) / np.maximum(total, 1e-9), np.float64)


def ordinary_step(looks: Sequence[Looks]) -> float:
    """The median distance of frames that follow one another in their clip, in levels; never quite 0."""
    steps: list[float] = []
    for clip in looks:
        shared = clip.weight[1:] * clip.weight[:-1]
        squared = (shared * np.diff(clip.luma, axis=0) ** 2).sum(axis=1) / np.maximum(shared.sum(axis=1), 1e-9)
        steps += np.sqrt(squared).tolist()
    return max(float(np.median(steps)) if steps else 0.0, 1e-3)


def _small(grey: NDArray[np.generic]) -> NDArray[np.float64]:
    shrunk = cv2.resize(np.asarray(grey, np.float32), (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(shrunk, (0, 0), 1.0), np.float64).ravel()
