"""Pictures in shared memory, on their way to a process that encodes them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import deque
from mmap import ALLOCATIONGRANULARITY, mmap

import numpy as np

from avatar.geometry import Size
from avatar.pictures import Picture, n_bytes_of, shape_of


class HeldPictures:
    """Places for some pictures, and a count of the frames that are done with. One process puts, another takes.

    A frame may show the picture of the frame before it, so a picture is held until a later one is done with. Places
    are taken like plates from a stack: only as much memory is used as ever was needed at once.

    The memory has no name, so that nothing is left behind however its processes end.

    Args:
        descriptor: of the memory, in the process that takes; None makes it.
    """

    def __init__(self, size: Size, n: int, descriptor: int | None = None) -> None:
        n_bytes = ALLOCATIONGRANULARITY + n * n_bytes_of(size)
        if descriptor is None:
            descriptor = _new()
            os.ftruncate(descriptor, n_bytes)
        self.descriptor = descriptor
        self._memory = mmap(descriptor, n_bytes)
        self._count = memoryview(self._memory)[:8].cast("Q")
        pictures = np.frombuffer(self._memory, np.uint8, offset=ALLOCATIONGRANULARITY)
        self._pictures = pictures.reshape(n, *shape_of(size))
        self._free = list(reversed(range(n)))
        self._held: deque[tuple[int, int]] = deque()
        """Frames and their pictures' places, in order."""

    @property
    def n_done(self) -> int:
        """Frames that are done with, of all that were ever handed over."""
        return self._count[0]

    def done(self) -> None:
        """One more is."""
        self._count[0] += 1

    def put(self, picture: Picture, frame: int) -> int | None:
        """Copies a picture; returns its place, or None where all are taken.

        Args:
            frame: which of those that are handed over shows it first, counted from 0.
        """
        while len(self._held) > 1 and self._held[1][0] < self.n_done:
            self._free.append(self._held.popleft()[1])
        if not self._free:
            return None
        place = self._free.pop()
        self._held.append((frame, place))
        self._pictures[place] = picture
        return place

    def at(self, place: int) -> Picture:
        picture: Picture = self._pictures[place]
        return picture

    def close(self) -> None:
        """Views of pictures keep the memory; without any it is given back."""
        self._count.release()
        del self._pictures
        os.close(self.descriptor)


def _new() -> int:
    if sys.platform == "linux":
        return os.memfd_create("pictures")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
