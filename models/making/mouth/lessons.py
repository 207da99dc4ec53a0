"""Batches to learn from: poses drawn at random, warped to crop space and varied a little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.geometry import Affine
from avatar.pictures import Rgb, from_rgb, to_rgb
from models.making.mouth.regions import Pose

Images = NDArray[np.float32]
"""Pictures for the network, float32 (n, 3, patch, patch), 0–255."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """``p`` crops, and for each of them ``k`` articulations (p * k, 7) and what the face looks like then."""

    crops: Images
    articulations: NDArray[np.float32]
    targets: Images


@dataclass(frozen=True, slots=True)
class Variation:
    """How far pictures are varied; the same for a crop and its targets.

    At run time crops lie exactly where the face track says, so they are moved little, and only in part of the lessons.
    """

    moved_share: float = 0.3
    shift_px: float = 2.0
    scale: float = 0.02
    turn_deg: float = 1.5
    gain: float = 0.04
    tint: float = 0.015
    articulation: float = 0.004
    other_input_share: float = 0.12
    """How often the crop is not the mouth at rest but another of the pose's: footage may move its mouth a little."""
    coded_share: float = 0.6
    """How often the crop has been through a video's half-size colours and a coder."""


class Lessons:
    """Draws lessons of ``p`` poses with ``k`` articulations each."""

    def __init__(self, patch: int, seed: int, p: int = 2, k: int = 4, variation: Variation | None = None) -> None:
        self.patch, self.p, self.k = patch, p, k
        self.variation = variation or Variation()
        self.rng = np.random.default_rng(seed)

    def draw(self, poses: Sequence[Pose]) -> Lesson:
        crops, articulations, targets = [], [], []
        for number in self.rng.integers(0, len(poses), self.p):
            pose, jitter, light = poses[number], self._jitter(), self._light()
            shown = pose.rest
            if self.rng.random() < self.variation.other_input_share:
                shown = pose.spoken[self.rng.integers(len(pose.spoken))]
            crops.append(np.clip(self._coded(shown.crop(self.patch, jitter)) * light, 0, 255))
            for spoken in self._some(len(pose.spoken)):
                region = pose.spoken[spoken]
                targets.append(np.clip(region.crop(self.patch, jitter) * light, 0, 255))
                noise = self.rng.normal(0, self.variation.articulation, region.articulation.shape)
                articulations.append(region.articulation + noise)
        return Lesson(to_images(crops), np.asarray(articulations, np.float32), to_images(targets))

    def _some(self, n: int) -> NDArray[np.int64]:
        return self.rng.choice(n, self.k, replace=n < self.k)

    def _jitter(self) -> Affine | None:
        vary = self.variation
        if self.rng.random() >= vary.moved_share:
            return None
        centre, (turn, scale) = (self.patch - 1) / 2, self.rng.uniform(-1, 1, 2)
        turned = cv2.getRotationMatrix2D((centre, centre), turn * vary.turn_deg, 1 + scale * vary.scale)
        jitter = np.asarray(turned, np.float32)
        jitter[:, 2] += self.rng.uniform(-vary.shift_px, vary.shift_px, 2).astype(np.float32)
        return jitter

    def _light(self) -> NDArray[np.float32]:
        vary = self.variation
        gain = 1 + self.rng.uniform(-vary.gain, vary.gain)
        return np.asarray(gain * (1 + self.rng.uniform(-vary.tint, vary.tint, 3)), np.float32)

    def _coded(self, crop: Rgb) -> Rgb:
        if self.rng.random() >= self.variation.coded_share:
            return crop
        crop = to_rgb(from_rgb(crop))
        _, coded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(self.rng.integers(88, 98))])
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def to_images(pictures: Sequence[NDArray[np.generic]]) -> Images:
    """Pictures (patch, patch, 3) as one array (n, 3, patch, patch)."""
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2), np.float32)
