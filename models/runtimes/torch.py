"""This project's networks in torch, for CUDA: the architecture from ``models.nets``, the weights from the ONNX file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.helper import tensor_dtype_to_np_dtype
from torch import Tensor, nn

from avatar.errors import BundleError
from models.nets.mouth_halves import SEEN, DraftHalf, DrawingHalf, ImageHalf, LikenessHalf
from models.nets.mouth_renderer import MouthRenderer
from models.nets.speech_encoder import SpeechEncoder, SpeechWindow
from models.runtimes.batches import Arrays, in_parts
from models.runtimes.buckets import Compute, lane_on, made_ready
from models.runtimes.choice import has_cuda_device
from models.runtimes.network import Precision, Shape

log = logging.getLogger(__name__)

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

    Calls of several threads take turns: a network has one stream, and one set of buffers for each size of a batch.

    Args:
        threads, at_once: ignored; torch shares its threads among all networks and all who call.
        precision: ``auto`` is bf16 on CUDA (half precision where it has no bf16) and f32 on a CPU.

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
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if device.type == "cpu" and has_cuda_device():
            log.warning("torch cannot use the CUDA device; avatar doctor says more", extra={"network": path.name})
        answers = [_dtype(value) for value in model.graph.output]
        samples = [torch.zeros(_row(value), dtype=_dtype(value)) for value in model.graph.input]
        self._lane = lane_on(device)
        taken = torch.cuda.memory_reserved() if device.type == "cuda" else 0
        with torch.inference_mode():
            compute = _compute(module, device, _half(device, precision), answers)
            self._buckets = made_ready(compute, samples, self._lane)
        taken = torch.cuda.memory_reserved() - taken if device.type == "cuda" else 0
        weights = (*module.parameters(), *module.buffers())
        self.n_bytes = max(taken, sum(values.nbytes for values in weights))

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with self._lane.lock, torch.inference_mode():
            return in_parts(inputs, self._run)

    def _run(self, inputs: Arrays, size: int) -> Arrays:
        answers = self._buckets[size].run([inputs[name] for name in self.inputs])
        return dict(zip(self.outputs, answers, strict=True))


def _half(device: torch.device, precision: Precision) -> torch.dtype | None:
    """What to compute in instead of single precision."""
    if precision == "f32" or (precision == "auto" and device.type == "cpu"):
        return None
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def _compute(
    module: nn.Module, device: torch.device, half: torch.dtype | None, answers: Sequence[torch.dtype]
) -> Compute:
    """Runs a module. Its convolutions want the channels last and the weights in what they compute in."""
    module.eval().requires_grad_(False)
    for layer in module.modules():
        if half is not None and isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            layer.to(half)
    for values in (*module.parameters(), *module.buffers()):
        if values.ndim == 4:
            values.data = values.data.contiguous(memory_format=torch.channels_last)
    module.to(device)

    def compute(inputs: Sequence[Tensor]) -> list[Tensor]:
        with torch.autocast(device.type, half, enabled=half is not None, cache_enabled=False):
            results = module(*inputs)
        results = (results,) if isinstance(results, Tensor) else results
        return [result.to(dtype).contiguous() for result, dtype in zip(results, answers, strict=True)]

    return compute


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


def _dtype(value: onnx.ValueInfoProto) -> torch.dtype:
    return torch.from_numpy(np.empty(0, tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))).dtype


def _row(value: onnx.ValueInfoProto) -> list[int]:
    """Sizes of one member of a batch, which all of this project's networks fix."""
    return [side.dim_value for side in value.type.tensor_type.shape.dim[1:]]


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(side.dim_value or None for side in value.type.tensor_type.shape.dim)
