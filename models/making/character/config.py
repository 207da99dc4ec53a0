"""The presenter's build configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

FRAME_PX = 720
"""Width and height of a frame."""

FPS = 25


def _identity() -> Mapping[int, float]:
    return MappingProxyType({0: 0.9, 3: -1.2, 2: -0.7, 7: 1.0, 4: -0.2})


@dataclass(frozen=True)
class CharacterConfig:
    """Numbers of the presenter; lengths of the model in cm, of the scene in Blender units (1 unit = 1 dm)."""

    identity: Mapping[int, float] = field(default_factory=_identity)
    """Weights of the head's identity modes."""
    face_texture_px: int = 2048
    body_texture_px: int = 1024
    subsurface_radius: tuple[float, float, float] = (1.0, 0.32, 0.16)
    subsurface_scale: float = 0.035
    n_strands: int = 26_000
    n_guides: int = 1_800
    n_strand_points: int = 26
    strand_radius: float = 0.0016
    hair_melanin: float = 0.62
    hair_redness: float = 0.48
    hair_seed: int = 3
    lens_mm: float = 85.0
    sensor_mm: float = 36.0
    camera_distance: float = 8.9
    camera_height: float = 0.02
    exposure: float = 0.76
    look: str = "AgX - Medium High Contrast"
    bounces: int = 4
    threads: int = 2
