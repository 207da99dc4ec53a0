"""The hair: a bob parted off the middle, grown from guides that fall around the head, filled with strands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.making.character.config import CharacterConfig
from models.making.character.fringe import down, fringe
from models.making.character.head import Head
from models.making.character.nodes import Shader, hair_material, mesh_object, strands_object
from models.making.character.outlines import hairline
from models.making.character.space import Points, blender_matrix, smoothstep, to_blender, unit, value_noise

Values = NDArray[np.float64]

_STEP_CM = 0.42
_N_STEPS = 100
_DOWN_POINTS = 6
_ENDS_CM = -9.5
"""Height at which the bob is cut."""


@dataclass(frozen=True)
class Hair:
    """Hair that moves with the skull as one piece."""

    parts: tuple[Any, ...]
    outline: Points
    """Some of its points (n, 3) in cm, which tell where it is."""

    def follow(self, skull: NDArray[np.float64]) -> None:
        """Take the skull's motion (4, 4)."""
        for part in self.parts:
            part.matrix_world = Matrix(blender_matrix(skull))


def build_hair(head: Head, config: CharacterConfig) -> Hair:
    """Grow the guides, then the strands between them."""
    random = np.random.default_rng(config.hair_seed)
    scalp = _Scalp(head)
    roots, normals = scalp.sample(config.n_guides, random)
    guides = _guides(head, scalp, roots, normals, config.n_strand_points, random)
    strands = _strands(scalp, roots, guides, config, random)
    swept = fringe(head, config.n_strand_points, random)
    profile = np.interp(np.linspace(0, 1, config.n_strand_points), [0, 0.7, 1], [1, 1, 0.35])
    material = hair_material("hair", config.hair_melanin, config.hair_redness, roughness=0.34, variation=0.35)
    fine = config.strand_radius * np.linspace(0.6, 0.2, _DOWN_POINTS)
    return Hair(
        (
            strands_object("hair", to_blender(strands), config.strand_radius * profile, material),
            strands_object("fringe", to_blender(swept), config.strand_radius * profile, material),
            strands_object("down", to_blender(down(head, _DOWN_POINTS, random)), fine, material),
            _shade(),
        ),
        np.concatenate([strands[::20].reshape(-1, 3), swept[::5].reshape(-1, 3)]),
    )


def parting(z: Values) -> Values:
    """Where the parting runs, x in cm over depth z."""
    return np.asarray(2.4 - 0.06 * (7 - z), np.float64)


def _shade() -> Any:
    """The hair behind the neck, as a dark striped card: lamps do not reach there, and black would be a hole."""
    shader = Shader("shade")
    place = shader.node("ShaderNodeTexCoord").outputs["Object"]
    stretched = shader.node("ShaderNodeMapping", Vector=place, Scale=(30, 1, 2.0)).outputs[0]
    streaks = shader.node("ShaderNodeTexNoise", Vector=stretched, Scale=1.0, Detail=2.0).outputs["Fac"]
    light = shader.node("ShaderNodeMapRange", Value=streaks, From_Min=0.35, From_Max=0.7, To_Min=0.25, To_Max=1.0)
    glow = shader.node("ShaderNodeEmission", Color=(0.036, 0.019, 0.011, 1), Strength=light.outputs[0])
    shader.replace_surface(glow.outputs[0])
    corners = np.array([[-7.2, -11.8, -2.2], [7.2, -11.8, -2.2], [8.5, 2.0, -2.2], [-8.5, 2.0, -2.2]])
    card = mesh_object("shade", to_blender(corners), [(0, 1, 2, 3)], [shader.material], smooth=False)
    for ray in ("diffuse", "glossy", "shadow", "transmission"):
        setattr(card, f"visible_{ray}", False)
    return card


class _Scalp:
    """Where hair grows, and the skin it must stay outside of."""

    def __init__(self, head: Head) -> None:
        triangles = head.skin_triangles
        self._corners = head.neutral[triangles]
        facing = np.cross(self._corners[:, 1] - self._corners[:, 0], self._corners[:, 2] - self._corners[:, 0])
        double_area = np.linalg.norm(facing, axis=1)
        self._normals = unit(facing)
        centre = self._corners.mean(axis=1)
        x, y, z = centre.T
        behind = hairline(head, centre)
        grows = (behind > 0) & (np.abs(x) < 7.7) & (y > -6.5)
        grows &= ~((y < 3.4) & (z > -2.2)) & ~((np.abs(x) < 4.5) & (y < 6) & (z > -4))
        density = double_area * grows * (0.25 + 0.75 * smoothstep(0, 1.3, behind)) * (1 + 0.6 * smoothstep(2, 7, z))
        density *= 1 + 1.2 * np.exp(-(((x - 2) / 1.6) ** 2)) * smoothstep(9, 11, y)
        self._density = density / density.sum()

        x, y, z = head.neutral.T
        inside_mouth = np.flatnonzero((np.abs(x) < 4.4) & (y > -7) & (y < 4) & (z > -3.5))
        outside = np.setdiff1d(np.unique(triangles), inside_mouth)
        self._skin, self._skin_normals = head.neutral[outside], head.skin_normals[outside]
        self._nearest = cKDTree(self._skin)

    def sample(self, count: int, random: np.random.Generator) -> tuple[Points, Points]:
        """Roots (count, 3) and the scalp's normals there."""
        chosen = random.choice(len(self._density), count, p=self._density)
        first, second = np.sqrt(random.random(count)), random.random(count)
        shares = np.stack([1 - first, first * (1 - second), first * second], axis=1)
        return np.einsum("kj,kjc->kc", shares, self._corners[chosen]), self._normals[chosen]

    def height(self, points: Points) -> tuple[Values, Points, Values]:
        """Of points (n, 3): height over the skin, the skin's normal, distance to its nearest vertex."""
        distance, nearest = self._nearest.query(points)
        normal = self._skin_normals[nearest]
        return ((points - self._skin[nearest]) * normal).sum(axis=1), normal, np.asarray(distance)


def _guides(
    head: Head, scalp: _Scalp, roots: Points, normals: Points, n_points: int, random: np.random.Generator
) -> Points:
    """Guides (n, n_points, 3): each step falls, is parted, kept off the skin and inside the bob's outline."""
    count = len(roots)
    from_parting = np.abs(roots[:, 0] - parting(roots[:, 2]))
    side = np.tanh((roots[:, 0] - parting(roots[:, 2])) / np.interp(roots[:, 2], [3.0, 7.0], [8.0, 0.10]))
    crown = smoothstep(0, head.top, roots[:, 1])
    front = smoothstep(2, 6.5, roots[:, 2]) * smoothstep(4, 8, roots[:, 1])
    lift = 0.18 + 1.15 * crown**1.3 + random.uniform(0, 0.35, count)
    lift *= 0.96 + 0.04 * smoothstep(0, 3.5, from_parting)
    framing = front * random.random(count)
    swept = random.random(count) < np.where(side < 0, 0.75, 0.55)
    fringe = smoothstep(4.8, 6.8, roots[:, 2]) * swept * random.uniform(0.6, 1, count)
    wave_phase = value_noise(roots, 0.18, 77) * 5 + random.normal(0, 0.35, count)
    wave_size = 0.95 + 0.3 * random.random(count)
    ends = _ENDS_CM + random.normal(0, 0.7, count)

    backward = smoothstep(6, -4, roots[:, 2])
    sideways = np.column_stack([side * 0.8, np.zeros(count), -0.25 - 0.6 * backward])
    direction = unit(normals * (0.75 + 0.45 * smoothstep(0, 3, from_parting))[:, None] + sideways)
    point, path = roots.copy(), [roots.copy()]
    for step in range(_N_STEPS):
        pull = _pull(point, side, fringe)
        direction = unit(direction * 0.55 + pull * 0.45)
        point = point + direction * _STEP_CM
        height, normal, distance = scalp.height(point)
        short = lift * min(1.0, (step + 1) / 4) - height
        near = distance < 4
        push = np.maximum(short, 0) * near + np.minimum(short, 0) * 0.30 * near * (point[:, 1] > 3.5)
        target = _within_outline(point + normal * push[:, None], np.where(side > 0, 1.0, -1.0), lift, framing, fringe)
        direction = unit(target - path[-1])
        point = path[-1] + direction * _STEP_CM
        path.append(point.copy())
    falls = np.stack(path, axis=1)
    guides = np.stack([_cut(fall, end, n_points) for fall, end in zip(falls, ends, strict=True)])
    return _waved(guides, wave_phase, wave_size)


def _pull(point: Points, side: Values, fringe: Values) -> Points:
    """The direction hair at a point (n, 3) is drawn in: down, away from the parting, back from the forehead."""
    high, front = smoothstep(4, 10.5, point[:, 1]), smoothstep(0, 6, point[:, 2])
    sweep = fringe * smoothstep(6.6, 4.6, np.abs(point[:, 0])) * smoothstep(3, 5, point[:, 1])
    return np.column_stack(
        [
            side * (0.55 * high + 0.45 * sweep),
            -0.9 + 0.75 * high + sweep * (0.55 - 0.75 * high - 0.12 * np.where(side < 0, 1, 1.5)),
            (-0.75 * front * high - 0.12 * high) * (1 - 0.8 * sweep),
        ]
    )


def _within_outline(point: Points, side: Values, lift: Values, framing: Values, fringe: Values) -> Points:
    """Points (n, 3) drawn into the bob's outline and off the face."""
    x, y, z = point.T
    widest = np.interp(y, [-12, -7, -2, 2, 6, 9, 12], [7.4, 7.9, 8.3, 8.5, 8.6, 8.9, 9]) + lift * 0.55
    x = np.where(np.abs(x) > widest, np.sign(x) * (0.6 * widest + 0.4 * np.abs(x)), x)
    heights = [-12, -6, 0, 4, 7, 9]
    narrowest = np.interp(y, heights, [6.0, 6.4, 7.0, 6.9, 6.3, 4.0])
    narrowest -= framing * np.interp(y, heights, [0.4, 0.6, 1.0, 1.1, 1.2, 1.2])
    narrowest -= fringe * np.interp(y, [2, 5, 7, 9], [0, 0.9, 3.2, 4])
    on_face = (z > 2.0) & (y < 9.0) & (side * x < narrowest)
    x = np.where(on_face, side * (0.5 * np.abs(x) + 0.5 * narrowest), x)
    return np.column_stack([x, y, z])


def _cut(fall: Points, end: float, n_points: int) -> Points:
    """A guide (steps, 3) cut at height ``end`` and divided into n_points of even distance."""
    below = np.flatnonzero(fall[:, 1] < end)
    kept = fall[: max(below[0] + 1 if len(below) else len(fall), 4)]
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(kept, axis=0), axis=1))])
    even = np.linspace(0, length[-1], n_points)
    return np.stack([np.interp(even, length, kept[:, axis]) for axis in range(3)], axis=1)


def _waved(guides: Points, phase: Values, size: Values) -> Points:
    """Soft waves towards the ends, which turn in; then smoothed."""
    along = np.linspace(0, 1, guides.shape[1])[None]
    amplitude = size[:, None] * smoothstep(0.25, 0.85, along)
    angle = along * 9.5 + phase[:, None]
    flat = guides * [1, 0, 1]
    outward = flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1)
    around = np.stack([outward[..., 2], np.zeros(outward.shape[:2]), -outward[..., 0]], axis=-1)
    guides = guides + outward * (0.45 * amplitude * np.sin(angle))[..., None]
    guides = guides + around * (0.5 * amplitude * np.cos(angle * 0.9))[..., None]
    guides = guides - outward * (1.5 * smoothstep(0.78, 1.0, along) ** 1.5)[..., None]
    for _ in range(2):
        guides[:, 1:-1] = 0.25 * guides[:, :-2] + 0.5 * guides[:, 1:-1] + 0.25 * guides[:, 2:]
    return guides


def _strands(
    scalp: _Scalp, guide_roots: Points, guides: Points, config: CharacterConfig, random: np.random.Generator
) -> Points:
    """Strands (n, n_points, 3) between the two nearest guides of their side of the parting."""
    count, n_points = config.n_strands, config.n_strand_points
    roots, _ = scalp.sample(count, random)
    first, second = np.zeros(count, int), np.zeros(count, int)
    for sign in (1, -1):
        of_guides = np.flatnonzero((guide_roots[:, 0] > parting(guide_roots[:, 2])) == (sign > 0))
        of_roots = np.flatnonzero((roots[:, 0] > parting(roots[:, 2])) == (sign > 0))
        nearest = np.asarray(cKDTree(guide_roots[of_guides]).query(roots[of_roots], k=2)[1])
        first[of_roots], second[of_roots] = of_guides[nearest[:, 0]], of_guides[nearest[:, 1]]

    along = np.linspace(0, 1, n_points)[None, :, None]
    share = random.uniform(0, 0.5, count)[:, None, None] * np.minimum(1, along * 3)
    strands = guides[first] * (1 - share) + guides[second] * share
    strands += (roots - guide_roots[first])[:, None] * (1 - 0.55 * along**1.2) * (1 - share)
    strands += random.normal(0, 1, (count, 1, 3)) * 0.10 * along**0.7
    frequency, phase = random.uniform(4, 9, (count, 1, 1)), random.uniform(0, 2 * np.pi, (count, 1, 1))
    strands += np.sin(along * frequency + phase) * random.normal(0, 0.05, (count, 1, 3)) * along
    stray = (random.random(count) < 0.02)[:, None, None]
    strands += stray * random.normal(0, 0.35, (count, 1, 3)) * along**1.5

    # Uneven lengths: each strand read along a shortened parameter.
    place = np.linspace(0, 1, n_points)[None] * random.uniform(0.90, 1.0, count)[:, None] * (n_points - 1)
    before = np.floor(place).astype(int).clip(0, n_points - 2)
    rest = (place - before)[..., None]
    each = np.arange(count)[:, None]
    strands = strands[each, before] * (1 - rest) + strands[each, before + 1] * rest

    free = strands[:, 2:].reshape(-1, 3)
    height, normal, distance = scalp.height(free)
    free = free + normal * (np.maximum(0.10 - height, 0) * (distance < 3))[:, None]
    strands[:, 2:] = free.reshape(count, n_points - 2, 3)
    return np.asarray(strands, np.float64)
