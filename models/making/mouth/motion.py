"""Where a face changes when its mouth moves, and the mask that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.making.mouth.regions import Pose

Map = NDArray[np.float32]
"""One number per pixel of crop space, float32 (patch, patch)."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How much each pixel differs, in levels (0–255).

    Attributes:
        mean: between rest and speech, on average.
        most: between rest and speech, the second largest of all mouths: one stray sample does not widen the mask.
        unrest: between poses at rest, their standard deviation. Large where crops are not aligned: at the edges of
            neck and hair, which do not follow the skull.
    """

    mean: Map
    most: Map
    unrest: Map


def measure_motion(poses: Sequence[Pose], patch: int) -> Motion:
    """The motion of at least one pose."""
    rests = np.stack([_smoothed(pose.rest.crop(patch)) for pose in poses])
    mean = np.zeros((patch, patch), np.float64)
    highest, second = np.zeros((patch, patch), np.float32), np.zeros((patch, patch), np.float32)
    n = 0
    for pose, rest in zip(poses, rests, strict=True):
        for spoken in pose.spoken:
            level = np.abs(_smoothed(spoken.crop(patch)) - rest).max(axis=2)
            mean += level
            second = np.maximum(second, np.minimum(highest, level))
            highest = np.maximum(highest, level)
            n += 1
    return Motion(np.asarray(mean / max(n, 1), np.float32), second, np.asarray(rests.std(axis=0).max(axis=2)))


def mouth_mask(
    motion: Motion, still: float = 8.0, moving: float = 18.0, aligned: float = 0.6, soft_px: float = 6.0
) -> NDArray[np.uint8]:
    """A soft mask, uint8 (patch, patch): 255 where the face moves, 0 where it is still and at the crop's border.

    It falls where there is little to be seen of its falling: the mask follows the motion itself, widened and blurred,
    with bays and holes filled.

    Args:
        motion: of all poses.
        still: motion in levels up to which a neighbourhood counts as still.
        moving: motion from which it is replaced altogether.
        aligned: motion counts less and less where its mean is below this share of the unrest.
        soft_px: standard deviation of the blur; the border's fall is a little over twice as wide.
    """
    patch = motion.most.shape[0]
    share_of_unrest = np.asarray(cv2.GaussianBlur(motion.mean / (motion.unrest + 1), (0, 0), patch / 80), np.float32)
    levels = np.minimum(motion.most * np.clip(share_of_unrest / aligned, 0, 1), 2 * moving)
    # Thin lines are edges that move by a fraction of a pixel.
    levels = np.asarray(cv2.morphologyEx(levels, cv2.MORPH_OPEN, _disc(patch // 50)), np.float32)
    levels = np.asarray(cv2.dilate(levels, _disc(patch // 40)), np.float32)
    bay = patch // 10
    framed = cv2.copyMakeBorder(levels, bay, bay, bay, bay, cv2.BORDER_REPLICATE)
    filled = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, _disc(bay))
    blurred = np.asarray(cv2.GaussianBlur(filled, (0, 0), soft_px), np.float64)[bay:-bay, bay:-bay]
    to_border = np.minimum.reduce(np.meshgrid(*[np.minimum(np.arange(patch), np.arange(patch)[::-1])] * 2))
    share = cv2.GaussianBlur(_rise((blurred - still) / (moving - still)), (0, 0), soft_px / 2)
    share = share * _rise((to_border - 0.5) / (2.3 * soft_px))
    return np.asarray(np.round(255 * share), np.uint8)


def _smoothed(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(crop.astype(np.float32), (0, 0), 1.5), np.float32)


def _rise(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(value, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float64)


def _disc(radius: int) -> NDArray[np.uint8]:
    radius = max(1, radius)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
