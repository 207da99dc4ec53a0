"""The head's mesh: skin, teeth, gums, tongue and the wet line of the eyes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from models.making.character.config import CharacterConfig
from models.making.character.head import Head
from models.making.character.nodes import Shader, mesh_object, plain, set_attribute, set_uv, set_vertices
from models.making.character.skin import skin_material
from models.making.character.space import Points, blender_matrix, to_blender

_SHOWN = ("M_Face", "M_BackHead", "M_Teeth", "M_GumsTongue", "M_LacrimalFluid")


@dataclass(frozen=True)
class Face:
    """The head's mesh object."""

    surface: Any

    def follow(self, vertices: Points, body: NDArray[np.float64]) -> None:
        """Take vertices (n, 3) in cm, then the body's motion (4, 4)."""
        set_vertices(self.surface.data, to_blender(vertices))
        self.surface.matrix_world = Matrix(blender_matrix(body))


def build_face(head: Head, config: CharacterConfig) -> Face:
    """The head as one mesh; its material slots are in the order of the scan's materials."""
    materials = [_material(head, name, config) for name in head.material_names]
    shown = np.isin(head.face_material, [head.material(name) for name in _SHOWN])
    faces = [[int(vertex) for vertex in face if vertex >= 0] for face in head.faces[shown]]
    surface = mesh_object("head", to_blender(head.neutral), faces, materials)
    surface.data.polygons.foreach_set("material_index", head.face_material[shown].astype(np.int32))
    tiles = []
    for corners in head.face_uv[shown]:
        corner_uv = head.uv[corners[corners >= 0]]
        tiles.append(corner_uv - np.floor(corner_uv.mean(axis=0)))
    set_uv(surface.data, np.concatenate(tiles))
    set_attribute(surface.data, "rest", head.neutral)
    return Face(surface)


def _material(head: Head, name: str, config: CharacterConfig) -> Any:
    if name == "M_Face":
        return skin_material(head, name, config.face_texture_px, config)
    if name == "M_BackHead":
        return skin_material(head, name, config.body_texture_px, config)
    if name == "M_Teeth":
        return plain(name, (0.78, 0.74, 0.66), subsurface=0.6, roughness=0.22, coat=0.4, glow=0.02)
    if name == "M_GumsTongue":
        return plain(name, (0.66, 0.25, 0.23), subsurface=0.5, roughness=0.34, coat=0.3, glow=0.04)
    if name == "M_LacrimalFluid":
        return _film(name)
    return plain(name, (0.0, 0.0, 0.0))


def _film(name: str) -> Any:
    """A clear wet film."""
    shader = Shader(name)
    film = shader.node("ShaderNodeMixShader")
    parts = (
        shader.node("ShaderNodeFresnel", IOR=1.376),
        shader.node("ShaderNodeBsdfTransparent"),
        shader.node("ShaderNodeBsdfGlossy", Roughness=0.04),
    )
    for socket, part in enumerate(parts):
        shader.feed(film.inputs[socket], part.outputs[0])
    shader.replace_surface(film.outputs[0])
    return shader.material
