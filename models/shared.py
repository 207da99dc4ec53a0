"""Memory that processes share: footage that one of them made is handed over by telling where it lies."""

from __future__ import annotations

import io
import math
import os
import pickle
import sys
import time
from collections.abc import Sequence
from mmap import ACCESS_READ, ACCESS_WRITE, ALLOCATIONGRANULARITY, mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar.pictures import Shape, anywhere
from models.leaving import when_gone

IS_THERE = sys.platform == "linux"
"""Elsewhere arrays lie in the process's own memory, and are copied when they are handed over."""


class Shared:
    """Memory for some arrays, made all at once, and given back when none of them is left.

    A file without a name and not ``multiprocessing.shared_memory``, whose files are in /dev/shm: of that, containers
    have 64 MB if they are not told otherwise.

    Args:
        descriptor: of such memory that another process made; None makes new.
        name: by which that process tells it from others; its own descriptor for it.
    """

    def __init__(self, descriptor: int | None = None, name: int | None = None) -> None:
        is_ours = descriptor is None
        self.descriptor = os.memfd_create("footage") if is_ours and IS_THERE else descriptor
        self.name = self.descriptor if is_ours else name
        self.__array_interface__: dict[str, Any] = {}
        self._pages: list[mmap] = []
        if self.descriptor is not None:
            when_gone(self, _give_back, self.descriptor, self._pages, is_ours)

    def arrays(self, shapes: Sequence[Shape]) -> list[NDArray[np.uint8]]:
        """New arrays, to be filled; only once."""
        if self.descriptor is None:
            return anywhere(shapes)
        ends = np.cumsum([_in_whole_pages(math.prod(shape)) for shape in shapes]).tolist()
        os.ftruncate(self.descriptor, ends[-1])
        self._map(ACCESS_WRITE)
        return [self.array(start, shape) for start, shape in zip([0, *ends], shapes, strict=False)]

    def array(self, start: int, shape: Shape) -> NDArray[np.uint8]:
        """One that is there, ``start`` bytes from the beginning."""
        if not self._pages:
            self._map(ACCESS_READ)
        return np.asarray(self)[start : start + math.prod(shape)].reshape(shape)

    def start_of(self, array: NDArray[np.uint8]) -> int:
        """Where one of them begins."""
        return int(array.__array_interface__["data"][0] - self.__array_interface__["data"][0])

    def _map(self, access: int) -> None:
        assert self.descriptor is not None  # noqa: S101 — there is nothing to map without one
        self._pages.append(mmap(self.descriptor, 0, access=access))
        # Arrays are bound to this object, not to the pages: it is known where they lie, and when they are gone.
        self.__array_interface__ = np.frombuffer(self._pages[0], np.uint8).__array_interface__


def _in_whole_pages(n_bytes: int) -> int:
    return -(-n_bytes // ALLOCATIONGRANULARITY) * ALLOCATIONGRANULARITY


PIECE_BYTES, REST_S = 2**20, 0.004
"""To give back half a gigabyte at once would take 0.1 s, in which other threads may have to wait for the system: it is
spread over two seconds."""


def _give_back(descriptor: int, pages: list[mmap], is_ours: bool) -> None:
    if is_ours:
        for end in range(os.fstat(descriptor).st_size - PIECE_BYTES, 0, -PIECE_BYTES):
            os.ftruncate(descriptor, end)
            time.sleep(REST_S)
        os.ftruncate(descriptor, 0)
    for each in pages:
        each.close()
    os.close(descriptor)


Pickled = tuple[bytes, list[bytes]]
"""A value, and the arrays in it that are not shared."""


def pickled(value: object) -> tuple[Pickled, dict[int, Shared]]:
    """A value whose shared arrays are told by where they lie, and the memory that they lie in, by name."""
    stream, memory, others = io.BytesIO(), dict[int, Shared](), list[pickle.PickleBuffer]()
    pickler = _Pickler(stream, protocol=5, buffer_callback=others.append)
    pickler.memory = memory
    pickler.dump(value)
    return (stream.getvalue(), [bytes(each.raw()) for each in others]), memory


def unpickled(value: Pickled, memory: dict[int, Shared]) -> Any:
    """The value again; its arrays are read-only."""
    unpickler = _Unpickler(io.BytesIO(value[0]), buffers=value[1])
    unpickler.memory = memory
    return unpickler.load()


class _Pickler(pickle.Pickler):
    memory: dict[int, Shared]

    def persistent_id(self, value: object) -> tuple[int, int, Shape] | int | None:
        shared = _memory_of(value)
        if shared is None or shared.name is None:
            return None
        self.memory[shared.name] = shared
        if not isinstance(value, np.ndarray):
            return shared.name
        return shared.name, shared.start_of(value), value.shape


class _Unpickler(pickle.Unpickler):
    memory: dict[int, Shared]

    def persistent_load(self, place: tuple[int, int, Shape] | int) -> Shared | NDArray[np.uint8]:
        if isinstance(place, int):
            return self.memory[place]
        name, start, shape = place
        return self.memory[name].array(start, shape)


def _memory_of(value: object) -> Shared | None:
    if isinstance(value, np.ndarray) and (value.dtype != np.uint8 or not value.flags.c_contiguous):
        return None
    while isinstance(value, np.ndarray):
        value = value.base
    return value if isinstance(value, Shared) else None
