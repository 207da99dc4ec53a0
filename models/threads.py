"""Threads that leave the cores to those that keep time."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

ENCODING = 15
"""Niceness of threads that encode. The event loop and the networks have deadlines, every few milliseconds; what they
made may wait for its encoder until they have nothing to do. On two cores half as many sessions again are in time."""

CROSSING = 10
"""Niceness of the thread in which clips are crossed: mostly before it must, as crossings are foreseen, and rather than
two threads at full speed beside which an encoder that has just got the interpreter's lock gets no core."""

LOADING = 10
"""Niceness of threads that open networks while others perform: nobody's frames may wait for it."""


def give_way(niceness: int) -> None:
    """Lets the calling thread work only where the others of this process leave a core to it, all but a small share.

    Where a thread has no niceness of its own (other systems than Linux), nothing changes.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)


def giving_way(n_threads: int, name: str, niceness: int) -> ThreadPoolExecutor:
    """A pool of such threads."""
    return ThreadPoolExecutor(n_threads, name, give_way, (niceness,))


def encoder_threads(cores: float) -> ThreadPoolExecutor:
    """Encoders for all sessions of a process that may count on so many cores: more would be in each other's way."""
    return giving_way(max(1, round(cores)), "encoder", ENCODING)
