"""Clips from the atlas: each frame is rendered pictures moved to its pose, mixed, and given its eyes."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.making.character.atlas import EYES, KEYS, SCALE, THINK_EYES
from models.making.character.camera import Camera, Region
from models.making.character.config import FRAME_PX
from models.making.character.head import Head
from models.making.character.performance import PERFORMANCES, Eyes, Moment
from models.making.character.pose import Pose
from models.making.character.presenter import Presenter
from models.making.character.reprojection import Field, displacement, seen_through
from models.making.character.space import Points, moved

_LOG = logging.getLogger(__name__)

_ANTIALIAS_PX = 0.55
"""Blur of the larger pictures, which are read at fewer places than they have."""

_EYE_CM = (2.35, 1.30)
"""Half width and half height of the part that an eye's pictures fill."""

_EYE_SOFT_PX = 3.5


class Atlas:
    """The rendered pictures by name, float32 (h, w, 3)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.picture = cache(self._picture)

    def _picture(self, name: str) -> NDArray[np.float32]:
        path = self._folder / f"{name}.png"
        stored = cv2.imread(str(path))
        if stored is None:
            raise FileNotFoundError(f"{path} is missing or broken; delete it and render the atlas again")
        picture = np.asarray(cv2.GaussianBlur(stored.astype(np.float32), (0, 0), _ANTIALIAS_PX), np.float32)
        if name in KEYS:
            return picture
        key = key_of(name)
        return _set_in(self.picture(key), picture, THINK_EYES if key == "think" else EYES)


def key_of(name: str) -> str:
    """The key whose pose a picture shows."""
    return name if name in KEYS else name.split(" ")[0]


def make_clip(presenter: Presenter, atlas: Atlas, name: str, folder: Path) -> None:
    """Leaves ``0000.png``… and ``track.npz`` with ``faces`` (n, 2, 3) float32: from crop to frame pixels."""
    performance = PERFORMANCES[name]
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.png"):
        stale.unlink()
    moments = [performance.motion(frame) for frame in range(performance.n_frames)]
    stage = _Stage(presenter, atlas)
    for frame, moment in enumerate(moments):
        cv2.imwrite(str(folder / f"{frame:04d}.png"), stage.show(moment))
    faces = np.stack([presenter.track.affine(moment.pose) for moment in moments]).astype(np.float32)
    np.savez(folder / "track.npz", faces=faces)
    _LOG.info("%s: %d frames", name, len(moments))


class _Stage:
    def __init__(self, presenter: Presenter, atlas: Atlas) -> None:
        self._presenter = presenter
        self._atlas = atlas
        self._points = {name: presenter.points(pose) for name, pose in KEYS.items()}

    def show(self, moment: Moment) -> NDArray[np.uint8]:
        """A frame, uint8 (FRAME_PX, FRAME_PX, 3), BGR."""
        here = self._presenter.points(moment.pose)
        fields: dict[str, Field] = {}

        def seen(name: str) -> NDArray[np.float32]:
            key = key_of(name)
            if key not in fields:
                fields[key] = displacement(self._presenter.camera, here, self._points[key])
            return seen_through(self._atlas.picture(name), fields[key])

        frame = np.zeros((FRAME_PX, FRAME_PX, 3), np.float32)
        for name, share in moment.looks.items():
            if share > 0:
                frame += share * seen(name)
        if moment.eyes is not None:
            mask = self._eye_mask(moment.pose, moment.eyes)[..., None] * moment.eyes.share
            frame += mask * (seen(moment.eyes.picture) - frame)
        return np.asarray(np.clip(np.round(frame), 0, 255), np.uint8)

    def _eye_mask(self, pose: Pose, eyes: Eyes) -> NDArray[np.float32]:
        """Where a moment's eyes are laid over its frame, 0 to 1."""
        return eye_mask(self._presenter.head, self._presenter.camera, pose, eyes.only_left)


def eye_mask(head: Head, camera: Camera, pose: Pose, only_left: bool) -> NDArray[np.float32]:
    """A soft ellipse over each eye of a pose, (FRAME_PX, FRAME_PX)."""
    mask = np.zeros((FRAME_PX, FRAME_PX), np.float32)
    for marks in (slice(42, 48),) if only_left else (slice(36, 42), slice(42, 48)):
        middle: Points = head.marks[marks].mean(axis=0)
        outward = np.sign(middle[0]) * 0.15
        ring = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        oval = np.column_stack([np.cos(ring) * _EYE_CM[0] + outward, np.sin(ring) * _EYE_CM[1] + 0.10, np.zeros(48)])
        outline = camera.project(moved(pose.skull, oval + middle))
        cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1.0, cv2.LINE_AA, shift=4)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), _EYE_SOFT_PX), np.float32)


def _set_in(whole: NDArray[np.float32], part: NDArray[np.float32], region: Region) -> NDArray[np.float32]:
    """A copy of a picture with a part of it, rendered apart, in its place."""
    left, top = round(region.left * SCALE), round(region.top * SCALE)
    copied = whole.copy()
    copied[top : top + part.shape[0], left : left + part.shape[1]] = part
    return copied
