"""One moment of the presenter: how the body, the head, the eyes and the face are held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.making.character.head import NECK_PIVOT
from models.making.character.mouth import REST
from models.making.character.space import rigid, rotation

WAIST_PIVOT = np.array([0.0, -36.0, -2.0])
"""Where the body leans, cm."""

BREATH_CHEST_CM = np.array([0.0, 0.13, 0.16])
BREATH_HEAD_CM = np.array([0.0, 0.06, 0.02])
"""How far a full breath lifts chest and skull, cm."""


@dataclass(frozen=True)
class Pose:
    """All zero is the common rest pose: upright, facing and looking into the camera, breathed out.

    Angles in degrees: ``yaw`` to the picture's right, ``pitch`` down, ``roll`` to the picture's left, ``lean`` of the
    body likewise; ``gaze_right`` and ``gaze_up`` are measured from the camera, whatever the head does. ``breath`` is
    0 to 1. ``weights`` is the whole expression, rest included.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    lean: float = 0.0
    gaze_right: float = 0.0
    gaze_up: float = 0.0
    breath: float = 0.0
    weights: Mapping[str, float] = field(default_factory=lambda: dict(REST))

    @property
    def body(self) -> NDArray[np.float64]:
        """The body's motion, (4, 4) in model space."""
        return rigid(rotation(0, 0, self.lean), WAIST_PIVOT)

    @property
    def chest(self) -> NDArray[np.float64]:
        """The garment's motion, (4, 4)."""
        breath = np.eye(4)
        breath[:3, 3] = self.breath * BREATH_CHEST_CM
        return self.body @ breath

    @property
    def skull(self) -> NDArray[np.float64]:
        """The skull's motion, (4, 4)."""
        turn = rotation(self.yaw, self.pitch, self.roll)
        return self.body @ rigid(turn, NECK_PIVOT, self.breath * BREATH_HEAD_CM)
