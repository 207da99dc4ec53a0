"""How good a renderer is on poses it has never seen, in figures and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from avatar.articulation import CHANNELS
from avatar.pictures import Rgb
from models.making.mouth.measures import psnr, ssim
from models.making.mouth.regions import Pose
from models.nets.mouth_renderer import MouthRenderer


@dataclass(frozen=True, slots=True)
class Drawn:
    """One mouth drawn on a held-out pose: four pictures of the same size, and the figures inside the mask."""

    crop: Rgb
    target: Rgb
    shown: Rgb
    articulation: NDArray[np.float32]
    psnr_db: float
    ssim: float


def draw_held_out(network: MouthRenderer, poses: Iterable[Pose], mask: NDArray[np.uint8]) -> list[Drawn]:
    """Every held-out mouth as a viewer would see it: the patch laid over the crop through the mask."""
    patch, drawn = network.config.patch, []
    for pose in poses:
        if not pose.held_out:
            continue
        crop = pose.rest.crop(patch)
        articulations = np.stack([region.articulation for region in pose.spoken])
        for region, shown in zip(pose.spoken, draw(network, crop, articulations), strict=True):
            shown, target = laid_over(crop, shown, mask), region.crop(patch)
            inside = mask >= 128
            drawn.append(
                Drawn(
                    crop,
                    target,
                    shown,
                    region.articulation,
                    psnr(shown, target, inside),
                    ssim(shown, target, inside),
                )
            )
    return drawn


def draw(network: MouthRenderer, crop: Rgb, articulations: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Patches (n, patch, patch, 3) for one crop and articulations (n, 7)."""
    crops = torch.from_numpy(np.repeat(crop[None], len(articulations), axis=0))
    with torch.no_grad():
        return np.asarray(network(crops, torch.from_numpy(articulations)).numpy(), np.uint8)


def laid_over(crop: Rgb, patch: Rgb, mask: NDArray[np.uint8]) -> Rgb:
    """The crop with the patch drawn over it as far as the mask says."""
    share = mask[:, :, None].astype(np.float32) / 255
    return np.asarray(np.round(crop + share * (patch.astype(np.float32) - crop)), np.uint8)


def sheet(drawn: Sequence[Drawn], mask: NDArray[np.uint8], columns: int = 3) -> Rgb:
    """A picture to look at: crop, target, drawn, and their difference times four, ``columns`` mouths in a row."""
    outline = cv2.morphologyEx((mask > 8).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    cells = []
    for each in drawn:
        difference = np.abs(each.shown.astype(np.int16) - each.target) * 4
        difference = np.clip(difference, 0, 255).astype(np.uint8)
        difference[outline] = (60, 60, 60)
        row = np.hstack([each.crop, each.target, each.shown, difference])
        said = " ".join(f"{name} {value:.2f}" for name, value in zip(CHANNELS, each.articulation, strict=True) if value)
        row = np.ascontiguousarray(row)
        text = f"{said}  {each.psnr_db:.1f} dB {each.ssim:.3f}"
        cv2.putText(row, text, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(row)
    while len(cells) % columns:
        cells.append(np.zeros_like(cells[0]))
    return np.vstack([np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)])
