"""Networks by ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from avatar.errors import BundleError
from models.runtimes.network import Precision, Shape

MEMORY = 2.5
"""Times its file that a network takes in memory, of which a part is stored in half precision."""


class OnnxNetwork:
    """An ONNX file in an ONNX Runtime session.

    Args:
        path: the file.
        threads: that one call computes with.
        precision: ``auto`` and ``f32``; this runtime computes in what the file says.
        at_once: ignored; every thread that calls computes by itself.

    Raises:
        BundleError: ONNX Runtime cannot read the file.
    """

    def __init__(self, path: Path, threads: int = 1, precision: Precision = "auto", at_once: int = 1) -> None:
        if precision == "bf16":
            raise BundleError(f"{path.name}: ONNX Runtime does not compute in bf16 on a CPU, allowed are auto and f32")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common base but this
            raise BundleError(f"{path.name} cannot be run by ONNX Runtime: {error}") from error
        self.inputs = shapes(self._session.get_inputs())
        self.outputs = shapes(self._session.get_outputs())
        self.n_bytes = round(MEMORY * path.stat().st_size)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(self.outputs, self._session.run(list(self.outputs), dict(inputs)), strict=True))


def shapes(ports: list[Any]) -> dict[str, Shape]:
    return {port.name: tuple(side if isinstance(side, int) else None for side in port.shape) for port in ports}
