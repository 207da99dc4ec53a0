"""The renderer as two ONNX files, one for each half, their weights stored in half precision."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from avatar.articulation import CHANNELS
from models.making.half_weights import store_in_half
from models.nets.mouth_halves import SEEN, DrawingHalf, ImageHalf
from models.nets.mouth_renderer import MouthRenderer
from models.pixel_blocks import COLOURS, SIDE
from models.renderers import LOOK, PAINT

OPSET = 17


def export_halves(network: MouthRenderer, folder: Path) -> int:
    """Write both halves into ``folder``.

    ``LOOK`` takes ``crop`` uint8 (n, patch, patch, 3) and gives float16 arrays by the names in ``SEEN``. ``PAINT``
    takes ``blocks`` of crops, uint8 (n, patch / 4, patch / 4, 48), these arrays and ``articulation`` float32 (n, 7);
    it gives ``patch`` in such blocks.

    Returns:
        The files' size in bytes.
    """
    patch = network.config.patch
    folder.mkdir(parents=True, exist_ok=True)
    image_half = ImageHalf.of(network).eval()
    crop = torch.zeros(1, patch, patch, COLOURS, dtype=torch.uint8)
    with torch.no_grad():
        seen = dict(zip(SEEN, image_half(crop), strict=True))
    blocks = torch.zeros(1, patch // SIDE, patch // SIDE, SIDE * SIDE * COLOURS, dtype=torch.uint8)
    drawn = {"blocks": blocks, **seen, "articulation": torch.full((1, len(CHANNELS)), 0.5)}
    return _export(image_half, {"crop": crop}, SEEN, folder / LOOK, "image half of a mouth renderer") + _export(
        DrawingHalf.of(network).eval(), drawn, ("patch",), folder / PAINT, "drawing half of a mouth renderer"
    )


def _export(half: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path, what: str) -> int:
    with warnings.catch_warnings():
        # The exporter warns that it is the older of two; the newer one needs a package more and writes a larger graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            half,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "n"} for name in (*inputs, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    store_in_half(model)
    model.producer_name, model.producer_version, model.doc_string = "open-avatar", "", what
    helper.set_model_props(model, {"channels": " ".join(CHANNELS)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path.stat().st_size
