"""Networks by ONNX Runtime on an NVIDIA GPU, through its CUDA or its TensorRT execution provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from avatar.errors import BundleError, RuntimeUnavailable
from models.runtimes.batches import Arrays, filled, in_parts
from models.runtimes.choice import SIZES
from models.runtimes.network import Precision, Shape
from models.runtimes.onnx import MEMORY, shapes

Settings = Callable[[Mapping[str, Shape], Precision], dict[str, str]]


def cuda_settings(inputs: Mapping[str, Shape], precision: Precision) -> dict[str, str]:
    """To try out every algorithm for every size of a batch, as it does by default, takes long."""
    return {"cudnn_conv_algo_search": "HEURISTIC"}


def tensorrt_settings(inputs: Mapping[str, Shape], precision: Precision) -> dict[str, str]:
    """It is told which sizes there will be, or it would build an engine for each that comes."""
    profiles = {"min": SIZES[0], "opt": SIZES[len(SIZES) // 2], "max": SIZES[-1]}
    return {"trt_fp16_enable": "False" if precision == "f32" else "True"} | {
        f"trt_profile_{name}_shapes": ",".join(
            f"{port}:{'x'.join(map(str, (size, *shape[1:])))}" for port, shape in inputs.items()
        )
        for name, size in profiles.items()
    }


@dataclass(frozen=True, slots=True)
class Provider:
    """What computes.

    Attributes:
        settings: its own, for a network with such inputs.
        others: what computes what it cannot, in their order.
        needs: modules whose import loads the libraries that it uses.
    """

    name: str
    settings: Settings
    others: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


CPU = "CPUExecutionProvider"
CUDA = Provider("CUDAExecutionProvider", cuda_settings, (CPU,))
TENSORRT = Provider("TensorrtExecutionProvider", tensorrt_settings, (CUDA.name, CPU), needs=("tensorrt",))


class OnnxGpuNetwork:
    """An ONNX file in a session on the first GPU. Every size of a batch is run once before anybody waits for it.

    Args:
        precision: TensorRT computes in half precision, unless this is ``f32``; CUDA in what the file says.

    Raises:
        BundleError: ONNX Runtime cannot read the file.
        RuntimeUnavailable: the provider is not there, or does not work on this machine.
    """

    def __init__(self, path: Path, provider: Provider, precision: Precision = "auto") -> None:
        there = onnxruntime.get_available_providers()
        if provider.name not in there:
            raise RuntimeUnavailable(f"this ONNX Runtime has no {provider.name}, but {', '.join(there)}")
        onnxruntime.preload_dlls()  # CUDA's libraries, from where pip put them
        for module in provider.needs:
            import_module(module)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            ports = onnxruntime.InferenceSession(str(path), options, providers=[CPU]).get_inputs()
            self.inputs = shapes(ports)
            providers = [(provider.name, provider.settings(self.inputs, precision)), *provider.others]
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its errors have no common base but this
            raise BundleError(f"{path.name} cannot be run by ONNX Runtime: {error}") from error
        if provider.name not in self._session.get_providers():  # it goes on without one that does not load
            raise RuntimeUnavailable(f"ONNX Runtime's {provider.name} does not work on this machine")
        self.outputs = shapes(self._session.get_outputs())
        self.n_bytes = round(MEMORY * path.stat().st_size)  # as on a CPU: nobody has looked on a GPU
        for size in SIZES:
            self._run({port.name: np.zeros((size, *port.shape[1:]), dtype_of(port.type)) for port in ports}, size)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return in_parts(inputs, self._run)

    def _run(self, inputs: Arrays, size: int) -> Arrays:
        whole = {name: filled(array, size) for name, array in inputs.items()}
        return dict(zip(self.outputs, self._session.run(list(self.outputs), whole), strict=True))


def dtype_of(written: str) -> Any:
    """Of a port's type as ONNX Runtime writes it, such as ``tensor(float16)``."""
    name = written.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))
