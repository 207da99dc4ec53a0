"""Pictures in I420, the pixel format that every encoder takes: a full luma plane, then two chroma planes of half size.

Colours follow ITU-R BT.601 in the limited range (Y 16–235), as OpenCV's and swscale's defaults do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from mmap import mmap
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.geometry import Box, Size

Picture = NDArray[np.uint8]
"""An I420 picture, uint8 (height * 3 / 2, width), contiguous; width and height are even."""

Rgb = NDArray[np.uint8]
"""An RGB picture, uint8 (height, width, 3)."""


Shape = tuple[int, ...]

Arrays = Callable[[Sequence[Shape]], list[NDArray[np.uint8]]]
"""Makes arrays of these shapes, to be filled: where they lie is for the caller to say."""


def anywhere(shapes: Sequence[Shape]) -> list[NDArray[np.uint8]]:
    """Each in memory of its own."""
    return [np.empty(shape, np.uint8) for shape in shapes]


class Planes(NamedTuple):
    """Views of a picture: y (height, width), u and v (height / 2, width / 2)."""

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]


def size_of(picture: Picture) -> Size:
    return Size(picture.shape[1], picture.shape[0] * 2 // 3)


def shape_of(size: Size) -> tuple[int, int]:
    """Of a picture's array."""
    return size.height * 3 // 2, size.width


def n_bytes_of(size: Size) -> int:
    """Memory that a picture takes."""
    return math.prod(shape_of(size))


def planes(picture: Picture) -> Planes:
    width, height = picture.shape[1], picture.shape[0] * 2 // 3
    flat, n_luma, n_chroma = picture.reshape(-1), width * height, width * height // 4
    return Planes(
        flat[:n_luma].reshape(height, width),
        flat[n_luma : n_luma + n_chroma].reshape(height // 2, width // 2),
        flat[n_luma + n_chroma :].reshape(height // 2, width // 2),
    )


def apart(picture: Picture) -> Picture:
    """A read-only copy in pages of its own, given back to the system when it is let go.

    What is kept for minutes must not lie among what comes and goes with every frame: an allocator cannot use what is
    free between it, and asks for ever more.
    """
    own: Picture = np.frombuffer(mmap(-1, picture.nbytes), np.uint8).reshape(picture.shape)
    own[...] = picture
    own.setflags(write=False)
    return own


def cut_out(picture: Picture, box: Box) -> Picture:
    """What is in the box, a new picture; all four numbers of the box must be even."""
    small = box.halved()
    y, u, v = planes(picture)
    parts = (y[box.rows, box.columns], u[small.rows, small.columns], v[small.rows, small.columns])
    return np.concatenate([part.reshape(-1) for part in parts]).reshape(box.height * 3 // 2, box.width)


def from_rgb(rgb: Rgb) -> Picture:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)


def to_rgb(picture: Picture) -> Rgb:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420), np.uint8)
