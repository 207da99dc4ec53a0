"""Child processes of ours, as both sides see them: what they are given, and that they end with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Mapping

OURS = "AVATAR_"
"""Variables that begin so are ours, keys among them; children get what they need of them in another way."""


def environment() -> Mapping[str, str]:
    """A child's: it finds the same modules as we do, and none of our secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}


PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """The kernel sends this process SIGTERM when its parent, strictly the thread that started it, dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
