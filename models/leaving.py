"""What takes long to let go of: a thread of its own does it, that gives way to those that keep time."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from models.threads import LOADING, give_way

_left: SimpleQueue[Callable[[], object]] = SimpleQueue()
"""What is to be done. A queue of this kind takes no lock: it may be the garbage collector that found out that nobody
wants something any more, in the middle of anything."""


def when_gone(owner: object, work: Callable[..., object], *given: object) -> None:
    """Has the thread do ``work(*given)`` once ``owner`` is gone, which may be the event loop that finds out.

    Neither may refer to the owner. What is there at the end of the process is left to the system.
    """
    _leaver()
    weakref.finalize(owner, _left.put, partial(work, *given)).atexit = False


@functools.cache
def _leaver() -> threading.Thread:
    thread = threading.Thread(target=_leave_forever, name="leaving", daemon=True)
    thread.start()
    return thread


def _leave_forever() -> None:
    give_way(LOADING)
    while True:
        _left.get()()
