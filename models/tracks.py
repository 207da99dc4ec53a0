"""Tracks on disk: where the face is on every frame of a clip, and where the clip can be left for another."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.bundle import Join
from avatar.errors import BundleError


def write_track(path: Path, faces: NDArray[np.float32], joins: Mapping[str, Join]) -> None:
    """Writes a clip's track as ``read_track`` reads it.

    Args:
        path: an ``.npz`` file; its folder is made if it is not there.
        faces: maps from crop pixels to frame pixels, float32 (n, 2, 3).
        joins: by name of the clip that follows; every other clip of the avatar has one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.float32] | NDArray[np.int32]] = {"faces": faces.astype(np.float32)}
    for other, join in joins.items():
        arrays[f"entry_{other}"] = join.entry.astype(np.int32)
        arrays[f"cost_{other}"] = join.cost.astype(np.float32)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_track(path: Path, clip: str, n_frames: int) -> tuple[NDArray[np.float32], dict[str, Join]]:
    """A clip's face maps, float32 (n_frames, 2, 3), and its joins by name of the clip that follows.

    Raises:
        BundleError: counts, types or numbers that do not fit; the sentence names the clip and both numbers.
    """
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise BundleError(
                    f"track {path.name} of clip '{clip}' cannot be read: it is a single array, no archive"
                )
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"track {path.name} of clip '{clip}' cannot be read: {error}") from error
    if "faces" not in arrays:
        raise BundleError(f"track {path.name} of clip '{clip}' has {sorted(arrays)} but no 'faces'")
    faces = arrays.pop("faces")
    if faces.dtype != np.float32 or faces.ndim != 3 or faces.shape[1:] != (2, 3):
        raise BundleError(
            f"clip '{clip}' has face tracks {faces.dtype} {faces.shape}, needs float32 ({n_frames}, 2, 3)"
        )
    if len(faces) != n_frames:
        raise BundleError(f"clip '{clip}' has {n_frames} frames but {len(faces)} face tracks")
    if not np.isfinite(faces).all():
        frame = int(np.flatnonzero(~np.isfinite(faces).all((1, 2)))[0])
        raise BundleError(f"clip '{clip}' has a face track at frame {frame} that is not a finite number")
    if (areas := np.linalg.det(faces[:, :, :2])).min() <= 0:
        frame = int(areas.argmin())
        raise BundleError(
            f"clip '{clip}' has a face track at frame {frame} that is flat or mirrored (area {areas[frame]:g})"
        )
    others = {name.partition("_")[2] for name in arrays if name.startswith(("entry_", "cost_"))}
    if strangers := set(arrays) - {f"{kind}_{other}" for kind in ("entry", "cost") for other in others}:
        raise BundleError(f"track {path.name} of clip '{clip}' has unknown arrays {sorted(strangers)}")
    return faces, {other: join_of(arrays, clip, other, n_frames) for other in sorted(others)}


def join_of(arrays: Mapping[str, NDArray[np.generic]], clip: str, other: str, n_frames: int) -> Join:
    entry, cost = arrays.get(f"entry_{other}"), arrays.get(f"cost_{other}")
    if entry is None or cost is None:
        raise BundleError(f"clip '{clip}' has only one of 'entry_{other}' and 'cost_{other}'")
    if entry.dtype != np.int32 or cost.dtype != np.float32 or entry.ndim != 1 or cost.ndim != 1:
        raise BundleError(
            f"clip '{clip}' has joins to '{other}' of {entry.dtype} {entry.shape} and {cost.dtype} {cost.shape}, "
            f"needs int32 ({n_frames},) and float32 ({n_frames},)"
        )
    if len(entry) != n_frames or len(cost) != n_frames:
        raise BundleError(
            f"clip '{clip}' has {n_frames} frames but {len(entry)} entries and {len(cost)} costs of joins to '{other}'"
        )
    if not np.isfinite(cost).all() or cost.min() < 0:
        raise BundleError(f"clip '{clip}' has costs of joins to '{other}' that are negative or not finite")
    entry.setflags(write=False)
    cost.setflags(write=False)
    return Join(entry.astype(np.int32, copy=False), cost.astype(np.float32, copy=False))
