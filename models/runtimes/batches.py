"""Batches of any size, run in the few sizes that a network was made ready for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.runtimes.choice import SIZES

Arrays = Mapping[str, NDArray[Any]]


def parts(n: int, sizes: Sequence[int] = SIZES) -> Iterator[tuple[slice, int]]:
    """Cuts a batch of ``n`` into parts, each with the smallest of the growing ``sizes`` that holds it."""
    for start in range(0, n, sizes[-1]):
        stop = min(n, start + sizes[-1])
        yield slice(start, stop), next(size for size in sizes if size >= stop - start)


def in_parts(inputs: Arrays, run: Callable[[Arrays, int], Arrays], sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """The outputs of a whole batch, in new arrays.

    Args:
        run: computes a part, given the size that it fits into; what it gives may begin with more than the part, and
            is copied at once.
    """
    n = len(next(iter(inputs.values())))
    results: dict[str, NDArray[Any]] = {}
    for part, size in parts(n, sizes):
        made = run({name: array[part] for name, array in inputs.items()}, size)
        for name, values in made.items():
            whole = results.setdefault(name, np.empty((n, *values.shape[1:]), values.dtype))
            whole[part] = values[: part.stop - part.start]
    return results


def filled(array: NDArray[Any], size: int) -> NDArray[Any]:
    """A part with zeros after it, up to ``size``."""
    if len(array) == size:
        return array
    whole = np.zeros((size, *array.shape[1:]), array.dtype)
    whole[: len(array)] = array
    return whole
