"""What networks have seen in frames of footage: worked out once for each, and kept as far as there is room."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from numpy.typing import NDArray

Look = tuple[NDArray[Any], ...]
"""What was seen in one frame; read-only."""


class Looks:
    """Looks by whose they are and of which frame; those that were used least lately go first. Thread-safe.

    Args:
        budget_bytes: that all of them may take up together.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._lock = threading.RLock()  # the garbage collector may call `_forget` in a thread that holds it
        self._looks: OrderedDict[tuple[int, Hashable], Look] = OrderedDict()
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._looks)

    def join(self, owner: object) -> None:
        """Tells of somebody who will look; what is theirs goes when they go."""
        weakref.finalize(owner, self._forget, id(owner)).atexit = False

    def get(self, owner: object, frame: Hashable) -> Look | None:
        key = (id(owner), frame)
        with self._lock:
            look = self._looks.get(key)
            if look is not None:
                self._looks.move_to_end(key)
            return look

    def put(self, owner: object, frame: Hashable, look: Look) -> None:
        key = (id(owner), frame)
        with self._lock:
            self._drop(key)
            self._looks[key] = look
            self.n_bytes += size_of(look)
            while self.n_bytes > self._budget:
                self._drop(next(iter(self._looks)))

    def _forget(self, owner: int) -> None:
        with self._lock:
            for key in [key for key in self._looks if key[0] == owner]:
                self._drop(key)

    def _drop(self, key: tuple[int, Hashable]) -> None:
        if look := self._looks.pop(key, None):
            self.n_bytes -= size_of(look)


def size_of(look: Look) -> int:
    return sum(array.nbytes for array in look)
