"""The skin: colour painted on a map of rest positions, subsurface scattering, pores and lip lines as bump."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.making.character.config import CharacterConfig
from models.making.character.head import Head
from models.making.character.nodes import Shader, image
from models.making.character.outlines import SIDES, brow_lines, depth_inside, hairline, lip_outline
from models.making.character.space import Points, fractal_noise, smoothstep, value_noise

SKIN_COLOUR = np.array([0.69, 0.385, 0.245])
SCALP_COLOUR = np.array([0.063, 0.034, 0.018])
LIP_COLOUR = np.array([0.43, 0.155, 0.135])
LINING_COLOUR = np.array([0.33, 0.075, 0.065])
"""Linear RGB."""


def skin_material(head: Head, material: str, texture_px: int, config: CharacterConfig) -> Any:
    """The skin of one of the head's materials, textured (texture_px, texture_px)."""
    positions = rest_positions(head, material, texture_px)
    colour, masks = paint(head, positions, is_face=material == "M_Face")
    shader = Shader(material)
    painted = shader.node("ShaderNodeTexImage", {"image": image(f"{material} colour", colour)})
    masked = shader.node("ShaderNodeTexImage", {"image": image(f"{material} masks", masks)})
    lips, gloss, scalp = shader.node("ShaderNodeSeparateColor", Color=masked.outputs[0]).outputs

    rest = shader.attribute("rest")
    pores = shader.node("ShaderNodeTexVoronoi", Vector=rest, Scale=14.0).outputs["Distance"]
    grain = shader.node("ShaderNodeTexNoise", Vector=rest, Scale=9.0, Detail=2.0).outputs["Fac"]
    stretched = shader.node("ShaderNodeMapping", Vector=rest, Scale=(9, 1.6, 3)).outputs[0]
    lip_lines = shader.node("ShaderNodeTexNoise", Vector=stretched, Scale=1.6, Detail=2.0).outputs["Fac"]

    roughness = shader.math("ADD", shader.math("MULTIPLY", grain, 0.18), 0.36)
    roughness = shader.math("SUBTRACT", roughness, shader.math("MULTIPLY", gloss, 0.07))
    roughness = shader.math("SUBTRACT", roughness, shader.math("MULTIPLY", lips, 0.13))
    roughness = shader.math("ADD", roughness, shader.math("MULTIPLY", scalp, 0.5))

    skin_relief = shader.math("MULTIPLY", shader.math("ADD", pores, grain), 0.5)
    skin_relief = shader.math("MULTIPLY", skin_relief, shader.math("SUBTRACT", 1.0, lips))
    lip_relief = shader.math("MULTIPLY", shader.math("MULTIPLY", lip_lines, 3.0), lips)
    relief = shader.node(
        "ShaderNodeBump", Strength=0.38, Distance=0.004, Height=shader.math("ADD", skin_relief, lip_relief)
    )
    # A random walk is a little rounder at the nostrils, and takes a third longer; at 8 samples it is spotted.
    shader.surface.subsurface_method = "BURLEY"
    shader.set(
        Base_Color=painted.outputs[0],
        Roughness=roughness,
        Normal=relief.outputs[0],
        Subsurface_Weight=1.0,
        Subsurface_Radius=config.subsurface_radius,
        Subsurface_Scale=config.subsurface_scale,
        Specular_IOR_Level=shader.math("SUBTRACT", 0.5, shader.math("MULTIPLY", scalp, 0.42)),
    )
    return shader.material


def rest_positions(head: Head, material: str, texture_px: int) -> NDArray[np.float32]:
    """Where on the head at rest each texel lies, (texture_px, texture_px, 3) in cm; NaN where no skin is."""
    triangles, corners = head.triangles(material)
    uv = head.uv[corners]
    uv = uv - np.floor(uv.mean(axis=1, keepdims=True))
    positions = np.full((texture_px, texture_px, 3), np.nan, np.float32)
    for corner, place in zip(uv * texture_px - 0.5, head.neutral[triangles], strict=True):
        low = np.maximum(np.floor(corner.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(corner.max(axis=0)).astype(int) + 2, texture_px)
        x, y = np.meshgrid(np.arange(low[0], high[0]) - corner[0, 0], np.arange(low[1], high[1]) - corner[0, 1])
        (ax, ay), (bx, by) = corner[1] - corner[0], corner[2] - corner[0]
        area = ax * by - ay * bx
        if abs(area) < 1e-9:
            continue
        second, third = (x * by - y * bx) / area, (y * ax - x * ay) / area
        inside = (second >= 0) & (third >= 0) & (second + third <= 1)
        around = (second > -0.35) & (third > -0.35) & (second + third < 1.35)
        texels = positions[low[1] : high[1], low[0] : high[0]]
        written = inside | (around & np.isnan(texels[..., 0]))
        point = place[0] + second[..., None] * (place[1] - place[0]) + third[..., None] * (place[2] - place[0])
        texels[written] = point[written]
    return positions


def paint(head: Head, positions: NDArray[np.float32], is_face: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Linear colour and the masks (lips, gloss, scalp) for positions (h, w, 3); both (h, w, 3)."""
    flat = positions.reshape(-1, 3).astype(np.float64)
    covered = ~np.isnan(flat[:, 0])
    colour = np.tile(SKIN_COLOUR, (len(flat), 1))
    masks = np.zeros((len(flat), 3))
    points = flat[covered]
    canvas = _Canvas(points)
    blotches, mottle = fractal_noise(points, 0.55, 1, 4), fractal_noise(points, 2.2, 9, 3)
    canvas.colour *= 1 + 0.07 * blotches[:, None] * [0.5, 1, 1.1] + 0.05 * mottle[:, None] * [0.4, 1, 1]
    _pores(canvas)
    _blush(canvas, head)
    _freckles(canvas)
    if is_face:
        masks[covered, 0] = _lips(canvas, head, mottle)
        _brow_shadow(canvas, head)
    else:
        _mouth_lining(canvas)
    scalp = smoothstep(-0.25, 0.9, hairline(head, points) + 0.35 * blotches) * (points[:, 1] > -7)
    canvas.mix(scalp, SCALP_COLOUR)
    masks[covered, 1], masks[covered, 2] = _gloss(canvas, head), scalp
    colour[covered] = canvas.colour
    return colour.reshape(positions.shape).astype(np.float32), masks.reshape(positions.shape).astype(np.float32)


class _Canvas:
    """Skin points (n, 3) and their linear colour (n, 3)."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self.colour = np.tile(SKIN_COLOUR, (len(points), 1))

    def spot(self, centre: Points, size: tuple[float, float, float]) -> NDArray[np.float64]:
        """A soft spot: 1 at its centre, by a Gaussian of the given size (cm)."""
        return np.asarray(np.exp(-(((self.points - centre) / size) ** 2).sum(axis=1)), np.float64)

    def tint(self, weight: NDArray[np.float64], factor: tuple[float, float, float]) -> None:
        """Multiply the colour by ``factor`` where the weight is 1."""
        self.colour = self.colour * (1 + weight[:, None] * (np.array(factor) - 1))

    def mix(self, weight: NDArray[np.float64], colour: NDArray[np.float64]) -> None:
        """Cover with ``colour`` where the weight is 1."""
        self.colour = self.colour * (1 - weight[:, None]) + colour * weight[:, None]


def _pores(canvas: _Canvas) -> None:
    """Grain as fine as a frame can show, and pores: darker points, widest about the nose."""
    grain = fractal_noise(canvas.points, 6.5, 31, 2)
    canvas.colour *= 1 + 0.055 * grain[:, None] * [0.55, 1, 1.05]
    pore = smoothstep(0.35, 0.85, value_noise(canvas.points, 9.0, 40))
    x, y, z = canvas.points.T
    where = smoothstep(4, 7, z) * (0.35 + 0.65 * np.exp(-(((np.abs(x) - 1.4) / 2.2) ** 2) - ((y - 0.5) / 3.2) ** 2))
    canvas.tint(where * pore, (0.90, 0.80, 0.77))


def _blush(canvas: _Canvas, head: Head) -> None:
    marks, points = head.marks, canvas.points
    for side in SIDES:
        right = side < 0
        cheek = marks[41 if right else 46] + [side * 0.9, -2.7, -0.5]
        eye = (marks[36:42] if right else marks[42:48]).mean(axis=0)
        canvas.tint(0.66 * canvas.spot(cheek, (2.2, 1.6, 2.6)), (1.04, 0.70, 0.70))
        canvas.tint(0.42 * canvas.spot(eye + [0, -1.0, 0], (1.6, 0.55, 2)), (0.86, 0.76, 0.80))
        canvas.tint(0.55 * canvas.spot(eye + [0, 0.75, 0], (1.7, 0.5, 2)), (0.80, 0.66, 0.62))
        canvas.tint(0.5 * canvas.spot(np.array([side * 8.2, 2.5, 0]), (1.6, 3, 3)), (1.05, 0.78, 0.74))
        canvas.tint(0.35 * canvas.spot(marks[31 if right else 35], (0.6, 0.6, 1.2)), (0.95, 0.7, 0.68))
    canvas.tint(0.55 * canvas.spot(marks[30], (1.3, 1.1, 1.6)), (1.04, 0.76, 0.74))
    canvas.tint(0.3 * canvas.spot(marks[8] + [0, 0.9, 0.5], (1.5, 1.1, 2)), (1.03, 0.82, 0.8))
    forehead = smoothstep(6, 10, points[:, 1]) * smoothstep(4, 8, points[:, 2])
    canvas.tint(0.4 * forehead, (1.02, 1.03, 0.97))


def _freckles(canvas: _Canvas) -> None:
    random = np.random.default_rng(5)
    count = 160
    centres = np.column_stack([random.normal(0, 3.2, count), random.normal(1.0, 1.3, count)])
    radius, strength = random.uniform(0.025, 0.055, count), random.uniform(0.1, 0.35, count)
    front = canvas.points[:, 2] > 6
    distance, nearest = cKDTree(centres).query(canvas.points[front, :2])
    weight = np.zeros(len(canvas.points))
    weight[front] = strength[nearest] * np.exp(-((distance / radius[nearest]) ** 2))
    canvas.tint(weight, (0.72, 0.55, 0.45))


def _lips(canvas: _Canvas, head: Head, mottle: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = canvas.points.T
    near = (np.abs(x) < 4) & (y > -6.5) & (y < -0.5) & (z > 6)
    depth = np.full(len(canvas.points), -9.0)
    depth[near] = depth_inside(lip_outline(head), canvas.points[near, :2])
    weight = smoothstep(-0.10, 0.16, depth - 0.03 + 0.02 * mottle)
    shade = (1 + 0.10 * mottle) * (1 - 0.15 * smoothstep(0.35, 0, depth))
    rim = np.exp(-(((depth + 0.12) / 0.09) ** 2)) * near
    canvas.tint(0.25 * rim, (1.06, 1.08, 1.08))
    canvas.mix(0.92 * weight, LIP_COLOUR * shade[:, None])
    return weight


def _brow_shadow(canvas: _Canvas, head: Head) -> None:
    along = np.linspace(0, 1, 80)
    for _, line in brow_lines(head):
        distance, nearest = cKDTree(line(along)).query(canvas.points[:, :2])
        position = along[nearest]
        shadow = np.exp(-((distance / (0.42 - 0.2 * position)) ** 2)) * (canvas.points[:, 2] > 5)
        canvas.tint(0.20 * shadow * smoothstep(-0.02, 0.15, position + 0.1), (0.55, 0.45, 0.40))


def _mouth_lining(canvas: _Canvas) -> None:
    """The inside of the cheeks and the throat are part of the back of the head: they are red."""
    x, y, z = canvas.points.T
    inside = (np.abs(x) < 4.2) & (y > -7) & (y < 3.5) & (z > 0.5) & (z < 11.5)
    canvas.colour[inside] = LINING_COLOUR


def _gloss(canvas: _Canvas, head: Head) -> NDArray[np.float64]:
    x, y, _ = canvas.points.T
    nose = canvas.spot(head.marks[29], (1.5, 2.5, 2.5))
    brow = smoothstep(6, 9, y) * np.exp(-((x / 4) ** 2))
    cheeks = canvas.spot(head.marks[41] + [-1.5, -1.5, 0], (1.8, 1.2, 3))
    cheeks = cheeks + canvas.spot(head.marks[46] + [1.5, -1.5, 0], (1.8, 1.2, 3))
    return np.asarray(np.clip(nose + 0.8 * brow + 0.5 * cheeks, 0, 1), np.float64)
