"""An avatar's folder, read once and checked whole.

::

    ava/avatar.toml        see models.manifest
    ava/clips/*.mp4        H.264, yuv420p, BT.601 limited, at the avatar's size and fps
    ava/tracks/*.npz       per clip: faces float32 (n, 2, 3); per other clip X: entry_X int32, cost_X float32
                           (steps of the cycle,)
    ava/mask.png           8-bit grey, in crop space
    ava/weights/*.onnx     the network that draws the mouth

To make one: ``models.footage.encode_clip`` and ``models.tracks.write_track`` per clip, ``write_mask``, the weights,
and at last ``write_manifest``, which hashes what it finds.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.bundle import AvatarBundle, Clip
from avatar.errors import BundleError
from avatar.geometry import Size, footprint, relative_to
from avatar.pictures import Arrays, Picture, anywhere, cut_out, shape_of, size_of, to_rgb
from models.footage import decode_into
from models.manifest import (
    ClipEntry,
    Credit,
    LipSyncEntry,
    Manifest,
    TuningEntry,
    read_manifest,
    sha256_of,
    write_manifest,
)
from models.tracks import read_track, write_track

__all__ = [
    "ClipEntry",
    "Credit",
    "LipSyncEntry",
    "Manifest",
    "TuningEntry",
    "read_bundle",
    "read_manifest",
    "write_manifest",
    "write_mask",
    "write_track",
]

MASK = "mask.png"
LARGEST_PATCH = 1024


def read_bundle(
    folder: Path, manifest: Manifest | None = None, at_once: int = 1, arrays: Arrays = anywhere
) -> AvatarBundle:
    """Reads every file of an avatar but its networks, and checks every file, its networks included, against its sha256.

    Takes about a second for ten seconds of 512x512 footage; blocks. Every array of the result is read-only.

    Args:
        folder: the avatar's.
        manifest: what ``read_manifest(folder)`` gave, where it has been read already.
        at_once: clips that are decoded at a time, each by one thread.
        arrays: makes those that take much memory.

    Raises:
        BundleError: anything missing, changed or unfitting; the sentence names the file and both numbers.
    """
    manifest = manifest or read_manifest(folder)
    check_files(folder, manifest)
    mask = read_mask(folder / MASK)
    counts = [entry.frames for entry in manifest.clips.values()]
    made = arrays([(n, *shape_of(manifest.frame_size)) for n in counts] + [(n, *mask.shape, 3) for n in counts])
    with ThreadPoolExecutor(at_once, "clips") as pool:
        reading = partial(read_clip, folder, manifest)
        read = pool.map(reading, manifest.clips, made[: len(counts)], made[len(counts) :])
        clips = dict(zip(manifest.clips, read, strict=True))
    for name, clip in clips.items():
        if missing := sorted(set(clips) - {name} - set(clip.joins)):
            raise BundleError(f"clip '{name}' has no joins to {', '.join(missing)}")
    return AvatarBundle(
        id=manifest.id,
        name=manifest.name,
        version=manifest.version,
        size=manifest.frame_size,
        fps=manifest.rate,
        clips=clips,
        loops=dict(manifest.states),
        gestures=dict(manifest.gestures),
        mask=mask,
        tuning=manifest.mouth_tuning,
    )


def check_files(folder: Path, manifest: Manifest) -> None:
    root = folder.resolve()
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"avatar '{manifest.id}' lacks the file {name}")
        if not path.resolve().is_relative_to(root):
            raise BundleError(f"avatar '{manifest.id}' has a link {name} that leads out of its folder")
        if (found := sha256_of(path)) != expected.lower():
            raise BundleError(f"{name} of avatar '{manifest.id}' has sha256 {found} but avatar.toml says {expected}")


def read_clip(folder: Path, manifest: Manifest, name: str, frames: NDArray[np.uint8], crops: NDArray[np.uint8]) -> Clip:
    """Fills both arrays; see ``Clip``."""
    entry = manifest.clips[name]
    decode_into(frames, folder / entry.file, manifest.frame_size, manifest.rate)
    faces, joins = read_track(folder / entry.track, name, entry.frames, entry.there_and_back)
    crop_faces(frames, faces, crops)
    return Clip(name, frames, faces, crops, joins, entry.there_and_back)


def crop_faces(frames: NDArray[np.uint8], faces: NDArray[np.float32], crops: NDArray[np.uint8]) -> None:
    """Fills ``crops`` with the face on each frame as the network sees it.

    Args:
        frames: I420 pictures, uint8 (n, height * 3 / 2, width).
        faces: maps from crop pixels to frame pixels, float32 (n, 2, 3).
        crops: RGB, uint8 (n, patch height, patch width, 3).
    """
    patch = Size(crops.shape[2], crops.shape[1])
    for crop, picture, face in zip(crops, frames, faces, strict=True):
        crop[...] = face_crop(picture, face, patch)


def face_crop(picture: Picture, face: NDArray[np.float32], patch: Size) -> NDArray[np.uint8]:
    """The face on one picture; what lies outside of the picture repeats its edge."""
    box = footprint(face, patch, size_of(picture), margin=2)
    if not box.width or not box.height:
        raise BundleError("a face lies outside of its picture")
    return np.asarray(
        cv2.warpAffine(
            to_rgb(cut_out(picture, box)),
            relative_to(face, box),
            (patch.width, patch.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def write_mask(folder: Path, mask: NDArray[np.uint8]) -> None:
    """Writes the mouth mask, uint8 (patch height, patch width): 0 keeps the footage, 255 replaces it."""
    if not cv2.imwrite(str(folder / MASK), mask):
        raise BundleError(f"{folder / MASK} cannot be written")


def read_mask(path: Path) -> NDArray[np.uint8]:
    data = np.fromfile(path, np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None:
        raise BundleError(f"{MASK} is no picture")
    mask: NDArray[np.generic] = np.asarray(picture)
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise BundleError(f"{MASK} is {mask.dtype} {mask.shape}, needs 8-bit grey (height, width)")
    if max(mask.shape) > LARGEST_PATCH:
        raise BundleError(f"{MASK} is {mask.shape[1]}x{mask.shape[0]}, allowed are up to {LARGEST_PATCH} pixels a side")
    if not mask.any():
        raise BundleError(f"{MASK} is black everywhere: no mouth would ever be seen")
    return mask.astype(np.uint8, copy=False)
