"""Where a face changes when its mouth moves, and the mask that follows from it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.making.mouth.regions import Pose

Map = NDArray[np.float32]
"""One number per pixel of crop space, float32 (patch, patch)."""


def measure_motion(poses: Sequence[Pose], patch: int) -> tuple[Map, Map]:
    """How much each pixel differs between rest and speech, in levels (0–255): on average, and nearly at most.

    "Nearly at most" is the second largest difference over all mouths: one stray sample does not widen the mask.
    """
    mean = np.zeros((patch, patch), np.float64)
    highest, second = np.zeros((patch, patch), np.float32), np.zeros((patch, patch), np.float32)
    n = 0
    for pose in poses:
        rest = pose.rest.crop(patch).astype(np.float32)
        for spoken in pose.spoken:
            difference = np.abs(spoken.crop(patch).astype(np.float32) - rest)
            level = np.asarray(cv2.GaussianBlur(difference, (0, 0), 1.5).max(axis=2), np.float32)
            mean += level
            second = np.maximum(second, np.minimum(highest, level))
            highest = np.maximum(highest, level)
            n += 1
    return np.asarray(mean / max(n, 1), np.float32), second


def mouth_mask(most: Map, still: float = 8.0, moving: float = 18.0, soft_px: float = 6.0) -> NDArray[np.uint8]:
    """A soft mask, uint8 (patch, patch): 255 where the face moves, 0 where it is still and at the crop's border.

    It falls where there is little to be seen of its falling: the mask follows the motion itself, widened and blurred,
    with bays and holes filled.

    Args:
        most: the second map of `measure_motion`.
        still: difference in levels up to which a neighbourhood counts as still.
        moving: difference from which it is replaced altogether.
        soft_px: standard deviation of the blur; the border's fall is a little over twice as wide.
    """
    patch = most.shape[0]
    # Thin lines are the edge of hair and neck, moved by a fraction of a pixel.
    motion = np.asarray(cv2.morphologyEx(most, cv2.MORPH_OPEN, _disc(patch // 50)), np.float32)
    motion = np.asarray(cv2.dilate(np.minimum(motion, 2 * moving), _disc(patch // 40)), np.float32)
    bay = patch // 10
    framed = cv2.copyMakeBorder(motion, bay, bay, bay, bay, cv2.BORDER_REPLICATE)
    filled = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, _disc(bay))
    blurred = np.asarray(cv2.GaussianBlur(filled, (0, 0), soft_px), np.float64)[bay:-bay, bay:-bay]
    to_border = np.minimum.reduce(np.meshgrid(*[np.minimum(np.arange(patch), np.arange(patch)[::-1])] * 2))
    share = cv2.GaussianBlur(_rise((blurred - still) / (moving - still)), (0, 0), soft_px / 2)
    share = share * _rise((to_border - 0.5) / (2.3 * soft_px))
    return np.asarray(np.round(255 * share), np.uint8)


def _rise(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(value, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float64)


def _disc(radius: int) -> NDArray[np.uint8]:
    radius = max(1, radius)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)
