"""Places in a picture, by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float32]
"""An affine map of pixel coordinates (x right, y down, pixel centres on whole numbers), float32 (2, 3)."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.width)

    def halved(self) -> Box:
        """The same rectangle on the chroma planes of an I420 picture; all four numbers must be even."""
        return Box(self.left // 2, self.top // 2, self.width // 2, self.height // 2)


def footprint(face: Affine, crop: Size, frame: Size, margin: int = 0) -> Box:
    """The smallest rectangle with even numbers that holds a warped crop, cut to the frame.

    Args:
        face: maps crop pixels to frame pixels.
        crop: size of the crop that is warped.
        frame: size of the frame that it is warped into.
        margin: pixels more on each side.
    """
    corners = np.array(
        [
            [-0.5, -0.5, 1],
            [crop.width - 0.5, -0.5, 1],
            [-0.5, crop.height - 0.5, 1],
            [crop.width - 0.5, crop.height - 0.5, 1],
        ],
        np.float64,
    )
    x, y = np.asarray(face, np.float64) @ corners.T
    left, right = max(0, math.floor(x.min()) - margin) & ~1, min(frame.width, math.ceil(x.max()) + 1 + margin)
    top, bottom = max(0, math.floor(y.min()) - margin) & ~1, min(frame.height, math.ceil(y.max()) + 1 + margin)
    return Box(left, top, max(0, right - left) & ~1, max(0, bottom - top) & ~1)


def relative_to(face: Affine, box: Box) -> Affine:
    """The map ``face`` with its results counted from the box's top-left pixel."""
    moved = face.copy()
    moved[:, 2] -= (box.left, box.top)
    return moved
