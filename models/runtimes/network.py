"""A network as its users see it: named arrays in, named arrays out, whatever library runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

Shape = tuple[int | None, ...]
"""Sizes of an array; None where the network takes any, as for the batch."""

Precision = Literal["auto", "f32", "bf16"]
"""What a network computes in: ``auto`` is bf16 where the CPU multiplies it in hardware (AMX, AVX512-BF16), else f32."""


class Network(Protocol):
    """A network on a device, ready to run. The first axis of every array is the batch. Called from one thread."""

    @property
    def inputs(self) -> Mapping[str, Shape]: ...

    @property
    def outputs(self) -> Mapping[str, Shape]: ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Every output for a batch of any size but none; the arrays are new."""
        ...
