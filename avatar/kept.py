"""What was made once and will be wanted again, as far as there is room for it."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """The newest ``n`` values by key.

    Several threads may use it at once: each step is one operation on a dictionary or a queue. At worst two of them make
    the same value, and it is let go a little early.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._values: dict[K, V] = {}
        self._order: deque[K] = deque()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def put(self, key: K, value: V) -> V:
        """Keeps a value; returns it."""
        self._values[key] = value
        self._order.append(key)
        if len(self._order) > self._n:
            self._values.pop(self._order.popleft(), None)
        return value
