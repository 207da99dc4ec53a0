"""The presenter: built once, then posed in milliseconds."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from models.making.character.brows import Brows, build_brows
from models.making.character.camera import Camera, FaceTrack
from models.making.character.config import CharacterConfig
from models.making.character.eyes import Eye, build_eyes, look
from models.making.character.face import Face, build_face
from models.making.character.garment import Garment, build_garment
from models.making.character.hair import Hair, build_hair
from models.making.character.head import NECK_PIVOT, Head, load_head
from models.making.character.lashes import Lashes, build_lashes
from models.making.character.pose import BREATH_CHEST_CM, Pose
from models.making.character.space import Points, moved, rotation
from models.making.character.stage import build_stage

_LOG = logging.getLogger(__name__)

_NECK_LEVELS = 40
"""The neck turns in this many steps between shoulders and skull."""

_OF_EYES = ("eyeBlink", "eyeLook")
"""Expressions that uncover what was hidden, or hide it: no picture can be moved there."""

_LID_FULL_DEG = 28.0
"""The gaze at which the lids follow by a whole `eyeLookUp` or `eyeLookDown`."""


@dataclass(frozen=True)
class Presenter:
    """Head, eyes, hair and garment on their stage."""

    head: Head
    camera: Camera
    track: FaceTrack
    face: Face
    eyes: tuple[Eye, Eye]
    lashes: Lashes
    brows: Brows
    hair: Hair
    garment: Garment

    def take(self, pose: Pose) -> None:
        """Take a pose."""
        skull = pose.skull
        gazes = [self._gaze(eye, pose, skull) for eye in self.eyes]
        weights = dict(pose.weights)
        up = float(np.mean([gaze[1] for gaze in gazes])) / _LID_FULL_DEG
        lids = "eyeLookUp" if up > 0 else "eyeLookDown"
        weights[lids] = weights.get(lids, 0.0) + abs(up)
        shaped = self.head.shaped(weights)
        self.face.follow(self._turned(shaped, pose), pose.body)
        for eye, (right, above) in zip(self.eyes, gazes, strict=True):
            look(eye, skull, right, above)
        self.lashes.follow(shaped, skull)
        self.brows.follow(shaped, skull)
        self.hair.follow(skull)
        self.garment.follow(pose.chest)

    def points(self, pose: Pose) -> Points:
        """Where points of head, hair and garment are in a pose, (n, 3) cm; the same points in every pose."""
        shown = {name: value for name, value in pose.weights.items() if not name.startswith(_OF_EYES)}
        shaped = self.head.shaped(shown)
        return np.concatenate(
            [
                moved(pose.body, self._turned(shaped, pose)),
                moved(pose.skull, self.hair.outline),
                moved(pose.chest, self.garment.outline),
            ]
        )

    def _turned(self, vertices: Points, pose: Pose) -> Points:
        """Vertices (n, 3) with the skull turned on the neck and the chest breathing, before the body leans."""
        share = self.head.skull_share
        level = np.round(share * _NECK_LEVELS).astype(int)
        turned = np.empty_like(vertices)
        for step in np.unique(level):
            part = level == step
            amount = step / _NECK_LEVELS
            turn = rotation(pose.yaw * amount, pose.pitch * amount, pose.roll * amount)
            turned[part] = (vertices[part] - NECK_PIVOT) @ turn.T + NECK_PIVOT
        lift = np.linalg.inv(pose.body) @ pose.skull @ np.append(NECK_PIVOT, 1)
        skull_lift = lift[:3] - NECK_PIVOT
        breathing = (1 - share)[:, None] * pose.breath * BREATH_CHEST_CM
        return np.asarray(turned + share[:, None] * skull_lift + breathing, np.float64)

    def _gaze(self, eye: Eye, pose: Pose, skull: NDArray[np.float64]) -> tuple[float, float]:
        """Degrees (right, up) in the skull at which an eye looks past the camera by the pose's gaze."""
        towards = skull[:3, :3].T @ (self.camera.place - moved(skull, eye.centre))
        right = np.degrees(np.arctan2(towards[0], towards[2]))
        above = np.degrees(np.arctan2(towards[1], np.hypot(towards[0], towards[2])))
        return float(right + pose.gaze_right), float(above + pose.gaze_up)


def build_presenter(head_folder: Path, config: CharacterConfig | None = None) -> Presenter:
    """Build the presenter in an empty scene, in the rest pose; about twenty seconds."""
    config = config or CharacterConfig()
    head = load_head(head_folder, config.identity)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    camera = Camera.of(config)
    presenter = Presenter(
        head=head,
        camera=camera,
        track=FaceTrack.of(head, camera),
        face=build_face(head, config),
        eyes=build_eyes(head),
        lashes=build_lashes(head),
        brows=build_brows(head),
        hair=build_hair(head, config),
        garment=build_garment(head),
    )
    build_stage(config)
    presenter.take(Pose())
    _LOG.info("built the presenter: %d vertices, %d strands", len(head.neutral), config.n_strands)
    return presenter
