"""Drawn mouths in the format of the rendered ones, so that training can be tried before anything is rendered."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS, TARGETS, aperture
from avatar.geometry import Affine
from avatar.pictures import Rgb
from models.making.mouth.regions import HELD_OUT, INDEX

_SKIN, _LIP, _INSIDE, _TEETH = (206, 160, 138), (172, 92, 88), (60, 20, 22), (228, 222, 212)


def draw_mouth(articulation: NDArray[np.float32], size: int) -> Rgb:
    """A cartoon of a mouth, RGB uint8 (size, size, 3)."""
    jaw, close, rounding, spread = (float(value) for value in articulation[:4])
    opening = float(aperture(articulation))
    picture = np.full((size, size, 3), _SKIN, np.uint8)
    picture[:, :, 0] -= np.linspace(0, 40, size, dtype=np.uint8)[:, None]
    unit = size / 160
    centre = (size // 2, round(size * 0.5 + 8 * jaw * unit))
    half_width = round((34 - 14 * rounding + 6 * spread) * unit)
    half_height = round((5 + 16 * opening + 4 * rounding - 2 * close) * unit)
    cv2.ellipse(picture, centre, (half_width, half_height + round(5 * unit)), 0, 0, 360, _LIP, -1, cv2.LINE_AA)
    if opening > 0.05:
        inner = (round(half_width * 0.8), max(1, half_height - round(2 * unit)))
        cv2.ellipse(picture, centre, inner, 0, 0, 360, _INSIDE, -1, cv2.LINE_AA)
        cv2.ellipse(picture, centre, inner, 0, 200, 340, _TEETH, -1, cv2.LINE_AA)
    return picture


def write_synthetic(folder: Path, n_poses: int, n_held_out: int, patch: int = 160, seed: int = 1) -> None:
    """Write ``n_poses`` poses of one rest and four spoken mouths each into ``folder``; the last ones are held out."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    margin = patch // 8
    with (folder / INDEX).open("w") as index:
        for pose in range(n_poses):
            face = _pose(rng, patch)
            offset = np.floor(face @ (0, 0, 1)) - margin
            tint = rng.uniform(0.92, 1.05, 3)
            mouths = [np.zeros(len(CHANNELS), np.float32), *_articulations(rng, 4)]
            for number, articulation in enumerate(mouths):
                region = face.copy()
                region[:, 2] -= offset
                size = patch + 2 * margin
                shaded = np.clip(draw_mouth(articulation, patch) * tint, 0, 255).astype(np.uint8)
                picture = cv2.warpAffine(shaded, region, (size, size), borderMode=cv2.BORDER_REPLICATE)
                file = f"{pose:04d}_{number}.png"
                cv2.imwrite(str(folder / file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                line = {
                    "pose_id": pose,
                    "file": file,
                    "kind": "target" if number else "input",
                    "articulation": [round(float(value), 4) for value in articulation],
                    "face": np.round(face, 5).tolist(),
                    "offset": offset.astype(int).tolist(),
                    "smile": 0.0,
                    "split": HELD_OUT if pose >= n_poses - n_held_out else "train",
                }
                index.write(json.dumps(line) + "\n")


def _pose(rng: np.random.Generator, patch: int) -> Affine:
    turned = cv2.getRotationMatrix2D((patch / 2, patch / 2), float(rng.uniform(-6, 6)), float(rng.uniform(0.9, 1.1)))
    placed = np.asarray(turned, np.float32)
    placed[:, 2] += rng.uniform(170, 190, 2).astype(np.float32)
    return placed


def _articulations(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    pairs, share = rng.integers(1, len(TARGETS), (n, 2)), rng.uniform(0, 1, (n, 1))
    return np.asarray(TARGETS[pairs[:, 0]] * share + TARGETS[pairs[:, 1]] * (1 - share), np.float32)
