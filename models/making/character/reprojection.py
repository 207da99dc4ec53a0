"""Rendered pictures seen in another pose, by geometry: every point of the presenter is known before and after.

What is foremost in each cell of a coarse grid says where the picture goes there; between such cells, and from the
presenter to the still background, the motion runs out smoothly. Unlike optical flow this estimates nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.making.character.camera import Camera
from models.making.character.config import FRAME_PX
from models.making.character.space import Points

Field = NDArray[np.float32]
"""Where each pixel of a frame is taken from, less where it is, float32 (FRAME_PX, FRAME_PX, 2)."""

_CELL_PX = 3
_FOREMOST_CM = 0.4
"""Points this much deeper than the foremost of their cell are hidden: less than what hair stands off the forehead, or
cells at the hairline would follow now one and now the other."""

_RUNS_OUT_PX = 90
_SOFT_CELLS = 2.0


def displacement(camera: Camera, here: Points, there: Points) -> Field:
    """The field that shows a picture of points ``there`` (n, 3) as if they were ``here`` (n, 3), in cm."""
    n_cells = FRAME_PX // _CELL_PX
    place, source = camera.project(here), camera.project(there)
    cell = np.floor((place + 0.5) / _CELL_PX).astype(int)
    shown = ((cell >= 0) & (cell < n_cells)).all(axis=1)
    index = cell[shown, 1] * n_cells + cell[shown, 0]
    depth = here[shown, 2]
    foremost = np.full(n_cells**2, -np.inf)
    np.maximum.at(foremost, index, depth)
    seen = depth > foremost[index] - _FOREMOST_CM
    index, moves = index[seen], (source - place)[shown][seen]
    count = np.bincount(index, minlength=n_cells**2).reshape(n_cells, n_cells)
    total = np.stack([np.bincount(index, moves[:, axis], n_cells**2).reshape(count.shape) for axis in range(2)], axis=2)

    known = count > 0
    field = np.where(known[..., None], total / np.maximum(count, 1)[..., None], 0).astype(np.float32)
    still = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5) * _CELL_PX > _RUNS_OUT_PX
    field = _filled(field, known | still)
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), _SOFT_CELLS), np.float32)
    return np.asarray(cv2.resize(field, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_CUBIC), np.float32)


def seen_through(picture: NDArray[np.float32], field: Field) -> NDArray[np.float32]:
    """A picture of any size, (height, width, channels), as a frame through a field."""
    scale = picture.shape[0] / FRAME_PX
    y, x = np.mgrid[0:FRAME_PX, 0:FRAME_PX].astype(np.float32)
    x, y = (x + field[..., 0] + 0.5) * scale - 0.5, (y + field[..., 1] + 0.5) * scale - 0.5
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _filled(field: Field, known: NDArray[np.bool_]) -> Field:
    """The field with its unknown cells relaxed to the mean of their neighbours, coarse to fine."""
    start = field * known[..., None]
    share = known.astype(np.float32)
    filled = start.copy()
    for sigma in (32.0, 16.0, 8.0, 4.0, 2.0):
        weight = cv2.GaussianBlur(share, (0, 0), sigma)
        smooth = cv2.GaussianBlur(start, (0, 0), sigma) / np.maximum(weight, 1e-6)[..., None]
        filled = np.where((weight > 1e-3)[..., None], smooth, filled)
    filled = np.where(known[..., None], field, filled).astype(np.float32)
    for _ in range(60):
        blurred = cv2.blur(filled, (3, 3))
        filled = np.where(known[..., None], field, blurred).astype(np.float32)
    return filled
