"""The renderer as one ONNX file, its weights stored in half precision."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from onnx import helper

from avatar.articulation import CHANNELS
from models.making.half_weights import store_in_half
from models.nets.mouth_renderer import MouthRenderer

OPSET = 17


def export_onnx(network: MouthRenderer, path: Path) -> int:
    """Write ``crop`` uint8 (n, patch, patch, 3) and ``articulation`` float32 (n, 7) to ``patch`` like ``crop``.

    Returns:
        The file's size in bytes.
    """
    patch = network.config.patch
    inputs = (torch.zeros(1, patch, patch, 3, dtype=torch.uint8), torch.full((1, len(CHANNELS)), 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The exporter warns that it is the older of two; the newer one needs a package more and writes a larger graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            inputs,
            str(path),
            input_names=["crop", "articulation"],
            output_names=["patch"],
            dynamic_axes={name: {0: "n"} for name in ("crop", "articulation", "patch")},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    store_in_half(model)
    model.producer_name, model.producer_version, model.doc_string = "open-avatar", "", "mouth renderer"
    helper.set_model_props(model, {"channels": " ".join(CHANNELS), "patch": str(patch)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path.stat().st_size
