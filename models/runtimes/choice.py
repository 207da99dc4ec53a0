"""Which library runs the networks: what the machine has, unless it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.errors import RuntimeUnavailable

if TYPE_CHECKING:  # numpy takes longer to import than the command line to answer
    from avatar.pictures import Arrays
    from models.runtimes.network import Compiled, Network, Precision

NO_DEVICE = "no CUDA device"

SIZES = (1, 2, 4, 8, 16)
"""Of batches that a GPU is made ready for. What fills one up costs little there; one that was never run costs tens of
milliseconds or more the first time."""

Opener = Callable[[Path, int, "Precision", int], "Network"]
"""Makes a network of an ONNX file: with how many threads one call computes, in what, and how many run at once."""

Compiler = Callable[[Path, int, "Precision", int, "Arrays"], "Compiled"]
"""Does what takes long of that, for the same file and numbers; what it makes lies in the arrays."""

Reopener = Callable[[Path, int, "Precision", int, "Compiled"], "Network"]
"""Does the rest."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A library that runs networks, on some device.

    Attributes:
        module: that it is imported as.
        install: what to install for it, as pip wants it.
        lacks: what else it needs and this machine does not have, in a few words; empty where nothing is missing.
        makes_do: whether it runs without that, if it is asked for by name.
        in_two: how to open a network in two steps, of which another process may do the first; None where there is no
            such way.
        max_batch: the most mouths that it should draw at once. On a CPU four take half of the time that they take one
            by one, more are hardly cheaper, and something urgent may have to wait for them.
    """

    name: str
    module: str
    install: str
    open: Opener
    lacks: Callable[[], str] = lambda: ""
    makes_do: bool = False
    in_two: tuple[Compiler, Reopener] | None = None
    max_batch: int = 4

    @property
    def installed(self) -> bool:
        return find_spec(self.module) is not None

    @property
    def missing(self) -> str:
        """What speaks against it here; empty where nothing does."""
        return self.lacks() if self.installed else f"{self.module} is not installed"


def open_openvino(path: Path, threads: int, precision: Precision, at_once: int = 1) -> Network:
    from models.runtimes.openvino import OpenVinoNetwork

    return OpenVinoNetwork(path, threads, precision, at_once)


def compile_openvino(path: Path, threads: int, precision: Precision, at_once: int, arrays: Arrays) -> Compiled:
    from models.runtimes.openvino import compiled

    return compiled(path, threads, precision, at_once, arrays=arrays)


def reopen_openvino(path: Path, threads: int, precision: Precision, at_once: int, compiled: Compiled) -> Network:
    from models.runtimes.openvino import OpenVinoNetwork

    return OpenVinoNetwork(path, threads, precision, at_once, compiled=compiled)


def open_onnx(path: Path, threads: int, precision: Precision, at_once: int = 1) -> Network:
    from models.runtimes.onnx import OnnxNetwork

    return OnnxNetwork(path, threads, precision, at_once)


def open_onnx_cuda(path: Path, threads: int, precision: Precision, at_once: int = 1) -> Network:
    from models.runtimes.onnx_gpu import CUDA, OnnxGpuNetwork

    return OnnxGpuNetwork(path, CUDA, precision)


def open_onnx_tensorrt(path: Path, threads: int, precision: Precision, at_once: int = 1) -> Network:
    from models.runtimes.onnx_gpu import TENSORRT, OnnxGpuNetwork

    return OnnxGpuNetwork(path, TENSORRT, precision)


def open_torch(path: Path, threads: int, precision: Precision, at_once: int = 1) -> Network:
    from models.runtimes.torch import TorchNetwork

    return TorchNetwork(path, threads, precision, at_once)


def has_cuda_device() -> bool:
    """Whether there is an NVIDIA driver with a device, without loading any library."""
    return Path("/dev/nvidiactl").exists()


def cuda_for(module: str, library: str, otherwise: str) -> Callable[[], str]:
    """What a module lacks to compute on CUDA: a device, or the ``library`` that only its CUDA build brings along."""

    def lacks() -> str:
        if not has_cuda_device():
            return NO_DEVICE
        spec = find_spec(module)
        folders = spec.submodule_search_locations if spec else None
        return "" if any((Path(folder) / library).exists() for folder in folders or ()) else otherwise

    return lacks


def lacks_tensorrt() -> str:
    provider = "capi/libonnxruntime_providers_tensorrt.so"
    lacking = cuda_for("onnxruntime", provider, "onnxruntime-gpu is not installed")()
    return lacking or ("" if find_spec("tensorrt") else "tensorrt is not installed")


RUNTIMES: Mapping[str, Runtime] = {
    "torch": Runtime(
        "torch",
        "torch",
        "'open-avatar[cuda]'",
        open_torch,
        cuda_for("torch", "lib/libtorch_cuda.so", "torch is installed without CUDA"),
        makes_do=True,
        max_batch=SIZES[-1],
    ),
    "onnx-cuda": Runtime(
        "onnx-cuda",
        "onnxruntime",
        "'open-avatar[cuda]'",
        open_onnx_cuda,
        cuda_for("onnxruntime", "capi/libonnxruntime_providers_cuda.so", "onnxruntime-gpu is not installed"),
        max_batch=SIZES[-1],
    ),
    "openvino": Runtime(
        "openvino", "openvino", "open-avatar", open_openvino, in_two=(compile_openvino, reopen_openvino)
    ),
    "onnx": Runtime("onnx", "onnxruntime", "'open-avatar[onnx]'", open_onnx),
    "onnx-tensorrt": Runtime(
        "onnx-tensorrt",
        "onnxruntime",
        "'open-avatar[cuda]' tensorrt",
        open_onnx_tensorrt,
        lacks_tensorrt,
        max_batch=SIZES[-1],
    ),
}
"""In the order in which they are preferred. TensorRT builds an engine for minutes, so it has to be asked for."""


def choose_runtime(name: str = "auto", runtimes: Mapping[str, Runtime] = RUNTIMES) -> Runtime:
    """The runtime of that name, or with "auto" the first that lacks nothing; nothing is imported.

    Raises:
        RuntimeUnavailable: an unknown name, or nothing installed; the sentence says what to install.
    """
    if name == "auto":
        for runtime in runtimes.values():
            if not runtime.missing:
                return runtime
        installs = " or ".join(f"pip install {runtime.install}" for runtime in runtimes.values())
        raise RuntimeUnavailable(f"no runtime for networks is installed: {installs}")
    if name not in runtimes:
        raise RuntimeUnavailable(f"runtime is '{name}', allowed are auto, {', '.join(runtimes)}")
    runtime = runtimes[name]
    if not runtime.installed:
        raise RuntimeUnavailable(
            f"runtime '{name}' needs {runtime.module}, which is not installed: pip install {runtime.install}"
        )
    if runtime.missing and not runtime.makes_do:
        raise RuntimeUnavailable(f"runtime '{name}' cannot be used here: {runtime.missing}")
    return runtime
