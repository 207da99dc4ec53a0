"""The stage: a soft background, four lamps, the camera, and Cycles' settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from models.making.character.camera import Region
from models.making.character.config import FRAME_PX, CharacterConfig
from models.making.character.nodes import Colour, Shader, image, in_scene, mesh_object, set_uv
from models.making.character.space import smoothstep

_LAMPS: tuple[tuple[tuple[float, float, float], float, float, Colour], ...] = (
    ((4.2, -6.0, 4.2), 400.0, 2.6, (1.0, 0.955, 0.90)),
    ((-5.5, -6.0, 0.8), 92.0, 4.0, (1.0, 0.88, 0.76)),
    ((-3.8, 5.0, 4.6), 330.0, 1.6, (0.88, 0.94, 1.0)),
    ((4.8, 5.0, 2.5), 170.0, 1.6, (1.0, 0.90, 0.78)),
)
"""Key, fill and two rims: place in dm, watts, diameter in dm, colour."""


def build_stage(config: CharacterConfig) -> None:
    """Furnish the scene around the presenter."""
    _background()
    target = in_scene("target", None)
    target.location = (0, -0.6, 0.15)
    for place, watts, size, colour in _LAMPS:
        lamp = bpy.data.lights.new("lamp", "AREA")
        lamp.shape, lamp.energy, lamp.size, lamp.color = "DISK", watts, size, colour
        stand = in_scene("lamp", lamp)
        stand.location = place
        aim = stand.constraints.new("TRACK_TO")
        aim.target, aim.track_axis, aim.up_axis = target, "TRACK_NEGATIVE_Z", "UP_Y"
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    sky = world.node_tree.nodes["Background"]
    sky.inputs[0].default_value, sky.inputs[1].default_value = (0.30, 0.33, 0.38, 1), 0.40
    bpy.context.scene.world = world

    camera = bpy.data.cameras.new("camera")
    camera.lens, camera.sensor_width = config.lens_mm, config.sensor_mm
    tripod = in_scene("camera", camera)
    tripod.location = (0, -config.camera_distance, config.camera_height)
    tripod.rotation_euler = (np.pi / 2, 0, 0)
    bpy.context.scene.camera = tripod
    _settings(config)


def render(path: Path, n_samples: int, region: Region | None = None, scale: float = 1.0) -> None:
    """Render the frame, or a region of it, to a PNG; the file appears whole or not at all.

    Args:
        scale: size of the picture over the frame's, in whole hundredths.
    """
    scene = bpy.context.scene
    frame = scene.render
    scene.cycles.samples = n_samples
    frame.resolution_percentage = round(100 * scale)
    frame.use_border = frame.use_crop_to_border = region is not None
    if region is not None:
        frame.border_min_x, frame.border_max_x = region.left / FRAME_PX, (region.left + region.width) / FRAME_PX
        frame.border_min_y = 1 - (region.top + region.height) / FRAME_PX
        frame.border_max_y = 1 - region.top / FRAME_PX
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.png")
    frame.filepath = str(unfinished)
    with _silence():
        bpy.ops.render.render(write_still=True)
    unfinished.replace(path)


def _background() -> None:
    size = 512
    y, x = np.mgrid[0:size, 0:size] / size
    random = np.random.default_rng(8)

    def glow(across: float, up: float, width: float, height: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-(((x - across) / width) ** 2 + ((y - up) / height) ** 2))[..., None], np.float64)

    picture = np.array([0.075, 0.085, 0.10]) * (0.55 + 0.9 * y[..., None])
    picture = picture + np.array([0.16, 0.12, 0.08]) * 0.8 * glow(0.12, 0.65, 0.35, 0.5)
    picture = picture + np.array([0.05, 0.09, 0.13]) * glow(0.92, 0.55, 0.25, 0.6)
    for _ in range(26):
        across, up, radius = random.random(), random.uniform(0.35, 1.0), random.uniform(0.02, 0.055)
        colour = np.array([1, 0.72, 0.42]) if random.random() < 0.65 else np.array([0.55, 0.75, 1.0])
        distance = np.hypot(x - across, y - up)
        disc = smoothstep(radius * 1.15, radius * 0.85, distance) * (0.7 + 0.3 * distance / radius)
        picture += (disc * random.uniform(0.02, 0.085))[..., None] * colour
    picture *= (1.12 - 0.75 * ((x - 0.5) ** 2 + 0.7 * (y - 0.55) ** 2))[..., None] * np.array([1.04, 0.98, 0.93])

    shader = Shader("background")
    shown = shader.node(
        "ShaderNodeTexImage", {"image": image("background", picture.astype(np.float32)), "interpolation": "Cubic"}
    )
    shader.replace_surface(shader.node("ShaderNodeEmission", Color=shown.outputs[0], Strength=1.6).outputs[0])
    corners = np.array([[-5.0, 9, -5], [5, 9, -5], [5, 9, 5], [-5, 9, 5]])
    wall = mesh_object("background", corners, [(0, 1, 2, 3)], [shader.material], smooth=False)
    set_uv(wall.data, np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]))
    for ray in ("diffuse", "glossy", "shadow", "transmission"):
        setattr(wall, f"visible_{ray}", False)


def _settings(config: CharacterConfig) -> None:
    scene = bpy.context.scene
    frame, cycles = scene.render, scene.cycles
    frame.engine, cycles.device = "CYCLES", "CPU"
    frame.resolution_x = frame.resolution_y = FRAME_PX
    frame.use_persistent_data = True
    frame.threads_mode, frame.threads = "FIXED", config.threads
    frame.hair_type = "STRIP"
    frame.image_settings.file_format, frame.image_settings.color_mode = "PNG", "RGB"
    cycles.use_adaptive_sampling = False
    cycles.seed, cycles.use_animated_seed = 0, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.max_bounces = config.bounces
    cycles.diffuse_bounces = cycles.glossy_bounces = 2
    cycles.transmission_bounces, cycles.transparent_max_bounces = 4, 6
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 3
    scene.cycles_curves.shape = "RIBBONS"
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", config.look
    scene.view_settings.exposure = config.exposure


@contextmanager
def _silence() -> Iterator[None]:
    """Cycles reports every sample on standard output; nobody needs it."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
