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


def mouth_mask(most: Map, threshold: float = 6.0, dilate_px: int = 4, feather_px: int = 10) -> NDArray[np.uint8]:
    """A soft mask, uint8 (patch, patch): 255 wherever the face moves, falling to 0 around it and at the border.

    Args:
        most: the second map of `measure_motion`.
        threshold: difference in levels above which a pixel counts as moving.
        dilate_px: how far the mask goes beyond what moves before it starts to fall.
        feather_px: over how many pixels it falls.
    """
    patch = most.shape[0]
    moving = (most > threshold).astype(np.uint8)
    moving = np.asarray(cv2.morphologyEx(moving, cv2.MORPH_OPEN, _disc(2)), np.uint8)
    moving = np.asarray(cv2.morphologyEx(moving, cv2.MORPH_CLOSE, _disc(patch // 10)), np.uint8)
    moving = _largest(moving)
    moving = np.asarray(cv2.dilate(moving, _disc(dilate_px)), np.uint8)
    to_border = np.minimum.reduce(np.meshgrid(*[np.minimum(np.arange(patch), np.arange(patch)[::-1])] * 2))
    outside = cv2.distanceTransform(1 - moving, cv2.DIST_L2, 5)
    fall = np.clip(1 - outside / feather_px, 0, 1)
    fall = np.minimum(fall, np.clip((to_border - 1) / feather_px, 0, 1))
    smooth = cv2.GaussianBlur(fall * fall * (3 - 2 * fall), (0, 0), feather_px / 5)
    smooth[to_border == 0] = 0
    return np.asarray(np.round(smooth * 255), np.uint8)


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def _largest(moving: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Only the largest connected part."""
    n, labels, stats, _ = cv2.connectedComponentsWithStats(moving)
    if n < 2:
        return moving
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest, np.uint8)
