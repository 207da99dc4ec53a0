"""The scan's proportions made friendlier: larger eyes, a shorter lower face, a lower forehead, a softer jaw.

Everything is moved through one smooth map of space, so lids, teeth, lashes and expressions stay together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.making.character.space import Points, smoothstep

EYE_SCALE = 1.13
"""How much larger the eyes are than the scan's."""

_EYE_CENTRE = np.array([2.94, 3.6, 7.97])
_EYE_KEEPS_CM, _EYE_FADES_CM = 1.75, 4.4
_LIFT_CM = 0.55
_JAW_NARROWS = 0.055
_CROWN_FROM_CM, _CROWN_SCALE = 6.5, 0.955


def restyled(points: Points) -> Points:
    """Points (n, 3) of the scan in cm, moved."""
    moved = points.copy()
    for side in (-1, 1):
        offset = points - _EYE_CENTRE * [side, 1, 1]
        moved += (EYE_SCALE - 1) * _near_eye(points, side)[:, None] * offset
    x, y, z = moved.T
    lower = smoothstep(2.5, -6.5, y) * smoothstep(-12.5, -8.0, y) * smoothstep(-3, 2, z)
    x = x * (1 - _JAW_NARROWS * lower)
    y = np.where(y > _CROWN_FROM_CM, _CROWN_FROM_CM + (y - _CROWN_FROM_CM) * _CROWN_SCALE, y) + _LIFT_CM * lower
    return np.column_stack([x, y, z])


def restyled_delta(points: Points, delta: NDArray[np.float32]) -> NDArray[np.float32]:
    """A blendshape (n, 3) of the scan's points, moved along: what `restyled` makes of the points it leads to."""
    moves = np.abs(delta).max(axis=1) > 0
    there = np.zeros(delta.shape, np.float32)
    there[moves] = restyled(points[moves] + delta[moves]) - restyled(points[moves])
    return there


def _near_eye(points: Points, side: int) -> NDArray[np.float64]:
    distance = np.linalg.norm(points - _EYE_CENTRE * [side, 1, 1], axis=1)
    return 1 - smoothstep(_EYE_KEEPS_CM, _EYE_FADES_CM, distance)
