"""Where the CPU time of a process goes: by thread, and within the inference thread by network."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from numpy.typing import NDArray

from models.runtimes.network import Network, Shape

INFERENCE, NATIVE, ENCODERS = "inference thread", "native threads", "encoders"

THREADS: Mapping[str, str] = {
    "MainThread": "event loop",
    "inference": INFERENCE,
    "footage": "crossings",
    "webrtc": ENCODERS,
    "encod": ENCODERS,
    "asyncio": "thread pool",
}
"""Stages by how the names of their threads begin. Threads that Python does not know are ``NATIVE``: networks
run there where there are several inference threads, and share their time by how long they were waited for."""


class NetworkTimes:
    """Seconds that networks took, by the names of their files.

    Attributes:
        taken_s: of the calling threads' CPU time.
        waited_s: beside that: for native threads, or for a core.
    """

    def __init__(self) -> None:
        self.taken_s: defaultdict[str, float] = defaultdict(float)
        self.waited_s: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, name: str, taken_s: float, waited_s: float) -> None:
        """A call took so long; several threads may say so at once."""
        with self._lock:
            self.taken_s[name] += taken_s
            self.waited_s[name] += waited_s

    def watch(self, path: Path, network: Network) -> Network:
        """The same network, timed."""
        return _Timed(path.stem.replace("_", " "), network, self)


class _Timed:
    def __init__(self, name: str, network: Network, times: NetworkTimes) -> None:
        self._name = name
        self._network = network
        self._times = times
        self.inputs: Mapping[str, Shape] = network.inputs
        self.outputs: Mapping[str, Shape] = network.outputs
        self.n_bytes = network.n_bytes

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        began, used_s = time.monotonic(), time.thread_time()
        try:
            return self._network.run(inputs)
        finally:
            taken_s = time.thread_time() - used_s
            self._times.add(self._name, taken_s, max(0.0, time.monotonic() - began - taken_s))


class CpuByStage:
    """Counts from when it is made.

    Args:
        encoders: processes that encode for this one.
    """

    def __init__(self, networks: NetworkTimes, encoders: Sequence[psutil.Process] = ()) -> None:
        self._process = psutil.Process()
        self._encoders = encoders
        self._encoders_s = self._by_encoders()
        self._networks = networks
        self._began = time.monotonic()
        self._process_s = time.process_time()
        self._threads_s = self._by_thread()
        self._networks_s, self._waited_s = networks.taken_s.copy(), networks.waited_s.copy()

    def read(self) -> tuple[float, dict[str, float]]:
        """CPU-seconds per second, in all and by stage; threads that have ended are in the first figure only."""
        seconds, process_s = time.monotonic() - self._began, time.process_time() - self._process_s
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        stages: dict[str, float] = {}
        for thread, used_s in self._by_thread().items():
            stage = _stage(names.get(thread))
            stages[stage] = stages.get(stage, 0.0) + used_s - self._threads_s.get(thread, 0.0)
        waited_s = {name: until - self._waited_s[name] for name, until in self._networks.waited_s.items()}
        native_s, all_s = (stages.pop(NATIVE, 0.0) if waited_s else 0.0), max(sum(waited_s.values()), 1e-9)
        for name, taken_s in self._networks.taken_s.items():
            stages[name] = taken_s - self._networks_s[name]
            stages[INFERENCE] = max(0.0, stages.get(INFERENCE, 0.0) - stages[name])
            stages[name] += native_s * waited_s[name] / all_s
        encoders_s = self._by_encoders() - self._encoders_s
        if self._encoders:
            stages[ENCODERS] = stages.get(ENCODERS, 0.0) + encoders_s
        if INFERENCE in stages:
            stages["composition"] = stages.pop(INFERENCE)  # and stacking: what is left of it beside the networks
        return (process_s + encoders_s) / seconds, {stage: used_s / seconds for stage, used_s in stages.items()}

    def _by_encoders(self) -> float:
        times = [process.cpu_times() for process in self._encoders]
        return sum(each.user + each.system for each in times)

    def _by_thread(self) -> dict[int, float]:
        return {thread.id: thread.user_time + thread.system_time for thread in self._process.threads()}


def _stage(thread: str | None) -> str:
    if thread is None:
        return NATIVE
    return next((stage for begin, stage in THREADS.items() if thread.startswith(begin)), "other threads")
