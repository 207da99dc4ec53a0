"""Batches of fixed sizes in torch: buffers that stay where they are, and on CUDA their work, recorded as a graph."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from models.runtimes.choice import SIZES

Compute = Callable[[Sequence[Tensor]], list[Tensor]]

WARM_UPS = 3
"""Runs before the work is recorded: in them libraries choose their algorithms and take their memory."""

N_STREAMS = 32
"""That torch has to give out; after so many it gives the first again."""

_RECORDING = threading.Lock()
"""A process records one graph at a time."""


class Lane:
    """What one network computes on: for one thread at a time.

    Attributes:
        stream: of the device; None on the CPU.
    """

    def __init__(self, stream: torch.cuda.Stream | None = None) -> None:
        self.stream = stream
        self.lock = threading.Lock()


_LANES: weakref.WeakValueDictionary[int, Lane] = weakref.WeakValueDictionary()


def lane_on(device: torch.device) -> Lane:
    """A network's own lane; where there are more networks than streams, some share one."""
    if device.type == "cpu":
        return Lane()
    with _RECORDING:
        for _ in range(N_STREAMS):
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            if stream.cuda_stream not in _LANES:
                break
        return _LANES.setdefault(stream.cuda_stream, Lane(stream))


class Bucket(Protocol):
    """A batch of one size. Whoever runs it holds its lane's lock, and is under ``torch.inference_mode``."""

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Answers to as many rows as there are, or to all that fit; valid until the next call."""
        ...


class CpuBucket:
    """On the CPU nothing has to be recorded or moved; the batch is filled up all the same."""

    def __init__(self, compute: Compute, inputs: Sequence[Tensor]) -> None:
        self._compute = compute
        self._inputs = inputs
        self._rows = [tensor.numpy() for tensor in inputs]

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        for rows, given in zip(self._rows, inputs, strict=True):
            rows[: len(given)] = given
        return [answer.numpy() for answer in self._compute(self._inputs)]


class CudaBucket:
    """A CUDA graph with its inputs and outputs on the device, and both again in pinned memory of the host.

    Only what was given is moved, not what fills the batch up, and the host waits once, at the end.

    Args:
        inputs: in pinned memory.
        pool: memory for what is between; that of other graphs that never run at the same time.
    """

    def __init__(self, compute: Compute, inputs: Sequence[Tensor], lane: Lane, pool: Any) -> None:
        assert lane.stream is not None  # noqa: S101 - a lane on CUDA has one
        self._stream = lane.stream
        self._compute = compute  # the graph computes with its weights where they are, but does not keep them
        self._given = inputs
        self._rows = [tensor.numpy() for tensor in inputs]
        self._graph = torch.cuda.CUDAGraph()
        with _RECORDING, torch.cuda.stream(self._stream):
            self._inputs = [tensor.to("cuda", non_blocking=True) for tensor in inputs]
            for _ in range(WARM_UPS):
                compute(self._inputs)
            self._stream.synchronize()
            # What others put on this stream meanwhile would be recorded, too. `torch.cuda.graph` does not prevent that,
            # and would wait for everybody's work and give all spare memory back first, while sessions run.
            with lane.lock:
                self._graph.capture_begin(pool, capture_error_mode="thread_local")
                try:
                    self._outputs = compute(self._inputs)
                finally:
                    self._graph.capture_end()
        # To wait for it is to sleep: threads that spin would take the cores from those that compose and encode.
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._answers = [torch.empty(output.shape, dtype=output.dtype, pin_memory=True) for output in self._outputs]

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        n = len(inputs[0])
        for rows, array in zip(self._rows, inputs, strict=True):
            rows[:n] = array
        with torch.cuda.stream(self._stream):
            for there, given in zip(self._inputs, self._given, strict=True):
                there[:n].copy_(given[:n], non_blocking=True)
            self._graph.replay()
            for answer, output in zip(self._answers, self._outputs, strict=True):
                answer[:n].copy_(output[:n], non_blocking=True)
            self._done.record(self._stream)
        self._done.synchronize()
        return [answer[:n].numpy() for answer in self._answers]


def made_ready(
    compute: Compute, samples: Sequence[Tensor], lane: Lane, sizes: Sequence[int] = SIZES
) -> Mapping[int, Bucket]:
    """A bucket for each size, largest first, so that the memory of its graph is enough for the others.

    Args:
        samples: one row of each input.
    """
    buckets: dict[int, Bucket] = {}
    pool = torch.cuda.graph_pool_handle() if lane.stream is not None else None
    for size in sorted(sizes, reverse=True):
        inputs = [sample.expand(size, *sample.shape).contiguous() for sample in samples]
        if lane.stream is None:
            buckets[size] = CpuBucket(compute, inputs)
        else:
            buckets[size] = CudaBucket(compute, [tensor.pin_memory() for tensor in inputs], lane, pool)
    return buckets
