"""Rendered clips on disk: a folder of numbered PNGs, and `track.npz` with the face on each of them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.errors import BundleError
from avatar.pictures import Rgb

TRACK = "track.npz"


@dataclass(frozen=True, slots=True)
class Footage:
    """A clip before it is coded.

    Attributes:
        pictures: RGB, uint8 (n, height, width, 3).
        faces: maps from crop pixels to frame pixels, float32 (n, 2, 3).
        there_and_back: whether a loop of it turns round at its ends.
    """

    name: str
    pictures: NDArray[np.uint8]
    faces: NDArray[np.float32]
    there_and_back: bool

    def __post_init__(self) -> None:
        if len(self.pictures) != len(self.faces):
            raise BundleError(f"clip '{self.name}' has {len(self.pictures)} pictures but {len(self.faces)} face tracks")

    def at(self, step: int) -> Rgb:
        """The picture at a step of the clip's cycle."""
        n = len(self.pictures)
        picture: Rgb = self.pictures[step if step < n else 2 * n - 2 - step]
        return picture


def read_footage(folder: Path, there_and_back: bool) -> Footage:
    """The clip in ``folder``; raises `BundleError` if pictures or tracks are missing or do not fit together."""
    files = sorted(folder.glob("*.png"))
    if not files:
        raise BundleError(f"{folder} has no PNGs")
    for number, file in enumerate(files):
        if file.stem != f"{number:04d}":
            raise BundleError(f"{folder} has no {number:04d}.png, but {file.name}")
    try:
        with np.load(folder / TRACK, allow_pickle=False) as archive:
            faces = np.asarray(archive["faces"], np.float32)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BundleError(f"{folder / TRACK} has no face track: {error}") from error
    return Footage(folder.name, np.stack([_read(file) for file in files]), faces, there_and_back)


def _read(file: Path) -> Rgb:
    bgr = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if bgr is None:
        raise BundleError(f"{file} is no picture")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
