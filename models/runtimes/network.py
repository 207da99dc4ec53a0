"""A network as its users see it: named arrays in, named arrays out, whatever library runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avatar.errors import BundleError

Shape = tuple[int | None, ...]
"""Sizes of an array; None where the network takes any, as for the batch."""

Precision = Literal["auto", "f32", "bf16"]
"""What a network computes in: ``auto`` is bf16 where the CPU multiplies it in hardware (AMX, AVX512-BF16), else f32."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What takes long of opening a file, done: it can be handed to another process of the same machine.

    Attributes:
        models: what a runtime wants to have back, uint8, by the size of the batch.
    """

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    models: Mapping[int, NDArray[np.uint8]]


class Network(Protocol):
    """A network on a device, ready to run; the first axis of every array is the batch.

    Several threads may run it at once.
    """

    @property
    def inputs(self) -> Mapping[str, Shape]: ...

    @property
    def outputs(self) -> Mapping[str, Shape]: ...

    @property
    def n_bytes(self) -> int:
        """Memory that it takes on its device, about."""
        ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every output for a batch of any size but none; the arrays are new."""
        ...


def require(ports: Mapping[str, Shape], name: str, shape: Shape, who: str) -> Shape:
    """The shape of a network's input or output; it must be as ``shape`` says where both are fixed."""
    if name not in ports:
        raise BundleError(f"the {who} {', '.join(ports)}, but not '{name}'")
    found = ports[name]
    fits = len(found) == len(shape) and all(None in (a, b) or a == b for a, b in zip(found, shape, strict=True))
    if not fits:
        raise BundleError(f"the {who} '{name}' of shape {written(found)}, needed is {written(shape)}")
    return found


def written(shape: Shape) -> str:
    return f"({', '.join('any' if side is None else str(side) for side in shape)})"
