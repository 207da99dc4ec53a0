"""Rendered mouth regions on disk: `index.jsonl` and one PNG for each of its lines.

A line is ``{"pose_id", "file", "kind": "input" | "target", "articulation": [7], "face": [[a, b, c], [d, e, f]],
"offset": [x, y], "smile", "split"}``. ``face`` maps crop pixels to frame pixels, ``offset`` is where on the frame the
region's top-left pixel lies, and ``split`` is "held_out" for poses that no training sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS
from avatar.errors import BundleError
from avatar.geometry import Affine
from avatar.pictures import Rgb

INDEX = "index.jsonl"
HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True)
class Region:
    """The lower half of a face, rendered.

    Attributes:
        picture: RGB, uint8 (height, width, 3).
        face: maps crop pixels to the picture's own pixels.
        articulation: what the mouth does, float32 (7,).
        smile: 0 to 1.
    """

    picture: Rgb
    face: Affine
    articulation: NDArray[np.float32]
    smile: float

    def crop(self, patch: int, jitter: Affine | None = None) -> Rgb:
        """The region in crop space, (patch, patch, 3); ``jitter`` maps crop pixels to crop pixels before the face."""
        face = self.face if jitter is None else after(self.face, jitter)
        inverse = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(self.picture, face, (patch, patch), flags=inverse, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, np.uint8)


@dataclass(frozen=True, slots=True)
class Pose:
    """One head in one place: its mouth at rest, and the same head speaking."""

    id: str
    rest: Region
    spoken: tuple[Region, ...]
    held_out: bool


class Mouths:
    """The poses of a folder that may still be growing; `read` takes in what is new."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._regions: dict[str, tuple[str, str, bool, Region]] = {}

    def read(self) -> list[Pose]:
        """All poses with a mouth at rest and at least one that speaks, in the order they were rendered."""
        index = self.folder / INDEX
        if not index.is_file():
            raise BundleError(f"no {INDEX} in {self.folder}")
        for line in index.read_text().splitlines(keepends=True):
            if line.endswith("\n") and line.strip():
                self._take(json.loads(line))
        return list(_poses(self._regions.values()))

    def _take(self, entry: dict[str, object]) -> None:
        file = str(entry["file"])
        if file in self._regions:
            return
        bgr = cv2.imread(str(self.folder / file), cv2.IMREAD_COLOR)
        if bgr is None:
            return  # still being written: the next reading finds it
        articulation = np.array(entry["articulation"], np.float32)
        if articulation.shape != (len(CHANNELS),):
            raise BundleError(f"{file} has {articulation.size} articulation channels, not {len(CHANNELS)}")
        face = np.array(entry["face"], np.float32)
        face[:, 2] -= np.array(entry["offset"], np.float32)
        picture = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        region = Region(picture, face, articulation, float(str(entry.get("smile", 0.0))))
        self._regions[file] = (str(entry["pose_id"]), str(entry["kind"]), entry.get("split") == HELD_OUT, region)


def after(face: Affine, first: Affine) -> Affine:
    """The affine map that does ``first``, then ``face``; both (2, 3)."""
    whole = np.vstack([first, [0, 0, 1]])
    return np.asarray(face @ whole, np.float32)


def _poses(regions: Iterable[tuple[str, str, bool, Region]]) -> Iterable[Pose]:
    rests: dict[str, Region] = {}
    spoken: dict[str, list[Region]] = {}
    held: dict[str, bool] = {}
    for pose, kind, held_out, region in regions:
        held[pose] = held_out or held.get(pose, False)
        if kind == "input":
            rests[pose] = region
        else:
            spoken.setdefault(pose, []).append(region)
    for pose, rest in rests.items():
        if pose in spoken:
            yield Pose(pose, rest, tuple(spoken[pose]), held[pose])
