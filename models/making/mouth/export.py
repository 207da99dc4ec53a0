"""The renderer as two ONNX files, one for each half, their weights stored in half precision."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor, nn

from avatar.articulation import CHANNELS
from models.making.half_weights import store_in_half
from models.nets.mouth_halves import SEEN, DraftHalf, DrawingHalf, ImageHalf, LikenessHalf
from models.nets.mouth_renderer import MouthRenderer
from models.pixel_blocks import COLOURS, SIDE, in_blocks, in_pixels
from models.renderers import LOOK, PAINT

OPSET = 17


def export_halves(network: MouthRenderer, folder: Path, *, unet: bool = True) -> int:
    """Write both halves into ``folder``.

    ``LOOK`` takes ``crop`` uint8 (n, patch, patch, 3) and gives float16 arrays by the names in ``SEEN``. ``PAINT``
    takes ``blocks`` of crops, uint8 (n, patch / 4, patch / 4, 48), these arrays and ``articulation`` float32 (n, 7);
    it gives ``patch`` in such blocks.

    Args:
        unet: without it ``likeness`` is all that is seen.

    Returns:
        The files' size in bytes.
    """
    patch, names = network.config.patch, SEEN if unet else ("likeness",)
    folder.mkdir(parents=True, exist_ok=True)
    image_half: nn.Module = (ImageHalf.of(network) if unet else LikenessHalf.of(network)).eval()
    drawing_half = DrawingHalf.of(network) if unet else DraftHalf.without_unet(network)
    crop = torch.zeros(1, patch, patch, COLOURS, dtype=torch.uint8)
    with torch.no_grad():
        seen = image_half(crop)
    blocks = torch.zeros(1, patch // SIDE, patch // SIDE, SIDE * SIDE * COLOURS, dtype=torch.uint8)
    arrays = dict(zip(names, seen if unet else (seen,), strict=True))
    drawn = {"blocks": blocks, **arrays, "articulation": torch.full((1, len(CHANNELS)), 0.5)}
    return _export(image_half, {"crop": crop}, names, folder / LOOK, "image half of a mouth renderer") + _export(
        drawing_half.eval(), drawn, ("patch",), folder / PAINT, "drawing half of a mouth renderer"
    )


def needs_unet(network: MouthRenderer, crops: NDArray[np.uint8], articulations: NDArray[np.float32]) -> bool:
    """Whether any pixel of mouths (n, patch, patch, 3), (n, 7) comes out more than a level off without the U-Net."""
    blocks = torch.from_numpy(in_blocks(list(crops)))
    seen, said = torch.from_numpy(crops), torch.from_numpy(articulations)
    with torch.no_grad():
        whole = network.eval()(seen, said).numpy().astype(np.int16)
        draft = DraftHalf.without_unet(network)(blocks, LikenessHalf.of(network)(seen), said).numpy()
    return bool(np.abs(in_pixels(draft) - whole).max() > 1)


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
