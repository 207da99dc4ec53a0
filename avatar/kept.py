"""What was made once and will be wanted again, as far as there is room for it."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """At most ``n`` values by key; the oldest goes first, unless it was wanted since it was last its turn to go.

    That is as good as least recently used (the "clock" of Corbató, 1968), and needs no lock: several threads may use it
    at once, as each step is one operation on a dictionary, a set or a queue. At worst two of them make the same value,
    and one is let go a little early.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._values: dict[K, V] = {}
        self._wanted: set[K] = set()
        self._order: deque[K] = deque()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_full(self) -> bool:
        return len(self._order) >= self.n

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._wanted.add(key)
        return value

    def put(self, key: K, value: V) -> V:
        """Keeps a value; returns it."""
        while len(self._order) >= self.n:
            oldest = self._order.popleft()
            if oldest in self._wanted:
                self._wanted.discard(oldest)
                self._order.append(oldest)
            else:
                self._values.pop(oldest, None)
        self._values[key] = value
        self._order.append(key)
        return value
