"""The eyeballs: a clear cornea over a modelled iris, and the lamps' reflections computed as light.

A mirror cornea loses its catch-light at few samples; here the reflection of each lamp is a disc found from the
reflection vector and emitted, which costs nothing and never flickers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from models.making.character.head import Head
from models.making.character.nodes import Shader, grid_faces, mesh_object, set_attribute
from models.making.character.proportions import EYE_SCALE
from models.making.character.space import Points, blender_matrix, rigid, rotation, smoothstep, to_blender, unit

_LAMPS = (((4.2, -6.6, 4.0), 13.0, 10.0, 2.6), ((-5.5, -6.6, 0.6), 20.0, 11.0, 0.10))
"""Reflected lamps: direction in Blender axes, outer and inner radius in degrees, strength."""

_CLEAR_CM = (0.60, 0.70)
"""The sclera shell turns from clear to white between these distances from the optical axis."""


@dataclass(frozen=True)
class Eye:
    """One eyeball: its two objects, modelled about the centre (3,) of its rotation, in cm."""

    shell: Any
    iris: Any
    centre: Points


def build_eyes(head: Head) -> tuple[Eye, Eye]:
    """The left and the right eye."""
    return _eye(head, "L", "M_ScleraLeft"), _eye(head, "R", "M_ScleraRight")


def look(eye: Eye, skull: NDArray[np.float64], right_deg: float, up_deg: float) -> None:
    """Turn an eye in a skull that moved by ``skull`` (4, 4): degrees to the picture's right, and up."""
    centred = np.eye(4)
    centred[:3, 3] = eye.centre
    matrix = Matrix(blender_matrix(skull @ centred @ rigid(rotation(right_deg, -up_deg, 0), np.zeros(3))))
    eye.shell.matrix_world = matrix
    eye.iris.matrix_world = matrix


def _eye(head: Head, side: str, material: str) -> Eye:
    faces = head.faces[head.face_material == head.material(material)]
    used = np.unique(faces[faces >= 0])
    centre, local = _local(head.neutral[used])
    place = {int(vertex): index for index, vertex in enumerate(used)}
    polygons = [[place[int(vertex)] for vertex in face if vertex >= 0] for face in faces]
    # The scan's eyes are a little wall-eyed: their optical axes are laid straight ahead.
    shell = mesh_object(f"eye {side}", to_blender(local), polygons, [_shell_material(side)])
    set_attribute(shell.data, "optical", local / EYE_SCALE)
    disc, colours, quads = _iris()
    iris = mesh_object(f"iris {side}", to_blender(disc * EYE_SCALE), quads, [_iris_material(side)])
    set_attribute(iris.data, "colour", colours)
    return Eye(shell, iris, centre)


def _local(points: Points) -> tuple[Points, Points]:
    """Centre (3,) of the sclera's sphere, and the points in optical axes (n, 3), z outward."""
    back = points[points[:, 2] < np.median(points[:, 2])]
    system = np.column_stack([2 * back, np.ones(len(back))])
    centre = np.linalg.lstsq(system, (back**2).sum(axis=1), rcond=None)[0][:3]
    offset = points - centre
    radius = np.linalg.norm(offset, axis=1)
    forward = unit(offset[radius > radius.max() - 0.03].mean(axis=0))
    sideways = unit(np.cross([0, 1, 0], forward))
    axes = np.stack([sideways, np.cross(forward, sideways), forward])
    return centre, offset @ axes.T


def _shell_material(side: str) -> Any:
    shader = Shader(f"eye {side}")
    optical = shader.attribute("optical")
    x, y, _ = shader.node("ShaderNodeSeparateXYZ", Vector=optical).outputs
    squares = shader.math("ADD", shader.math("MULTIPLY", x, x), shader.math("MULTIPLY", y, y))
    distance = shader.math("SQRT", squares)
    white = shader.node("ShaderNodeMapRange", {"interpolation_type": "SMOOTHSTEP"}, Value=distance)
    white.inputs["From Min"].default_value, white.inputs["From Max"].default_value = _CLEAR_CM

    ramp = shader.node("ShaderNodeValToRGB", Fac=shader.math("DIVIDE", distance, 1.6))
    limbus, sclera = ramp.color_ramp.elements
    limbus.position, limbus.color = 0.60 / 1.6, (0.22, 0.20, 0.19, 1)
    sclera.position, sclera.color = 0.80 / 1.6, (0.86, 0.82, 0.79, 1)
    ramp.color_ramp.elements.new(0.98).color = (0.74, 0.54, 0.50, 1)
    veins = shader.node("ShaderNodeTexNoise", Vector=optical, Scale=3.5, Detail=4.0, Distortion=1.5).outputs["Fac"]
    veins = shader.node("ShaderNodeMapRange", Value=veins, From_Min=0.56, From_Max=0.74, To_Max=0.18).outputs[0]
    mixed = shader.node("ShaderNodeMix", {"data_type": "RGBA"})
    for socket, value in ((0, veins), (6, ramp.outputs[0]), (7, (0.62, 0.34, 0.30, 1))):
        shader.feed(mixed.inputs[socket], value)
    shader.surface.subsurface_method = "BURLEY"
    shader.set(
        Base_Color=mixed.outputs[2],
        Roughness=0.3,
        Subsurface_Weight=0.25,
        Subsurface_Radius=(1, 0.6, 0.4),
        Subsurface_Scale=0.015,
        Coat_Weight=1.0,
        Coat_Roughness=0.03,
        Specular_IOR_Level=0.3,
    )

    clear = shader.node("ShaderNodeBsdfTransparent").outputs[0]
    light = shader.math("ADD", _reflected_lamps(shader), shader.math("MULTIPLY", _fresnel(shader), 0.22))
    glint = shader.node("ShaderNodeEmission", Color=(1, 0.97, 0.93, 1), Strength=light).outputs[0]
    cornea = shader.node("ShaderNodeAddShader")
    shader.feed(cornea.inputs[0], clear)
    shader.feed(cornea.inputs[1], glint)
    ball = shader.node("ShaderNodeMixShader")
    for socket, value in enumerate((white.outputs[0], cornea.outputs[0], shader.surface.outputs[0])):
        shader.feed(ball.inputs[socket], value)
    shader.tree.links.new(ball.outputs[0], shader.output.inputs[0])
    return shader.material


def _reflected_lamps(shader: Shader) -> Any:
    reflection = shader.node("ShaderNodeTexCoord").outputs["Reflection"]
    total: Any = 0.0
    for direction, outer_deg, inner_deg, strength in _LAMPS:
        towards = shader.node("ShaderNodeVectorMath", {"operation": "DOT_PRODUCT"})
        shader.feed(towards.inputs[0], reflection)
        shader.feed(towards.inputs[1], tuple(float(value) for value in unit(np.array(direction))))
        disc = shader.node(
            "ShaderNodeMapRange",
            {"interpolation_type": "SMOOTHSTEP"},
            Value=towards.outputs["Value"],
            From_Min=float(np.cos(np.radians(outer_deg))),
            From_Max=float(np.cos(np.radians(inner_deg))),
            To_Max=strength,
        )
        total = shader.math("ADD", total, disc.outputs[0])
    return total


def _fresnel(shader: Shader) -> Any:
    return shader.node("ShaderNodeFresnel", IOR=1.376).outputs[0]


def _iris() -> tuple[Points, Points, list[tuple[int, int, int, int]]]:
    """The iris as a shallow bowl: vertices (n, 3) in optical axes, linear colours (n, 3) and quads."""
    n_rings, n_around = 64, 256
    angle_one = np.arange(n_around) / n_around * 2 * np.pi
    radius, angle = np.meshgrid(np.linspace(0, 0.70, n_rings), angle_one, indexing="ij")
    depth = 1.25 + 0.13 * (radius / 0.66) ** 2
    disc = np.stack([radius * np.cos(angle), radius * np.sin(angle), depth], axis=-1)

    random = np.random.default_rng(11)
    coarse, fine = random.random(96), random.random(40)

    def around(values: NDArray[np.float64]) -> NDArray[np.float64]:
        count = len(values)
        turn = angle / (2 * np.pi) * count
        return np.asarray(np.interp(turn, np.arange(count + 1), np.append(values, values[0])), np.float64)

    fibres = np.clip(0.6 * around(coarse) + 0.4 * around(fine) + 0.08 * np.sin(angle * 60 + radius * 20), 0.02, 1)
    outward = radius / 0.62
    outer, middle, inner = np.array([0.10, 0.105, 0.055]), np.array([0.21, 0.13, 0.05]), np.array([0.24, 0.115, 0.035])
    share = smoothstep(0.38, 0.75, outward + 0.15 * (fibres - 0.5))[..., None]
    colour = inner * (1 - share) + outer * share
    colour = colour * (1 - 0.4 * share) + middle * 0.4 * share
    colour *= 0.45 + 1.1 * fibres[..., None] ** 1.3
    colour *= (1 - 0.85 * smoothstep(0.80, 1.0, outward))[..., None]
    colour *= 1.5 * np.array([1.0, 0.86, 0.72])
    open_iris = smoothstep(0.31, 0.345, outward)[..., None]
    colour = colour * open_iris + 0.002 * (1 - open_iris)
    return disc.reshape(-1, 3), colour.reshape(-1, 3), grid_faces(n_rings, n_around)


def _iris_material(side: str) -> Any:
    shader = Shader(f"iris {side}")
    shader.set(Base_Color=shader.attribute("colour"), Roughness=0.6, Specular_IOR_Level=0.1)
    return shader.material
