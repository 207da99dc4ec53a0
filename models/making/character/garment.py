"""The sweater: rings lofted over the bust, which is too narrow to be seen, and a ribbed collar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from models.making.character.head import Head
from models.making.character.nodes import Shader, grid_faces, grid_uv, mesh_object, set_uv
from models.making.character.space import Points, blender_matrix, fractal_noise, to_blender, unit

_RINGS_CM = np.array(
    [
        # side y, half width, front z, back z, front y, back y
        [-10.9, 6.6, 4.9, -7.4, -13.3, -9.6],
        [-11.5, 8.2, 5.9, -8.3, -14.4, -10.8],
        [-12.7, 11.5, 7.2, -9.6, -16.4, -12.6],
        [-14.3, 15.0, 8.4, -10.5, -19.0, -15.2],
        [-16.6, 17.9, 9.2, -11.0, -22.0, -18.5],
        [-20.5, 20.6, 9.8, -11.3, -26.0, -23.0],
        [-31.0, 22.4, 10.2, -11.4, -36.0, -34.0],
    ]
)
_N_RINGS, _N_AROUND, _N_RIB = 60, 200, 20
_COLOUR = (0.018, 0.075, 0.105, 1.0)


@dataclass(frozen=True)
class Garment:
    """Sweater and collar; they move with the chest."""

    body: Any
    collar: Any
    outline: Points
    """Points (n, 3) of its surface in cm."""

    def follow(self, chest: NDArray[np.float64]) -> None:
        """Take the chest's motion (4, 4)."""
        for part in (self.body, self.collar):
            part.matrix_world = Matrix(blender_matrix(chest))


def build_garment(head: Head) -> Garment:
    """Loft the sweater, fold it, knit it, and sweep the collar along its upper edge."""
    rings = _off_the_skin(head, _lofted())
    slack = np.minimum(1, np.linspace(0, 4, _N_RINGS))[:, None]
    folds = 0.18 * fractal_noise(rings * [1, 0.55, 1], 0.16, 21, 3) * slack
    rings = rings + folds[..., None] * [0.3, 0.5, 1]
    body = mesh_object("sweater", to_blender(rings.reshape(-1, 3)), grid_faces(_N_RINGS, _N_AROUND), [_knit()])
    set_uv(body.data, grid_uv(_N_RINGS, _N_AROUND))
    collar = _collar(rings)
    faces = grid_faces(_N_AROUND, _N_RIB, closed_rows=True)
    strip = mesh_object("collar", to_blender(collar.reshape(-1, 3)), faces, [_rib()])
    set_uv(strip.data, grid_uv(_N_AROUND, _N_RIB, closed_rows=True))
    return Garment(body, strip, np.concatenate([rings.reshape(-1, 3), collar.reshape(-1, 3)]))


def _lofted() -> Points:
    """The rings (60, 200, 3) as superellipses between the profile's rings."""
    down = np.linspace(0, 1, _N_RINGS)
    around = np.arange(_N_AROUND) / _N_AROUND * 2 * np.pi
    profile = CubicSpline(np.linspace(0, 1, len(_RINGS_CM)), _RINGS_CM)(down)
    side_y, half_width, front_z, back_z, front_y, back_y = (column[:, None] for column in profile.T)
    cosine, sine = np.cos(around), np.sin(around)
    front = cosine > 0
    power = np.interp(down, [0, 0.3, 0.6, 1], [1.0, 0.92, 0.85, 0.82])[:, None]
    x = half_width * np.sign(sine) * np.abs(sine) ** power
    depth = np.where(front, front_z, -back_z) + np.where(front, 1.2, -1.2)
    z = -1.2 + depth * np.sign(cosine) * np.abs(cosine) ** power
    middle = np.abs(cosine)[None] ** 1.6
    y = side_y * (1 - middle) + np.where(front, front_y, back_y) * middle
    return np.stack([x, y, z], axis=-1)


def _off_the_skin(head: Head, rings: Points) -> Points:
    """Rings pushed half a centimetre off neck and shoulders, and smoothed."""
    skin = np.unique(head.skin_triangles)
    bust = skin[head.neutral[skin, 1] < -8.6]
    places, normals = head.neutral[bust], head.skin_normals[bust]
    nearest_of = cKDTree(places)
    for _ in range(3):
        points = rings.reshape(-1, 3)
        distance, nearest = nearest_of.query(points)
        height = ((points - places[nearest]) * normals[nearest]).sum(axis=1)
        points = points + normals[nearest] * (np.maximum(0.45 - height, 0) * (distance < 6))[:, None]
        rings = points.reshape(rings.shape)
        rings[1:-1] = 0.25 * rings[:-2] + 0.5 * rings[1:-1] + 0.25 * rings[2:]
        rings = 0.25 * np.roll(rings, 1, axis=1) + 0.5 * rings + 0.25 * np.roll(rings, -1, axis=1)
    return rings


def _collar(rings: Points) -> Points:
    """A rounded strip (200, 20, 3) swept along the first ring."""
    edge = rings[0]
    tangent = unit(np.roll(edge, -1, axis=0) - np.roll(edge, 1, axis=0))
    down = unit(rings[3] - edge)
    outward = np.cross(tangent, down)
    outward = unit(outward * np.sign((outward * (edge - edge.mean(axis=0))).sum(axis=1, keepdims=True)))
    angle = np.linspace(0, 2 * np.pi, _N_RIB, endpoint=False)
    drop = 0.85 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.7 + 0.1
    swell = 0.30 * np.sin(angle) + 0.12
    strip = edge[:, None] + down[:, None] * drop[None, :, None] + outward[:, None] * swell[None, :, None]
    return np.asarray(strip, np.float64)


def _wool(name: str) -> tuple[Shader, Any, Any]:
    """A woollen surface and its texture coordinates (u around, v down)."""
    shader = Shader(name)
    shader.set(
        Base_Color=_COLOUR,
        Roughness=0.85,
        Sheen_Weight=0.35,
        Sheen_Roughness=0.4,
        Sheen_Tint=(0.4, 0.6, 0.7, 1),
        Specular_IOR_Level=0.15,
    )
    texture = shader.node("ShaderNodeUVMap", {"uv_map": "UVMap"}).outputs[0]
    u, v, _ = shader.node("ShaderNodeSeparateXYZ", Vector=texture).outputs
    return shader, u, v


def _knit() -> Any:
    """Rows of V stitches: |sin(pi (75 v + 1.2 |fract(190 u) - 1/2|))|, rounded across each wale."""
    shader, u, v = _wool("knit")
    wale = shader.math("FRACT", shader.math("MULTIPLY", u, 190.0))
    wale = shader.math("ABSOLUTE", shader.math("SUBTRACT", wale, 0.5))
    row = shader.math("ADD", shader.math("MULTIPLY", v, 75.0), shader.math("MULTIPLY", wale, 1.2))
    stitch = shader.math("ABSOLUTE", shader.math("SINE", shader.math("MULTIPLY", row, float(np.pi))))
    rounding = shader.math("ADD", shader.math("SINE", shader.math("MULTIPLY", wale, float(2 * np.pi))), 0.25)
    height = shader.math("MULTIPLY", stitch, rounding)
    shader.set(Normal=shader.node("ShaderNodeBump", Strength=0.6, Distance=0.012, Height=height).outputs[0])
    return shader.material


def _rib() -> Any:
    """Ribs across the collar, 110 around the neck."""
    shader, _, around = _wool("rib")
    ridge = shader.math("ABSOLUTE", shader.math("SINE", shader.math("MULTIPLY", around, float(110 * np.pi))))
    shader.set(Normal=shader.node("ShaderNodeBump", Strength=0.8, Distance=0.03, Height=ridge).outputs[0])
    return shader.material
