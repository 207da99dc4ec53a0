"""The scanned head the presenter is built on.

ICT-FaceKit "light" model, USC Institute for Creative Technologies, MIT licence
(https://github.com/ICT-VGL/ICT-FaceKit; Li et al., "Learning Formation of Physically-Based Face Attributes",
CVPR 2020). Its expressions are named after ARKit's blendshapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.making.character.proportions import restyled, restyled_delta
from models.making.character.space import Points, smoothstep, unit

SCAN_FILE = "ict_facekit_light.npz"
INDICES_FILE = "vertex_indices.json"

NECK_PIVOT = np.array([0.0, -4.5, -1.0])
"""Where the skull turns on the neck, cm."""


class HeadDataMissing(FileNotFoundError):
    """The scanned head is not where it was looked for."""


@dataclass(frozen=True)
class Head:
    """The head with its identity chosen, at rest; n vertices, m faces.

    ``faces`` (m, 4) are vertex indices, -1 in the last place of a triangle; ``face_uv`` (m, 4) index ``uv`` (k, 2).
    ``landmarks`` are the vertices of the 68 iBUG landmarks. All lengths in cm.
    """

    neutral: Points
    faces: NDArray[np.int64]
    face_uv: NDArray[np.int64]
    uv: NDArray[np.float64]
    face_material: NDArray[np.int64]
    material_names: tuple[str, ...]
    expressions: Mapping[str, NDArray[np.float32]]
    landmarks: NDArray[np.int64]

    @cached_property
    def marks(self) -> Points:
        """The 68 landmarks of the face at rest, (68, 3)."""
        return self.neutral[self.landmarks]

    @cached_property
    def top(self) -> float:
        """Height of the crown, cm."""
        return float(self.neutral[:, 1].max())

    @cached_property
    def skin_triangles(self) -> NDArray[np.int64]:
        """Triangles (t, 3) of face, scalp, neck and shoulders."""
        return np.concatenate([self.triangles(name)[0] for name in ("M_Face", "M_BackHead")])

    @cached_property
    def skin_normals(self) -> Points:
        """Unit normals (n, 3) of the skin's vertices, zero for others."""
        corners = self.neutral[self.skin_triangles]
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = np.zeros_like(self.neutral)
        np.add.at(normals, self.skin_triangles.ravel(), np.repeat(facing, 3, axis=0))
        return unit(normals)

    @cached_property
    def skull_share(self) -> NDArray[np.float64]:
        """How far each vertex follows the skull, (n,): 1 for the head, 0 for the shoulders, between along the neck."""
        return smoothstep(-13.5, -8.2, self.neutral[:, 1])

    def material(self, name: str) -> int:
        """Index of a material."""
        return self.material_names.index(name)

    def triangles(self, material: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Triangles (t, 3) of one material, and their texture corners (t, 3)."""
        chosen = self.face_material == self.material(material)
        faces, corners = self.faces[chosen], self.face_uv[chosen]
        quads = faces[:, 3] >= 0
        return (
            np.concatenate([faces[:, :3], faces[quads][:, [0, 2, 3]]]),
            np.concatenate([corners[:, :3], corners[quads][:, [0, 2, 3]]]),
        )

    def shaped(self, weights: Mapping[str, float]) -> Points:
        """Vertices (n, 3) under blendshape weights; a bare name drives its ``_L`` and ``_R``."""
        vertices = self.neutral.copy()
        for name, weight in weights.items():
            sides = (name,) if name in self.expressions else (f"{name}_L", f"{name}_R")
            for side in sides:
                vertices += weight * self.expressions[side]
        return vertices


def load_head(folder: Path, identity: Mapping[int, float]) -> Head:
    """Read the scan in ``folder`` and give it the identity; raises `HeadDataMissing` if a file is not there."""
    for name in (SCAN_FILE, INDICES_FILE):
        if not (folder / name).is_file():
            raise HeadDataMissing(f"no {name} in {folder}: the presenter is built from the ICT-FaceKit light head")
    with np.load(folder / SCAN_FILE, allow_pickle=False) as scan:
        neutral = scan["neutral"].astype(np.float64)
        for mode, weight in identity.items():
            neutral += weight * scan["identity_deltas"][mode].astype(np.float64)
        names, deltas = scan["expression_names"], scan["expression_deltas"].astype(np.float32)
        expressions = {str(name): delta for name, delta in zip(names, deltas, strict=True)}
        faces, face_material = scan["faces"].astype(np.int64), scan["face_material"].astype(np.int64)
        face_uv, uv = scan["face_uv"].astype(np.int64), scan["uv"].astype(np.float64)
        material_names = tuple(str(name) for name in scan["material_names"])
    landmarks = np.array(json.loads((folder / INDICES_FILE).read_text())["idx_to_landmark_verts"], np.int64)
    gums = np.unique(faces[face_material == material_names.index("M_GumsTongue")])
    expressions["tongueRaise"] = _tongue_raise(neutral, gums[gums >= 0], expressions["jawOpen"])
    expressions = {name: restyled_delta(neutral, delta) for name, delta in expressions.items()}
    return Head(restyled(neutral), faces, face_uv, uv, face_material, material_names, expressions, landmarks)


def _tongue_raise(neutral: Points, gums: NDArray[np.int64], jaw_open: NDArray[np.float32]) -> NDArray[np.float32]:
    """A blendshape (n, 3) the scan lacks: the tongue's tip forward between the teeth, flattened, its root in place.

    ``gums`` are the vertices of gums and tongue; the tongue is told from the gums by its place in the scan's order.
    """
    first, last = 16_562, 17_046
    x, y, z = neutral[gums].T
    is_tongue = (
        (gums >= first)
        & (gums < last)
        & (np.abs(x) < 1.5)
        & (y > -4.46)
        & (np.linalg.norm(jaw_open[gums], axis=1) > 0.3)
    )
    tongue = gums[is_tongue]
    _, y, z = neutral[tongue].T
    share = smoothstep(5.6, 10.2, z) / smoothstep(5.6, 10.2, np.array([9.7]))
    delta = np.zeros(neutral.shape, np.float32)
    delta[tongue, 1] = share * (0.68 - 0.40 * (y + 3.8))
    delta[tongue, 2] = share * 1.55
    return delta
