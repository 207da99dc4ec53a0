"""Eyelashes: strands bound to the scan's lash cards, so that they follow the lids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from models.making.character.head import Head
from models.making.character.nodes import plain, set_strand_points, strands_object
from models.making.character.space import Points, blender_matrix, to_blender

_ROWS, _COLUMNS = 6, 19
"""A card's grid; the first row is the root."""

_POINTS = 8


@dataclass(frozen=True)
class Lashes:
    """Strands (k, 8 points), each point a bilinear mixture of four card vertices."""

    strands: Any
    vertices: NDArray[np.int64]
    shares: NDArray[np.float64]

    def follow(self, vertices: Points, skull: NDArray[np.float64]) -> None:
        """Take the shape of the face's vertices (n, 3), then the skull's motion (4, 4)."""
        points = np.einsum("knj,knjc->knc", self.shares, vertices[self.vertices])
        set_strand_points(self.strands.data, to_blender(points))
        self.strands.matrix_world = Matrix(blender_matrix(skull))


def build_lashes(head: Head) -> Lashes:
    """Lashes on the upper and lower lids of both eyes."""
    random = np.random.default_rng(2)
    vertices, shares = [], []
    for card in _cards(head):
        height = head.neutral[card][..., 1]
        upper = height[0].mean() < height[-1].mean() or height.mean() > 3.45
        inwards = abs(head.neutral[card[0, 0], 0]) < abs(head.neutral[card[0, -1], 0])
        count = 68 if upper else 28
        for lash in range(count):
            column = (lash + random.uniform(0.1, 0.9)) / count * (_COLUMNS - 1)
            outward = column / (_COLUMNS - 1) if inwards else 1 - column / (_COLUMNS - 1)
            if upper:
                length = np.interp(outward, [0, 0.15, 0.6, 1], [0.5, 0.75, 1.0, 0.95])
            else:
                length = 0.62 * np.interp(outward, [0, 0.3, 1], [0.5, 0.9, 1])
            length *= random.uniform(0.8, 1.05)
            slant = random.normal(0, 0.22) + 0.25 * (1 if outward > 0.3 else -0.2) * (1 if inwards else -1)
            bound = [_on_card(card, column + slant * t, t * length * (_ROWS - 1)) for t in np.linspace(0, 1, _POINTS)]
            vertices.append([corners for corners, _ in bound])
            shares.append([weights for _, weights in bound])
    bound_vertices, bound_shares = np.array(vertices), np.array(shares)
    points = np.einsum("knj,knjc->knc", bound_shares, head.neutral[bound_vertices])
    material = plain("lash", (0.012, 0.008, 0.006), roughness=0.7, specular=0.1)
    radius = np.linspace(1, 0.2, _POINTS) * 0.00145
    return Lashes(strands_object("lashes", to_blender(points), radius, material), bound_vertices, bound_shares)


def _cards(head: Head) -> list[NDArray[np.int64]]:
    """The lash cards as vertex grids (6, 19), the first row at the lid."""
    chosen = head.face_material == head.material("M_EyeLashes")
    texture: dict[int, NDArray[np.float64]] = {}
    parent: dict[int, int] = {}
    for face, corners in zip(head.faces[chosen], head.face_uv[chosen], strict=True):
        for vertex, corner in zip(face, corners, strict=True):
            if vertex >= 0:
                texture[int(vertex)] = head.uv[corner]
                parent.setdefault(int(vertex), int(vertex))

    def root(vertex: int) -> int:
        while parent[vertex] != vertex:
            parent[vertex] = parent[parent[vertex]]
            vertex = parent[vertex]
        return vertex

    for face in head.faces[chosen]:
        corners_of = [int(vertex) for vertex in face if vertex >= 0]
        for vertex in corners_of[1:]:
            parent[root(vertex)] = root(corners_of[0])
    members: dict[int, list[int]] = {}
    for vertex in texture:
        members.setdefault(root(vertex), []).append(vertex)
    cards = []
    for vertices in members.values():
        rows = np.array(sorted(vertices, key=lambda vertex: -texture[vertex][1])).reshape(_ROWS, _COLUMNS)
        cards.append(np.array([sorted(row, key=lambda vertex: texture[vertex][0]) for row in rows]))
    return cards


def _on_card(card: NDArray[np.int64], column: float, row: float) -> tuple[list[int], list[float]]:
    """The four vertices around a place on a card, and their shares."""
    column, row = float(np.clip(column, 0, _COLUMNS - 1.001)), float(np.clip(row, 0, _ROWS - 1.001))
    i, j = int(row), int(column)
    down, across = row - i, column - j
    corners = [int(card[i, j]), int(card[i, j + 1]), int(card[i + 1, j]), int(card[i + 1, j + 1])]
    return corners, [(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across]
