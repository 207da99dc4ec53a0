"""The exported halves against the renderer that they came from, and the time that they take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avatar.lipsync import Crop
from models.looks import Looks
from models.nets.mouth_renderer import MouthRenderer
from models.renderers import LOOK, PAINT, HalvedRenderer
from models.runtimes.network import Precision
from models.runtimes.openvino import OpenVinoNetwork


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences in levels (0–255), and the median processor time of one mouth on a frame that was seen before."""

    precision: str
    largest: int
    mean: float
    milliseconds: float


def compare(
    network: MouthRenderer,
    halves: Path,
    crops: NDArray[np.uint8],
    articulations: NDArray[np.float32],
    precisions: Sequence[Precision] = ("f32", "bf16"),
    n_timed: int = 30,
) -> list[Agreement]:
    """Run crops (n, patch, patch, 3) and articulations (n, 7) through torch, and one by one through exported halves."""
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(crops), torch.from_numpy(articulations)).numpy().astype(np.int16)
    agreements = []
    for precision in precisions:
        look, paint = (OpenVinoNetwork(halves / name, precision=precision, batches=(1,)) for name in (LOOK, PAINT))
        renderer = HalvedRenderer(look, paint, Looks(2**30))
        jobs = [
            ([Crop(crop, "", i)], how[None]) for i, (crop, how) in enumerate(zip(crops, articulations, strict=True))
        ]
        found = np.stack([renderer.paint(*job)[0] for job in jobs])
        difference = np.abs(found - expected)
        spent = []
        for _ in range(n_timed):
            start = time.process_time()
            renderer.paint(*jobs[0])
            spent.append(time.process_time() - start)
        agreements.append(
            Agreement(precision, int(difference.max()), float(difference.mean()), 1000 * float(np.median(spent)))
        )
    return agreements
