"""The exported renderer against the one it came from, and the time it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.nets.mouth_renderer import MouthRenderer


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences in levels (0–255), and the median time of one mouth on one thread."""

    precision: str
    largest: int
    mean: float
    milliseconds: float


def compare(
    network: MouthRenderer,
    onnx_file: Path,
    crops: NDArray[np.uint8],
    articulations: NDArray[np.float32],
    precisions: Sequence[str] = ("f32", "bf16"),
    n_timed: int = 30,
) -> list[Agreement]:
    """Run crops (n, patch, patch, 3) and articulations (n, 7) through torch and through OpenVINO, one at a time."""
    from models.runtimes.openvino import the_core

    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(crops), torch.from_numpy(articulations)).numpy().astype(np.int16)
    core, agreements = the_core(), []
    for precision in precisions:
        options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        request = core.compile_model(str(onnx_file), "CPU", options).create_infer_request()
        found = [
            request.infer([crop[None], how[None]])[0].copy() for crop, how in zip(crops, articulations, strict=True)
        ]
        difference = np.abs(np.concatenate(found).astype(np.int16) - expected)
        spent = []
        for _ in range(n_timed):
            start = time.perf_counter()
            request.infer([crops[:1], articulations[:1]])
            spent.append(time.perf_counter() - start)
        agreements.append(
            Agreement(precision, int(difference.max()), float(difference.mean()), 1000 * float(np.median(spent)))
        )
    return agreements
