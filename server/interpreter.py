"""CPython's own habits, made to suit a process whose event loop has something due every few milliseconds."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.001
"""How long the event loop waits for the interpreter's lock before its holder is asked to let go. It is 5 ms by default,
a quarter of what makes a frame late; nine recorded sessions on two cores had half as many late frames so."""


def keep_time() -> None:
    """To be called once everything is loaded.

    What is there then stays: to look through all of it for garbage, again and again, would hold everybody up for 25 ms.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()


def collect_again() -> None:
    """What was there when ``keep_time`` was called may be collected again."""
    gc.unfreeze()
