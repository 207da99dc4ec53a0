"""The joins of an avatar that exists, found anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avatar.bundle import Join
from avatar.pictures import to_rgb
from models.bundles import MASK, check_files, read_mask
from models.footage import decode_clip
from models.making.assemble.footage import Footage
from models.making.assemble.joins import find_joins
from models.manifest import Manifest, read_manifest, write_manifest
from models.tracks import read_faces, write_track


def rejoin(folder: Path) -> dict[str, dict[str, Join]]:
    """Finds and writes the joins of the avatar in ``folder``; what they were, or whether they fit, does not matter.

    Raises:
        BundleError: the rest of the avatar cannot be used.
    """
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    clips = [read_clip_as_footage(folder, manifest, name) for name in manifest.clips]
    joins = find_joins(clips, read_mask(folder / MASK), set(manifest.gestures.values()))
    for clip in clips:
        write_track(folder / manifest.clips[clip.name].track, clip.faces, joins[clip.name])
    write_manifest(folder, manifest)
    return joins


def read_clip_as_footage(folder: Path, manifest: Manifest, name: str) -> Footage:
    entry = manifest.clips[name]
    frames = decode_clip(folder / entry.file, manifest.frame_size, manifest.rate, entry.frames)
    faces = read_faces(folder / entry.track, name, entry.frames)
    return Footage(name, np.stack([to_rgb(frame) for frame in frames]), faces, entry.there_and_back)
