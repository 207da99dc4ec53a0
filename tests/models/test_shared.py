"""Arrays that lie in memory which processes share, and what becomes of it."""

from __future__ import annotations

import gc
import os
import pickle
import sys
import time
from concurrent.futures import thread

import numpy as np
import pytest

from models.shared import Shared, pickled, unpickled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="arrays lie in the process's own memory")


def file_of(memory: Shared) -> tuple[int, int]:
    """Its descriptor, and its inode: the descriptor may be another file's soon."""
    assert memory.descriptor is not None
    return memory.descriptor, os.fstat(memory.descriptor).st_ino


def is_open(descriptor: int, inode: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == inode
    except OSError:
        return False


def is_given_back(descriptor: int, inode: int) -> None:
    end = time.monotonic() + 10
    while is_open(descriptor, inode) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_open(descriptor, inode)


def test_arrays_have_their_shapes_and_do_not_overlap() -> None:
    shapes = [(3, 4), (1,), (2, 5000, 3)]
    arrays = Shared().arrays(shapes)
    assert [array.shape for array in arrays] == shapes
    for value, array in enumerate(arrays):
        array[...] = value
    assert [set(array.reshape(-1).tolist()) for array in arrays] == [{0}, {1}, {2}]


def test_memory_is_given_back_when_the_last_of_its_arrays_is_gone() -> None:
    memory = Shared()
    file = file_of(memory)
    one, other = memory.arrays([(5_000_000,), (10,)])
    one[...] = 1
    part = other[3:]
    del memory, one, other
    gc.collect()
    assert is_open(*file)
    assert part.shape == (7,)
    del part
    is_given_back(*file)


def test_memory_that_was_never_used_is_given_back() -> None:
    memory = Shared()
    file = file_of(memory)
    del memory
    is_given_back(*file)


def test_memory_may_be_left_in_the_middle_of_anything() -> None:
    """The garbage collector may find it while a lock is held that a pool of threads would ask for."""
    memory = Shared()
    file = file_of(memory)
    with thread._global_shutdown_lock:
        del memory
    is_given_back(*file)


def test_values_are_told_by_where_their_arrays_lie() -> None:
    memory, own = Shared(), np.arange(100_000, dtype=np.uint8)
    _, shared = memory.arrays([(7,), (1000, 1000)])
    shared[...] = 9
    value, used = pickled({"shared": shared, "own": own, "a part": shared[10:20]})
    assert list(used.values()) == [memory]
    assert len(pickle.dumps(value)) < own.nbytes + 10_000
    back = unpickled(value, used)
    assert np.shares_memory(back["shared"], shared)
    assert np.shares_memory(back["a part"], shared[10:20])
    assert np.array_equal(back["own"], own)
    assert not np.shares_memory(back["own"], own)
    assert not back["own"].flags.writeable


def test_other_kinds_of_arrays_are_copied() -> None:
    (shared,) = Shared().arrays([(8, 8)])
    shared[...] = np.arange(64).reshape(8, 8)
    value, used = pickled([shared.T, shared.view(np.int8)])
    assert not used
    turned, signed = unpickled(value, used)
    assert np.array_equal(turned, shared.T)
    assert signed.dtype == np.int8
