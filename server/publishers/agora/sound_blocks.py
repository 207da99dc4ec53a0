"""Sound on its way to the SDK: cut into blocks, and handed over no faster than it is played."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

BLOCK_MS = 10
QUEUE_MS = 40
"""Sound that the SDK may hold: a frame at 25 a second. More would be heard after an interruption."""

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """10 ms of int16 sound in a buffer of its own, which may be written to: the SDK takes no other."""

    first_sample: int
    pcm: bytearray


class SoundBlocks:
    """Cuts the sound of frames, which may be of any length, into blocks."""

    def __init__(self, sample_rate: int) -> None:
        if sample_rate % (1000 // BLOCK_MS):
            raise ValueError(f"{sample_rate} Hz has no whole number of samples in {BLOCK_MS} ms")
        self._n_block = sample_rate * BLOCK_MS // 1000
        self._rest = bytearray()
        self._next_sample = 0
        self._blocks: deque[Block] = deque()

    def __len__(self) -> int:
        """Blocks that wait."""
        return len(self._blocks)

    def add(self, first_sample: int, sound: memoryview) -> None:
        """Appends a frame's sound. After a gap, what did not fill a block is given up."""
        if first_sample != self._next_sample + len(self._rest) // 2:
            self._rest.clear()
            self._next_sample = first_sample
        self._rest += sound
        n_bytes = 2 * self._n_block
        while len(self._rest) >= n_bytes:
            self._blocks.append(Block(self._next_sample, self._rest[:n_bytes]))
            del self._rest[:n_bytes]
            self._next_sample += self._n_block

    def first(self) -> Block:
        return self._blocks[0]

    def pop(self) -> None:
        self._blocks.popleft()


class SdkQueue:
    """How much sound the SDK holds: what it was given, less what it has played since, in real time."""

    def __init__(self) -> None:
        self._empty_at_ns = 0

    def room_at_ns(self) -> int:
        """When there is, or was, room for one more block."""
        return self._empty_at_ns - (QUEUE_MS - BLOCK_MS) * NS_PER_MS

    def add(self, now_ns: int) -> None:
        """A block is handed over."""
        self._empty_at_ns = max(self._empty_at_ns, now_ns) + BLOCK_MS * NS_PER_MS
