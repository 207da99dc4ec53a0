"""Tracks on disk: where the face is on every frame of a clip, and where the clip can be left for another."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.bundle import Join, cycle_of
from avatar.errors import BundleError

_READING = threading.Lock()
"""NumPy reads an array's header as a literal, and in CPython up to 3.11 threads that parse at the same time may disturb
each other ("AST constructor recursion depth mismatch", gh-106905)."""


def write_track(path: Path, faces: NDArray[np.float32], joins: Mapping[str, Join]) -> None:
    """Writes a clip's track as ``read_track`` reads it.

    Args:
        path: an ``.npz`` file; its folder is made if it is not there.
        faces: maps from crop pixels to frame pixels, float32 (n, 2, 3).
        joins: by name of the clip that follows; every other clip of the avatar has one, a gesture also one to itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[np.float32] | NDArray[np.int32]] = {"faces": faces.astype(np.float32)}
    for other, join in joins.items():
        arrays[f"entry_{other}"] = join.entry.astype(np.int32)
        arrays[f"cost_{other}"] = join.cost.astype(np.float32)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_track(
    path: Path, clip: str, n_frames: int, there_and_back: bool
) -> tuple[NDArray[np.float32], dict[str, Join]]:
    """A clip's face maps, float32 (n_frames, 2, 3), and its joins by name of the clip that follows.

    Raises:
        BundleError: counts, types or numbers that do not fit; the sentence names the clip and both numbers.
    """
    arrays = read_arrays(path, clip)
    faces = faces_of(arrays, path, clip, n_frames)
    others = {name.partition("_")[2] for name in arrays if name.startswith(("entry_", "cost_"))}
    known = {"faces", *(f"{kind}_{other}" for kind in ("entry", "cost") for other in others)}
    if strangers := set(arrays) - known:
        raise BundleError(f"track {path.name} of clip '{clip}' has unknown arrays {sorted(strangers)}")
    n_steps = cycle_of(n_frames, there_and_back)
    return faces, {other: join_of(arrays, clip, other, n_steps) for other in sorted(others)}


def read_faces(path: Path, clip: str, n_frames: int) -> NDArray[np.float32]:
    """A clip's face maps alone, float32 (n_frames, 2, 3); raises `BundleError` like ``read_track``."""
    return faces_of(read_arrays(path, clip), path, clip, n_frames)


def read_arrays(path: Path, clip: str) -> dict[str, NDArray[np.generic]]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise BundleError(
                    f"track {path.name} of clip '{clip}' cannot be read: it is a single array, no archive"
                )
            with _READING:
                return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"track {path.name} of clip '{clip}' cannot be read: {error}") from error


def faces_of(arrays: Mapping[str, NDArray[np.generic]], path: Path, clip: str, n_frames: int) -> NDArray[np.float32]:
    if "faces" not in arrays:
        raise BundleError(f"track {path.name} of clip '{clip}' has {sorted(arrays)} but no 'faces'")
    found = arrays["faces"]
    if found.dtype != np.float32 or found.ndim != 3 or found.shape[1:] != (2, 3):
        raise BundleError(
            f"clip '{clip}' has face tracks {found.dtype} {found.shape}, needs float32 ({n_frames}, 2, 3)"
        )
    faces: NDArray[np.float32] = found.astype(np.float32, copy=False)
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
    return faces


def join_of(arrays: Mapping[str, NDArray[np.generic]], clip: str, other: str, n_steps: int) -> Join:
    entry, cost = arrays.get(f"entry_{other}"), arrays.get(f"cost_{other}")
    if entry is None or cost is None:
        raise BundleError(f"clip '{clip}' has only one of 'entry_{other}' and 'cost_{other}'")
    if entry.dtype != np.int32 or cost.dtype != np.float32 or entry.ndim != 1 or cost.ndim != 1:
        raise BundleError(
            f"clip '{clip}' has joins to '{other}' of {entry.dtype} {entry.shape} and {cost.dtype} {cost.shape}, "
            f"needs int32 ({n_steps},) and float32 ({n_steps},)"
        )
    if len(entry) != n_steps or len(cost) != n_steps:
        raise BundleError(
            f"clip '{clip}' has {n_steps} steps but {len(entry)} entries and {len(cost)} costs of joins to '{other}'; "
            "python -m models.making.seams rejoin makes them anew"
        )
    if not np.isfinite(cost).all() or cost.min() < 0:
        raise BundleError(f"clip '{clip}' has costs of joins to '{other}' that are negative or not finite")
    entry.setflags(write=False)
    cost.setflags(write=False)
    return Join(entry.astype(np.int32, copy=False), cost.astype(np.float32, copy=False))
