"""Lines on the face: where the lips end, the brows grow and the hair begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from models.making.character.head import Head
from models.making.character.space import Points

SIDES = (-1, 1)
"""The face's right (x < 0) and left."""


def lip_outline(head: Head) -> Points:
    """The lips' border seen from the front, (240, 2), a closed line."""
    upper = head.marks[48:55, :2].copy()
    lower = head.marks[[54, 55, 56, 57, 58, 59, 48], :2]
    upper[1:-1, 1] += 0.06
    lower[1:-1, 1] -= 0.05
    return np.concatenate([_by_length(upper)(np.linspace(0, 1, 120)), _by_length(lower)(np.linspace(0, 1, 120))])


def depth_inside(outline: Points, points: Points) -> NDArray[np.float64]:
    """Distance of points (n, 2) to a closed outline, negative outside."""
    distance, _ = cKDTree(outline).query(points)
    x, y = points.T
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return np.where(inside, distance, -distance)


def hairline(head: Head, points: Points) -> NDArray[np.float64]:
    """How far points (…, 3) lie behind the hairline, about cm; negative on the face."""
    heights = [-9, -6.2, -3, 0, 2.2, 3.2, 5, 7, 8.5, 9.6, 10.3, 11.0]
    fronts = [-9, -5, -3.6, -2.8, -2.0, 2.9, 4.2, 4.9, 5.9, 7.0, 8.6, 14]
    x, y, z = np.moveaxis(points, -1, 0)
    height = y - (head.top - 14.2) + 0.06 * np.abs(x) - 0.25 * np.cos(x * 0.75)
    return np.asarray(np.interp(height, heights, fronts) - z, np.float64)


def brow_lines(head: Head) -> list[tuple[int, CubicSpline]]:
    """For each side the brow's middle line, from nose to temple: (side, curve from 0..1 to (x, y))."""
    lines = []
    for side, marks in zip(SIDES, ([21, 20, 19, 18, 17], [22, 23, 24, 25, 26]), strict=True):
        line = head.marks[marks, :2].copy()
        line[:, 1] -= [0.42, 0.42, 0.50, 0.48, 0.30]
        line[0, 0] -= side * 0.06
        lines.append((side, _by_length(line)))
    return lines


def _by_length(points: Points) -> CubicSpline:
    """A curve through points (n, 2), over its length from 0 to 1."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return CubicSpline(length / length[-1], points)
