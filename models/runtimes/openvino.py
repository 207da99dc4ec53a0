"""Networks on Intel and ARM CPUs, by OpenVINO."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from avatar.errors import BundleError
from avatar.pictures import Arrays, anywhere
from models.leaving import when_gone
from models.runtimes.batches import filled, parts
from models.runtimes.network import Compiled, Precision, Shape

BATCHES = (1, 4)
"""Batch sizes that are compiled; a batch of another size is filled up, for two cost little less than four.

Weights are read once for all pictures of a batch: a mouth by itself takes twice the time that it takes among four, and
eight at once are a tenth cheaper still. One size for all, left open until it runs, takes twice the time of a fixed one.
Each size more takes a third of a second at every start.
"""


MEMORY = 5
"""Times its file that a network takes in memory, for each size that is compiled: 59 MB were seen for one of 3.8 MB, 69
for one of 5.3, in three sizes."""


@functools.cache
def the_core() -> Any:
    """The process's only ``openvino.Core``, which lives as long as the process.

    The CPU plugin of each core sets the calling thread's alternate signal stack and sets the one before it again at its
    end. Of two cores, the one that ends last leaves a stack that is no longer mapped, and the next signal (SIGTERM,
    say) kills the process.
    """
    return openvino.Core()


class OpenVinoNetwork:
    """A compiled ONNX file.

    Args:
        path: the file; all its inputs have the batch as their first axis.
        threads: that one call computes with.
        precision: see ``Precision``.
        at_once: calls that run at the same time, each with threads of its own; more wait.
        batches: sizes to compile besides 1.
        compiled: what ``compiled`` made of the same; None does that here.

    Raises:
        BundleError: OpenVINO cannot read or compile the file.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 1,
        precision: Precision = "auto",
        at_once: int = 1,
        batches: Sequence[int] = BATCHES,
        compiled: Compiled | None = None,
    ) -> None:
        config = _config(threads, precision, at_once)
        self._requests: dict[int, SimpleQueue[Any]] = {}
        self._imported: list[NDArray[np.uint8]] = []
        when_gone(self, _let_go, self._requests, self._imported)  # takes 10 ms for each
        self._sizes = sorted({1, *batches})
        with _told(path):
            for batch in self._sizes:
                if compiled:
                    self.inputs, self.outputs = compiled.inputs, compiled.outputs
                    # numpy copies without the interpreter's lock, and OpenVINO would copy with it, for 10 ms.
                    self._imported.append(compiled.models[batch].copy())
                    tensor = openvino.Tensor(self._imported[-1], shared_memory=True)
                    model = the_core().import_model(tensor, "CPU", config)
                else:
                    self.inputs, self.outputs, model = _compile(path, batch, config)
                self._requests[batch] = SimpleQueue()
                for _ in range(at_once):
                    request = model.create_infer_request()
                    if not any(port.partial_shape.is_dynamic for port in model.inputs):
                        warm_up(request, list(self.inputs))
                    self._requests[batch].put(request)
        self.n_bytes = MEMORY * len(self._sizes) * path.stat().st_size

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        n = len(next(iter(inputs.values())))
        results: dict[str, NDArray[Any]] = {}
        for part, size in parts(n, self._sizes):
            requests = self._requests[size]
            request = requests.get()
            try:
                # The inputs are only read, and each output is copied once, into its place.
                whole_batch = {name: filled(np.ascontiguousarray(array[part]), size) for name, array in inputs.items()}
                request.infer(whole_batch, share_inputs=True)
                for name in self.outputs:
                    drawn = request.get_tensor(name).data
                    whole = results.setdefault(name, np.empty((n, *drawn.shape[1:]), drawn.dtype))
                    whole[part] = drawn[: part.stop - part.start]
            finally:
                requests.put(request)
        return results


def _let_go(requests: dict[int, SimpleQueue[Any]], imported: list[NDArray[np.uint8]]) -> None:
    """In this order: the former may use the latter."""
    requests.clear()
    imported.clear()


def compiled(
    path: Path,
    threads: int = 1,
    precision: Precision = "auto",
    at_once: int = 1,
    batches: Sequence[int] = BATCHES,
    arrays: Arrays = anywhere,
) -> Compiled:
    """What takes three quarters of the time of opening a file, in ``arrays``.

    Raises:
        BundleError: OpenVINO cannot read or compile it.
    """
    config = _config(threads, precision, at_once)
    with _told(path):
        made = {batch: _compile(path, batch, config) for batch in sorted({1, *batches})}
        exported = [np.frombuffer(model.export_model().getbuffer(), np.uint8) for _, _, model in made.values()]
    models = arrays([each.shape for each in exported])
    for model, each in zip(models, exported, strict=True):
        model[...] = each
    inputs, outputs, _ = made[1]
    return Compiled(inputs, outputs, dict(zip(made, models, strict=True)))


def _config(threads: int, precision: Precision, at_once: int) -> dict[str, Any]:
    if precision == "auto":
        precision = "bf16" if "BF16" in the_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    return {
        "NUM_STREAMS": at_once,
        "INFERENCE_NUM_THREADS": threads * at_once,
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,  # encoders and event loop share these cores
    }


def _compile(path: Path, batch: int, config: dict[str, Any]) -> tuple[dict[str, Shape], dict[str, Shape], Any]:
    """A file's inputs and outputs, and its model for batches of one size."""
    model = the_core().read_model(path)
    inputs, outputs = shapes(model.inputs), shapes(model.outputs)
    model.reshape({name: [batch, *free(shape[1:])] for name, shape in inputs.items()})
    return inputs, outputs, the_core().compile_model(model, "CPU", config)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What OpenVINO has to say of a file, in its last line."""
    try:
        yield
    except RuntimeError as error:
        raise BundleError(f"{path.name} cannot be run by OpenVINO: {str(error).strip().splitlines()[-1]}") from error


def warm_up(request: Any, inputs: Sequence[str]) -> None:
    """Runs once on zeros: the first run allocates, and no session should wait for that."""
    for name in inputs:
        request.get_tensor(name).data[...] = 0
    request.infer()


def shapes(ports: Sequence[Any]) -> dict[str, Shape]:
    return {
        port.any_name: tuple(None if side.is_dynamic else int(side.get_length()) for side in port.partial_shape)
        for port in ports
    }


def free(shape: Shape) -> list[int]:
    """A shape as OpenVINO writes it: -1 where any size will do."""
    return [-1 if side is None else side for side in shape]
