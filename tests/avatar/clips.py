"""Small drawn clips for the tests of the performance."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from avatar.bundle import AvatarBundle, Clip, Join, cycle_of
from avatar.geometry import Size

SIZE = Size(64, 64)
PATCH = Size(24, 24)
LENGTHS = {"idle": 20, "listen": 16, "talk": 18, "nod": 10, "smile": 8}


def clip(name: str, n: int, joins: Mapping[str, Join], loop: bool) -> Clip:
    rng = np.random.default_rng(sum(name.encode()))
    frames = rng.integers(16, 235, (n, SIZE.height * 3 // 2, SIZE.width), np.uint8)
    faces = np.zeros((n, 2, 3), np.float32)
    faces[:, 0, 0] = faces[:, 1, 1] = 1.1
    faces[:, :, 2] = 15.3 + np.arange(n)[:, None] * 0.37
    crops = rng.integers(0, 255, (n, PATCH.height, PATCH.width, 3), np.uint8)
    return Clip(name, frames, faces, crops, joins, there_and_back=loop)


def bundle(cost: float = 0.0) -> AvatarBundle:
    """Every clip joins every other at any step, into its step 0, at the same cost."""
    clips = {}
    for name, n in LENGTHS.items():
        loop = name in ("idle", "listen", "talk")
        join = Join(np.zeros(cycle_of(n, loop), np.int32), np.full(cycle_of(n, loop), cost, np.float32))
        clips[name] = clip(name, n, {other: join for other in LENGTHS if other != name}, loop)
    y, x = np.mgrid[0 : PATCH.height, 0 : PATCH.width] - 11.5
    mask = np.clip(255 * (1.3 - np.hypot(x, y) / 9), 0, 255).astype(np.uint8)
    return AvatarBundle(
        id="drawn",
        name="Drawn",
        version="1",
        size=SIZE,
        fps=Fraction(25),
        clips=clips,
        loops={"idle": "idle", "listen": "listen", "talk": "talk"},
        gestures={"NOD": "nod", "SMILE": "smile"},
        mask=mask,
    )
