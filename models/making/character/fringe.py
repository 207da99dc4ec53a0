"""A fringe swept from the parting over both temples, strands that frame the face, and down along the hairline.

The body of the hair is grown (`hair`); these few strands are seen best and decide the face, so they are drawn: between
an inner and an outer line on each side, laid over the skin.
"""

from __future__ import annotations

import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from models.making.character.head import Head
from models.making.character.outlines import hairline
from models.making.character.space import Points, smoothstep, unit

Values = NDArray[np.float64]

_LINES: tuple[tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...], int], ...] = (
    (
        ((1.9, 10.1), (0.3, 9.7), (-1.9, 8.9), (-4.0, 7.3), (-5.6, 5.2), (-6.5, 2.4), (-6.8, -0.8), (-6.5, -4.6)),
        ((2.0, 11.9), (-0.6, 12.1), (-3.6, 11.2), (-6.2, 9.0), (-7.5, 6.0), (-8.0, 2.6), (-8.3, -2.0), (-7.9, -7.4)),
        2600,
    ),
    (
        ((2.3, 10.1), (3.3, 9.5), (4.5, 8.2), (5.6, 6.3), (6.3, 4.0), (6.7, 1.2), (6.9, -1.8), (6.5, -5.2)),
        ((2.2, 11.9), (4.0, 11.8), (6.0, 10.4), (7.2, 7.9), (7.8, 5.0), (8.1, 2.0), (8.3, -2.4), (7.9, -7.6)),
        1900,
    ),
)
"""For each side the inner and the outer line from root to tip, (x, y) in cm seen from the front, and its strands."""

_N_LOCKS = 15


def fringe(head: Head, n_points: int, random: np.random.Generator) -> Points:
    """Strands (n, n_points, 3) in cm."""
    skin = _Front(head)
    return np.concatenate([_sweep(skin, *lines, n_points, random) for lines in _LINES])


def down(head: Head, n_points: int, random: np.random.Generator, count: int = 1500) -> Points:
    """Short fine hairs (n, n_points, 3) along the hairline, which softens it."""
    triangles = head.skin_triangles
    corners = head.neutral[triangles]
    centre = corners.mean(axis=1)
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    behind = hairline(head, centre)
    grows = (behind > -0.55) & (behind < 0.5) & (centre[:, 1] > 3.2) & (centre[:, 2] > 2)
    weight = np.linalg.norm(facing, axis=1) * grows
    chosen = random.choice(len(weight), count, p=weight / weight.sum())
    first, second = np.sqrt(random.random(count)), random.random(count)
    shares = np.stack([1 - first, first * (1 - second), first * second], axis=1)
    roots, normal = np.einsum("kj,kjc->kc", shares, corners[chosen]), unit(facing[chosen])
    away = np.column_stack([np.sign(roots[:, 0] - 2.1) * 0.75, 0.35 - 0.9 * (roots[:, 1] < 7), np.full(count, -0.7)])
    along = unit(away - (away * normal).sum(axis=1, keepdims=True) * normal + random.normal(0, 0.30, (count, 3)))
    length = random.uniform(0.5, 1.7, count) * (0.5 + 0.5 * smoothstep(-0.5, 0.2, hairline(head, roots)))
    place = np.linspace(0, 1, n_points)[None, :, None]
    rise = normal[:, None] * (0.02 + 0.22 * place * (1 - 0.7 * place))
    return np.asarray(roots[:, None] + along[:, None] * length[:, None, None] * place + rise, np.float64)


class _Front:
    """The skin seen from the front."""

    def __init__(self, head: Head) -> None:
        triangles = [tuple(map(int, each)) for each in head.skin_triangles]
        self._tree = BVHTree.FromPolygons([Vector(vertex) for vertex in head.neutral], triangles)

    def depth(self, x: float, y: float) -> float:
        """z of the foremost skin, -9 beside the head."""
        found = self._tree.ray_cast(Vector((x, y, 40)), Vector((0, 0, -1)))[0]
        return -9.0 if found is None else float(found[2])


def _sweep(
    skin: _Front,
    inner: tuple[tuple[float, float], ...],
    outer: tuple[tuple[float, float], ...],
    count: int,
    n_points: int,
    random: np.random.Generator,
) -> Points:
    place = np.linspace(0, 1, n_points)
    knots = np.linspace(0, 1, len(inner))
    near, far = (CubicSpline(knots, np.array(line))(place) for line in (inner, outer))
    lock = random.integers(0, _N_LOCKS, count)
    middle = (np.arange(_N_LOCKS) + random.uniform(0.2, 0.8, _N_LOCKS)) / _N_LOCKS
    ends = random.uniform(0.80, 1.0, _N_LOCKS)
    turn, phase = random.normal(0, 0.10, _N_LOCKS), random.uniform(0, 2 * np.pi, _N_LOCKS)

    own = random.random(count)
    gathered = 0.72 * smoothstep(0.12, 0.9, place)
    layer = own[:, None] * (1 - gathered) + (middle[lock] + random.normal(0, 0.035, count))[:, None] * gathered
    layer = layer + turn[lock][:, None] * place**2
    length = (ends[lock] * random.uniform(0.88, 1.0, count))[:, None] * place
    flat = np.empty((count, n_points, 2))
    for axis in range(2):
        low, high = (np.interp(length, place, line[:, axis]) for line in (near, far))
        flat[..., axis] = low + (high - low) * np.clip(layer, -0.06, 1.1)
    wave = np.sin(length * 9 + phase[lock][:, None]) * 0.30 * smoothstep(0.45, 0.95, length)
    flat[..., 0] += wave + random.normal(0, 0.09, (count, 1)) * place**0.5

    depth = np.array([[skin.depth(x, y) for x, y in strand] for strand in flat])
    beside = np.interp(flat[..., 1], [-8, 0, 4, 7, 10, 12], [4.2, 4.4, 4.6, 4.0, 2.5, 0.0])
    lift = (0.22 + 0.75 * smoothstep(0, 0.35, length)) * (0.6 + 0.8 * random.random((count, 1)))
    lift = lift * (1 - 0.35 * smoothstep(0.45, 0.7, length)) + 0.25 * np.clip(layer, 0, 1)
    z = np.maximum(depth, beside) + lift
    for _ in range(6):
        z[:, 1:-1] = 0.25 * z[:, :-2] + 0.5 * z[:, 1:-1] + 0.25 * z[:, 2:]
    return np.concatenate([flat, z[..., None]], axis=2)
