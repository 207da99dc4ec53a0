"""Which library runs the networks: what the machine has, unless it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from avatar.errors import RuntimeUnavailable
from models.runtimes.network import Network, Precision

Opener = Callable[[Path, int, Precision, int], Network]
"""Makes a network of an ONNX file: with how many threads one call computes, in what, and how many run at once."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A library that runs networks.

    Attributes:
        module: that it is imported as.
        install: what to install for it.
        suits: whether it is a good choice for this machine.
    """

    name: str
    module: str
    install: str
    open: Opener
    suits: Callable[[], bool] = lambda: True

    @property
    def installed(self) -> bool:
        return find_spec(self.module) is not None


def open_openvino(path: Path, threads: int, precision: Precision, at_once: int = 1) -> Network:
    from models.runtimes.openvino import OpenVinoNetwork

    return OpenVinoNetwork(path, threads, precision, at_once)


def open_onnx(path: Path, threads: int, precision: Precision, at_once: int = 1) -> Network:
    from models.runtimes.onnx import OnnxNetwork

    return OnnxNetwork(path, threads, precision, at_once)


def open_torch(path: Path, threads: int, precision: Precision, at_once: int = 1) -> Network:
    from models.runtimes.torch import TorchNetwork

    return TorchNetwork(path, threads, precision, at_once)


def has_cuda_device() -> bool:
    """Whether there is an NVIDIA driver with a device, without loading any library."""
    return Path("/dev/nvidiactl").exists()


RUNTIMES: Mapping[str, Runtime] = {
    "torch": Runtime("torch", "torch", "open-avatar[cuda]", open_torch, has_cuda_device),
    "openvino": Runtime("openvino", "openvino", "open-avatar", open_openvino),
    "onnx": Runtime("onnx", "onnxruntime", "open-avatar[onnx]", open_onnx),
}
"""In the order in which they are preferred."""


def choose_runtime(name: str = "auto", runtimes: Mapping[str, Runtime] = RUNTIMES) -> Runtime:
    """The runtime of that name, or with "auto" the first that is installed; nothing is imported.

    Raises:
        RuntimeUnavailable: an unknown name, or nothing installed; the sentence says what to install.
    """
    if name == "auto":
        for runtime in runtimes.values():
            if runtime.installed and runtime.suits():
                return runtime
        installs = " or ".join(f"pip install '{runtime.install}'" for runtime in runtimes.values())
        raise RuntimeUnavailable(f"no runtime for networks is installed: {installs}")
    if name not in runtimes:
        raise RuntimeUnavailable(f"runtime is '{name}', allowed are auto, {', '.join(runtimes)}")
    runtime = runtimes[name]
    if not runtime.installed:
        raise RuntimeUnavailable(
            f"runtime '{name}' needs {runtime.module}, which is not installed: pip install '{runtime.install}'"
        )
    return runtime
