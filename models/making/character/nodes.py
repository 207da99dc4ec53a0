"""Shader nodes and Blender objects, in few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from models.making.character.space import Points

Colour = tuple[float, float, float]


class Shader:
    """A material's node tree and its principled surface."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.surface = self.tree.nodes["Principled BSDF"]
        self.output = self.tree.nodes["Material Output"]

    def node(self, kind: str, settings: dict[str, Any] | None = None, **inputs: Any) -> Any:
        """A new node; ``settings`` are its properties, ``inputs`` values or sockets by name, ``_`` for a space."""
        node = self.tree.nodes.new(kind)
        for key, value in (settings or {}).items():
            setattr(node, key, value)
        for key, value in inputs.items():
            self.feed(node.inputs[key.replace("_", " ")], value)
        return node

    def feed(self, socket: Any, value: Any) -> None:
        """Give an input a value or link another node's output to it."""
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        else:
            socket.default_value = value

    def set(self, **inputs: Any) -> None:
        """Feed the principled surface."""
        for key, value in inputs.items():
            self.feed(self.surface.inputs[key.replace("_", " ")], value)

    def math(self, operation: str, *operands: Any) -> Any:
        """The output of a math node over numbers and sockets."""
        node = self.tree.nodes.new("ShaderNodeMath")
        node.operation = operation
        for socket, value in zip(node.inputs, operands, strict=False):
            self.feed(socket, float(value) if isinstance(value, int) else value)
        return node.outputs[0]

    def attribute(self, name: str) -> Any:
        """The vector output of a mesh attribute."""
        return self.node("ShaderNodeAttribute", {"attribute_name": name}).outputs["Vector"]

    def replace_surface(self, output: Any) -> None:
        """Use another shader in place of the principled surface."""
        self.tree.nodes.remove(self.surface)
        self.tree.links.new(output, self.output.inputs[0])


def image(name: str, pixels: NDArray[np.float32]) -> Any:
    """A linear image from pixels (height, width, 3), the first row at the bottom."""
    height, width = pixels.shape[:2]
    picture = bpy.data.images.new(name, width, height, alpha=True, float_buffer=True)
    picture.colorspace_settings.name = "Non-Color"
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = pixels
    picture.pixels.foreach_set(rgba.ravel())
    picture.update()
    picture.pack()
    return picture


def mesh_object(
    name: str, vertices: Points, faces: Sequence[Sequence[int]], materials: Sequence[Any], smooth: bool = True
) -> Any:
    """A mesh in the scene; vertices (n, 3) in Blender units."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], faces)
    for material in materials:
        mesh.materials.append(material)
    mesh.polygons.foreach_set("use_smooth", np.full(len(mesh.polygons), smooth))
    return in_scene(name, mesh)


def strands_object(name: str, points: Points, radius: NDArray[np.float64], material: Any) -> Any:
    """Hair curves in the scene; points (strands, n, 3) in Blender units, radius (n,) from root to tip."""
    n_strands, n_points = points.shape[:2]
    curves = bpy.data.hair_curves.new(name)
    curves.add_curves([n_points] * n_strands)
    set_strand_points(curves, points)
    attribute = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    attribute.data.foreach_set("value", np.broadcast_to(radius, (n_strands, n_points)).astype(np.float32).ravel())
    curves.materials.append(material)
    return in_scene(name, curves)


def set_strand_points(curves: Any, points: Points) -> None:
    """Move the points (strands, n, 3) of hair curves."""
    curves.position_data.foreach_set("vector", np.ascontiguousarray(points, np.float32).ravel())
    curves.update_tag()


def set_vertices(mesh: Any, vertices: Points) -> None:
    """Move the vertices (n, 3) of a mesh."""
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.update()


def set_attribute(mesh: Any, name: str, vectors: Points) -> None:
    """A vector (n, 3) for each vertex of a mesh."""
    attribute = mesh.attributes.new(name, "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", np.ascontiguousarray(vectors, np.float32).ravel())


def set_uv(mesh: Any, corners: Points) -> None:
    """Texture coordinates (corners, 2) of a mesh, in the order of its faces' corners."""
    mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", np.ascontiguousarray(corners, np.float32).ravel())


def grid_faces(n_rows: int, n_columns: int, closed_rows: bool = False) -> list[tuple[int, int, int, int]]:
    """Quads of a grid whose columns close into a ring (and rows, if ``closed_rows``)."""
    last = n_rows if closed_rows else n_rows - 1
    return [
        (
            row * n_columns + column,
            row * n_columns + (column + 1) % n_columns,
            (row + 1) % n_rows * n_columns + (column + 1) % n_columns,
            (row + 1) % n_rows * n_columns + column,
        )
        for row in range(last)
        for column in range(n_columns)
    ]


def grid_uv(n_rows: int, n_columns: int, closed_rows: bool = False) -> Points:
    """Texture coordinates for `grid_faces`: u around the ring, v along the rows."""
    last = n_rows if closed_rows else n_rows - 1
    rows, columns = np.meshgrid(np.arange(last), np.arange(n_columns), indexing="ij")
    corners = [
        np.stack([(columns + d_column) / n_columns, (rows + d_row) / n_rows], axis=-1)
        for d_row, d_column in ((0, 0), (0, 1), (1, 1), (1, 0))
    ]
    return np.stack(corners, axis=2).reshape(-1, 2)


def in_scene(name: str, data: Any) -> Any:
    """An object for some data, linked to the scene."""
    thing = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def plain(
    name: str,
    colour: Colour,
    subsurface: float = 0.0,
    roughness: float = 0.4,
    coat: float = 0.0,
    specular: float = 0.5,
    glow: float = 0.0,
) -> Any:
    """A one-colour principled material; ``glow`` is emission as a share of the colour."""
    shader = Shader(name)
    shader.surface.subsurface_method = "BURLEY"
    shader.set(
        Base_Color=(*colour, 1),
        Subsurface_Weight=subsurface,
        Subsurface_Radius=(1, 0.5, 0.35),
        Subsurface_Scale=0.02,
        Roughness=roughness,
        Coat_Weight=coat,
        Coat_Roughness=0.06,
        Specular_IOR_Level=specular,
        Emission_Color=(*colour, 1),
        Emission_Strength=glow,
    )
    return shader.material


def hair_material(name: str, melanin: float, redness: float, roughness: float, variation: float) -> Any:
    """Chiang's hair with natural pigment (Chiang et al. 2016, as in Cycles' principled hair)."""
    shader = Shader(name)
    hair = shader.node("ShaderNodeBsdfHairPrincipled", {"parametrization": "MELANIN", "model": "CHIANG"})
    values = {
        "Melanin": melanin,
        "Melanin Redness": redness,
        "Roughness": roughness,
        "Radial Roughness": 0.5,
        "Random Color": variation,
        "Random Roughness": 0.1,
    }
    for key, value in values.items():
        hair.inputs[key].default_value = value
    shader.replace_surface(hair.outputs[0])
    return shader.material
