"""Which threads have the cores first: those that keep time, before all that leave the cores to them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

ENCODING = 15
"""Niceness of threads that encode. The event loop and the networks have deadlines, every few milliseconds; what they
made may wait for its encoder until they have nothing to do. On two cores half as many sessions again are in time."""

CROSSING = 10
"""Niceness of the thread in which clips are crossed: mostly before it must, as crossings are foreseen, and rather than
two threads at full speed beside which an encoder that has just got the interpreter's lock gets no core."""

LOADING = 10
"""Niceness of threads that load avatars while others perform: nobody's frames may wait for it."""


def give_way(niceness: int) -> None:
    """Lets the calling thread work only where the others of this process leave a core to it, all but a small share.

    Where a thread has no niceness of its own (other systems than Linux), nothing changes.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)


@contextmanager
def coming_first() -> Iterator[bool]:
    """Meanwhile the calling thread has a core whenever it wants one; False where that is not allowed.

    By real-time priority, as with sound servers (sched(7), SCHED_RR): Linux then moves it to another core where its own
    is busy, which it does for others only when one falls idle. What the thread starts has no part in it. It is for one
    that has little to do each time; should it never rest, Linux leaves 5 % to the others.

    It is allowed to root, and by a limit to others (RLIMIT_RTPRIO). A policy that was chosen by whoever started this
    process is left as it is.
    """
    if sys.platform != "linux" or _policy() != os.SCHED_OTHER:
        yield False
        return
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        # To clear the flag takes a right that not everybody has who may come first. It does no harm.
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))


def _policy() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


def giving_way(n_threads: int, name: str, niceness: int) -> ThreadPoolExecutor:
    """A pool of such threads."""
    return ThreadPoolExecutor(n_threads, name, give_way, (niceness,))


def encoder_threads(cores: float) -> ThreadPoolExecutor:
    """Encoders for all sessions of a process that may count on so many cores: more would be in each other's way."""
    return giving_way(max(1, round(cores)), "encoder", ENCODING)
