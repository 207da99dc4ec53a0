"""Processor time of this process and of its children: publishers may be processes of their own."""

from __future__ import annotations

import time

import psutil


class ProcessTime:
    """Reads how much was used since the last time. Children that began or ended meanwhile count up to what was seen."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._own_s = time.process_time()
        self._children: dict[psutil.Process, float] = {}

    def look_for_children(self) -> None:
        """Searches all processes of the machine, which takes milliseconds: not for the event loop."""
        found = self._process.children(recursive=True)
        self._children = {child: self._children.get(child, _used_s(child)) for child in found}

    def used_s(self) -> float:
        own_s = time.process_time()
        used, self._own_s = own_s - self._own_s, own_s
        for child, before_s in list(self._children.items()):
            self._children[child] = max(before_s, _used_s(child))
            used += self._children[child] - before_s
        return used


def _used_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
