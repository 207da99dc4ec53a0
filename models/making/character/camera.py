"""The camera as arithmetic: where points of the model appear in the frame, and which part of it shows the mouth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from models.making.character.config import FRAME_PX, CharacterConfig
from models.making.character.head import Head
from models.making.character.pose import Pose
from models.making.character.space import Points, moved, to_blender

CROP_PX = 192
"""Width and height of the mouth crop."""

CROP_IN_FRAME_PX = 232.0
CROP_LEFT_PX, CROP_TOP_PX = 244.0, 338.0
"""The crop's square in a frame at rest: from the base of the nose to below the chin of an open jaw."""

_MARKS: Mapping[int, float] = MappingProxyType(
    {48: 2, 51: 2, 54: 2, 57: 2, 31: 1, 33: 1, 35: 1, 6: 0.5, 8: 0.5, 10: 0.5, 36: 0.1, 39: 0.1, 42: 0.1, 45: 0.1}
)
"""Landmarks that carry the crop, and their weights: all at rest and moved by the skull alone, whatever the mouth does.
An affine cannot follow every depth of a nodding head, so those around the mouth weigh most."""

Affine = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A camera looking along +y of Blender's axes, from ``distance`` and ``height`` (dm)."""

    distance: float
    height: float
    focal: float
    """Focal length over the sensor's width."""

    @classmethod
    def of(cls, config: CharacterConfig) -> Camera:
        """The camera of a configuration."""
        return cls(config.camera_distance, config.camera_height, config.lens_mm / config.sensor_mm)

    @property
    def place(self) -> Points:
        """Where it stands, in model space, (3,) cm."""
        return np.array([0.0, self.height, self.distance]) * 10

    def project(self, points: Points) -> Points:
        """Model points (n, 3) in cm as frame pixels (n, 2), x right, y down, pixel centres at integers."""
        x, y, z = to_blender(points).T
        scale = self.focal * FRAME_PX / (y + self.distance)
        middle = FRAME_PX / 2 - 0.5
        return np.column_stack([middle + scale * x, middle - scale * (z - self.height)])


@dataclass(frozen=True)
class FaceTrack:
    """Follows the skull: `affine` gives for a pose the map from crop to frame pixels."""

    camera: Camera
    marks: Points
    weights: NDArray[np.float64]
    in_crop: Points

    @classmethod
    def of(cls, head: Head, camera: Camera) -> FaceTrack:
        """The track of a head: its landmarks, their weights, and where they are in the crop at rest."""
        marks, weights = head.marks[list(_MARKS)], np.array(list(_MARKS.values()))
        scale = CROP_IN_FRAME_PX / CROP_PX
        corner = np.array([CROP_LEFT_PX, CROP_TOP_PX]) + 0.5 * scale - 0.5
        return cls(camera, marks, weights, (camera.project(marks) - corner) / scale)

    def affine(self, pose: Pose) -> Affine:
        """Least-squares affine (2, 3) from crop to frame pixels, pixel centres at integers, y down."""
        in_frame = self.camera.project(moved(pose.skull, self.marks))
        root = np.sqrt(self.weights)[:, None]
        system = np.column_stack([self.in_crop, np.ones(len(self.in_crop))])
        return np.asarray(np.linalg.lstsq(system * root, in_frame * root, rcond=None)[0].T, np.float64)


@dataclass(frozen=True)
class Region:
    """A rectangle of the frame, in whole pixels."""

    left: int
    top: int
    width: int
    height: int


def region_of(affine: Affine, margin_px: int = 14) -> Region:
    """The part of the frame that holds a crop, with a margin."""
    last = CROP_PX - 1
    corners = np.array([[0, 0, 1], [last, 0, 1], [0, last, 1], [last, last, 1]]) @ affine.T
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin_px, 0, FRAME_PX)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1 + margin_px, 0, FRAME_PX)
    return Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
