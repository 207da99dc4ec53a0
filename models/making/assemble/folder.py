"""Writing an avatar's folder: footage, tracks, mask, weights, and the list of them all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from avatar.bundle import Join
from avatar.errors import BundleError
from avatar.geometry import Size
from models.bundles import (
    ClipEntry,
    Credit,
    LipSyncEntry,
    Manifest,
    TuningEntry,
    read_bundle,
    write_manifest,
    write_mask,
    write_track,
)
from models.footage import encode_clip
from models.making.assemble.footage import Footage
from models.renderers import LOOK, PAINT

WEIGHTS = "weights"
MIT = "MIT"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an avatar is called, and which clip is for what.

    Attributes:
        crf: x264's constant rate factor of the clips.
        gestures: the clip of each gesture; these are played once, all others there and back.
    """

    id: str = "ava"
    name: str = "Ava"
    version: str = "1"
    fps: Fraction = Fraction(25)
    crf: int = 15
    states: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({"idle": "idle", "listen": "listen", "talk": "talk"})
    )
    gestures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tuning: TuningEntry = TuningEntry()
    credits: Sequence[Credit] = (
        Credit(
            "the head: a scanned, morphable face with its expressions",
            "USC Institute for Creative Technologies (ICT-FaceKit)",
            "https://github.com/ICT-VGL/ICT-FaceKit",
            MIT,
        ),
        Credit("everything else: hair, garment, light, motion, footage, mouth renderer", "this project", "", MIT),
    )


def write_avatar(
    folder: Path,
    recipe: Recipe,
    clips: Sequence[Footage],
    joins: Mapping[str, Mapping[str, Join]],
    mask: NDArray[np.uint8],
    renderer: Path | None,
) -> Manifest:
    """Writes the avatar beside ``folder``, reads it back, and only then puts it in its place.

    Args:
        folder: the avatar's; what is there is replaced.
        recipe: names and uses.
        clips: of one size.
        joins: by the clip that is left, then by the clip that follows.
        mask: in crop space, uint8 (patch, patch).
        renderer: the folder with both halves of a mouth renderer (``models.making.mouth.export``), the ONNX file of a
            whole one, or None for an avatar without lips.

    Raises:
        BundleError: anything that would not load.
    """
    height, width = clips[0].pictures.shape[1:3]
    size = Size(width, height)
    building = folder.with_name(f".{folder.name}.part")
    if building.exists():
        shutil.rmtree(building)
    building.mkdir(parents=True)
    for clip in clips:
        encode_clip(building / "clips" / f"{clip.name}.mp4", iter(clip.pictures), size, recipe.fps, recipe.crf)
        write_track(building / "tracks" / f"{clip.name}.npz", clip.faces, joins[clip.name])
    write_mask(building, mask)
    lipsync = copy_renderer(renderer, building) if renderer is not None else None
    manifest = write_manifest(
        building,
        Manifest(
            id=recipe.id,
            name=recipe.name,
            version=recipe.version,
            size=(size.width, size.height),
            fps=str(recipe.fps),
            lipsync=lipsync,
            clips={
                clip.name: ClipEntry(
                    f"clips/{clip.name}.mp4", f"tracks/{clip.name}.npz", len(clip.pictures), clip.there_and_back
                )
                for clip in clips
            },
            states=dict(recipe.states),
            gestures=dict(recipe.gestures),
            tuning=recipe.tuning,
            credits=list(recipe.credits),
        ),
    )
    bundle = read_bundle(building)
    if bundle.mask.shape != mask.shape:
        raise BundleError(f"the mask came back as {bundle.mask.shape}, it was {mask.shape}")
    if folder.exists():
        shutil.rmtree(folder)
    building.rename(folder)
    return manifest


def copy_renderer(renderer: Path, folder: Path) -> LipSyncEntry:
    """Puts a renderer's networks into an avatar's folder.

    Returns:
        Where they are, for the manifest.
    """
    files = [renderer / PAINT, renderer / LOOK] if renderer.is_dir() else [renderer]
    (folder / WEIGHTS).mkdir()
    for file in files:
        shutil.copyfile(file, folder / WEIGHTS / file.name)
    weights, *look = [f"{WEIGHTS}/{file.name}" for file in files]
    return LipSyncEntry("speech_lips", weights, look=look[0] if look else None)
