"""Eyebrows: short hairs bound to triangles of the face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mathutils import Matrix, Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

from models.making.character.head import Head
from models.making.character.nodes import hair_material, set_strand_points, strands_object
from models.making.character.outlines import brow_lines
from models.making.character.space import Points, blender_matrix, to_blender, unit

_PER_SIDE = 820
_POINTS = 6


@dataclass(frozen=True)
class Brows:
    """Hairs as offsets (k, 6, 3) from a point of a triangle (k, 3 vertices; k, 3 shares)."""

    strands: Any
    offsets: Points
    triangles: NDArray[np.int64]
    shares: NDArray[np.float64]

    def points(self, vertices: Points) -> Points:
        """The hairs (k, 6, 3) on a face of vertices (n, 3)."""
        roots = np.einsum("kj,kjc->kc", self.shares, vertices[self.triangles])
        return np.asarray(self.offsets + roots[:, None], np.float64)

    def follow(self, vertices: Points, skull: NDArray[np.float64]) -> None:
        """Take the shape of the face's vertices (n, 3), then the skull's motion (4, 4)."""
        set_strand_points(self.strands.data, to_blender(self.points(vertices)))
        self.strands.matrix_world = Matrix(blender_matrix(skull))


def build_brows(head: Head) -> Brows:
    """Both eyebrows."""
    random = np.random.default_rng(4)
    triangles = head.skin_triangles
    skin = BVHTree.FromPolygons([Vector(v) for v in head.neutral], [tuple(map(int, t)) for t in triangles])

    def surface(place: Points) -> Any:
        """The foremost skin at (x, y): (location, normal, triangle, distance)."""
        return skin.ray_cast(Vector((place[0], place[1], 40)), Vector((0, 0, -1)))

    offsets, bound, shares = [], [], []
    for side, line in brow_lines(head):
        for _ in range(_PER_SIDE):
            along = random.beta(1.3, 1.2)
            tangent = unit(line(along, 1))
            normal = np.array([-tangent[1], tangent[0]]) * side
            across = float(np.clip(random.normal(0, 0.48), -1.3, 1.3))
            width = np.interp(along, [0, 0.12, 0.5, 0.8, 1], [0.24, 0.33, 0.33, 0.22, 0.07])
            root = line(along) + normal * width * across * 0.95
            upward = np.interp(along, [0, 0.12, 0.35, 1], [0.85, 0.75, 0.40, 0.05])
            lean = upward * 0.8 * (0.6 - 0.55 * across) - 0.25 * max(across, 0) * (along > 0.3)
            direction = unit(tangent + normal * lean) + random.normal(0, 0.16, 2)
            length = np.interp(along, [0, 0.2, 0.6, 1], [0.38, 0.62, 0.66, 0.42]) * random.uniform(0.6, 1.15)
            hit = surface(root)
            if hit[0] is None:
                continue
            hair, place = [], root.copy()
            for t in np.linspace(0, 1, _POINTS):
                skin_point, skin_normal, _, _ = surface(place)
                hair.append(np.array(skin_point) + np.array(skin_normal) * (0.015 + 0.10 * t * (1 - 0.5 * t)))
                place = place + direction * length / (_POINTS - 1)
                direction = direction * 0.85 + tangent * 0.15
            corners = triangles[hit[2]]
            triangle = head.neutral[corners]
            system = np.vstack([triangle.T, np.ones(3)])
            share = np.linalg.lstsq(system, np.append(np.array(hit[0]), 1), rcond=None)[0]
            offsets.append(np.array(hair) - share @ triangle)
            bound.append(corners)
            shares.append(share)
    material = hair_material("brow", melanin=0.58, redness=0.4, roughness=0.5, variation=0.15)
    radius = np.linspace(1, 0.25, _POINTS) * 0.00092
    brows = Brows(None, np.array(offsets), np.array(bound), np.array(shares))
    strands = strands_object("brows", to_blender(brows.points(head.neutral)), radius, material)
    return Brows(strands, brows.offsets, brows.triangles, brows.shares)
