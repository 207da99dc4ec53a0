"""This project's networks in torch, for CUDA: the architecture from ``models.nets``, the weights from the ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from avatar.errors import BundleError
from models.nets.mouth_halves import SEEN, DraftHalf, DrawingHalf, ImageHalf, LikenessHalf
from models.nets.mouth_renderer import MouthRenderer
from models.nets.speech_encoder import SpeechEncoder, SpeechWindow
from models.runtimes.network import Precision, Shape

ARCHITECTURES: Mapping[tuple[tuple[str, ...], tuple[str, ...]], Callable[[], nn.Module]] = {
    (("mel",), ("articulation", "visemes")): lambda: SpeechWindow(SpeechEncoder()),
    (("crop", "articulation"), ("patch",)): MouthRenderer,
    (("crop",), SEEN): ImageHalf,
    (("blocks", *SEEN, "articulation"), ("patch",)): DrawingHalf,
    (("crop",), ("likeness",)): LikenessHalf,
    (("blocks", "likeness", "articulation"), ("patch",)): DraftHalf,
}
"""What a file holds, told by the names of its inputs and outputs."""

HALF_SUFFIXES = ("_fp16", "_half")
"""Of the names of weights that are stored in half precision."""


class TorchNetwork:
    """One of this project's networks, on the first CUDA device if there is one, else on the CPU.

    Args:
        threads, at_once: ignored; torch shares its threads among all networks and all who call.
        precision: ``auto`` is bf16 on CUDA and f32 on a CPU.

    Raises:
        BundleError: the file is no network of this project.
    """

    def __init__(self, path: Path, threads: int = 1, precision: Precision = "auto", at_once: int = 1) -> None:
        model = onnx.load(str(path))
        self.inputs = {value.name: _shape(value) for value in model.graph.input}
        self.outputs = {value.name: _shape(value) for value in model.graph.output}
        ports = tuple(self.inputs), tuple(self.outputs)
        if ports not in ARCHITECTURES:
            known = "; ".join(_written(*each) for each in ARCHITECTURES)
            raise BundleError(f"{path.name} makes {_written(*ports)}; torch runs networks that make {known}")
        module = ARCHITECTURES[ports]()
        try:
            module.load_state_dict(_weights(model, module))
        except (KeyError, RuntimeError) as error:
            raise BundleError(f"{path.name} has other weights than this version's network: {error}") from error
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._half = precision == "bf16" or (precision == "auto" and self._device.type == "cuda")
        self._module = module.eval().to(self._device)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])).to(self._device) for name in self.inputs]
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            results = self._module(*tensors)
        if isinstance(results, Tensor):
            results = (results,)
        return {name: _array(result) for name, result in zip(self.outputs, results, strict=True)}


def _array(result: Tensor) -> NDArray[Any]:
    result = result.float() if result.dtype == torch.bfloat16 else result
    return np.asarray(result.cpu().numpy())


def _weights(model: onnx.ModelProto, module: nn.Module) -> dict[str, Tensor]:
    """The module's parameters by name, in single precision."""
    stored = {}
    for initializer in model.graph.initializer:
        name = initializer.name
        for suffix in HALF_SUFFIXES:
            name = name.removesuffix(suffix)
        stored[name] = initializer
    return {
        name: torch.from_numpy(numpy_helper.to_array(stored[name]).astype(np.float32)).reshape(value.shape)
        for name, value in module.state_dict().items()
    }


def _written(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> str:
    return f"{', '.join(outputs)} of {', '.join(inputs)}"


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(side.dim_value or None for side in value.type.tensor_type.shape.dim)
