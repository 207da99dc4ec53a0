"""Frames in shared memory, from the session to its child process: one writes, one reads, nobody waits.

The memory has no name (``memfd_create``), so that nothing is left behind however its processes end.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # the child starts in half the time where it need not import what frames are made with
    from server.publisher import RenderedFrame

MAGIC = b"AVFRAMES"
HEAD = struct.Struct("<8sQQQQQ")
"""Magic, then the shape: width, height, sample rate, most samples of a frame, slots."""

SLOT = struct.Struct("<QQQQQQ")
"""Sequence number, tick's index, first sample, samples, turn, and when it was written (monotonic clock, ns)."""

WRITTEN, READ, FLUSHED = 64, 128, 192
"""Where the three counters are, each in a cache line of its own; all count frames from 0 and never go back."""

SLOTS_AT = 4096
PAGE = 4096
LARGEST_SIDE = 4096


class RingError(Exception):
    """The memory is not what both sides agreed on; the message says what differs."""


class RingShape(msgspec.Struct, frozen=True):
    """What a ring holds: I420 pictures of ``width`` x ``height`` and int16 mono sound of up to ``max_samples``."""

    width: int
    height: int
    sample_rate: int
    max_samples: int
    n_slots: int

    def __post_init__(self) -> None:
        if not (0 < self.width <= LARGEST_SIDE and 0 < self.height <= LARGEST_SIDE):
            raise RingError(f"a picture is {self.width}x{self.height}, but each side must be 1 to {LARGEST_SIDE}")
        if self.width % 2 or self.height % 2:
            raise RingError(f"a picture is {self.width}x{self.height}, but I420 needs even sides")
        if not (0 < self.max_samples <= 1 << 20 and 0 < self.n_slots <= 1 << 10 and self.sample_rate > 0):
            raise RingError(f"{self.n_slots} frames of {self.max_samples} samples cannot be held")

    @property
    def n_picture(self) -> int:
        """Bytes of a picture."""
        return self.width * self.height * 3 // 2

    @property
    def n_slot(self) -> int:
        """Bytes of a slot: its head, sound and picture, in whole pages."""
        return -(-(64 + 2 * self.max_samples + self.n_picture) // PAGE) * PAGE

    @property
    def n_bytes(self) -> int:
        return SLOTS_AT + self.n_slots * self.n_slot

    @property
    def head(self) -> bytes:
        return HEAD.pack(MAGIC, self.width, self.height, self.sample_rate, self.max_samples, self.n_slots)


@dataclass(frozen=True, slots=True)
class Held:
    """A frame as it lies in the ring. The views are good until the reader's ``done``.

    Attributes:
        sound: int16, native, as bytes.
        picture: I420, as bytes.
        written_ns: when it was written, on the monotonic clock.
    """

    index: int
    first_sample: int
    turn: int
    written_ns: int
    sound: memoryview
    picture: memoryview


class _Ring:
    def __init__(self, fd: int, shape: RingShape) -> None:
        self.shape = shape
        self._memory = mmap.mmap(fd, shape.n_bytes)
        self._bytes = memoryview(self._memory)
        self._counters = self._bytes[:SLOTS_AT].cast("Q")

    def close(self) -> None:
        self._counters.release()
        self._bytes.release()
        self._memory.close()

    def _get(self, counter: int) -> int:
        return self._counters[counter // 8]

    def _set(self, counter: int, value: int) -> None:
        self._counters[counter // 8] = value

    def _slot(self, sequence: int) -> int:
        return SLOTS_AT + sequence % self.shape.n_slots * self.shape.n_slot


class RingWriter(_Ring):
    """Makes the memory and fills it. ``fd`` is what the reader needs of it."""

    def __init__(self, shape: RingShape) -> None:
        self.fd = os.memfd_create("avatar-frames")
        try:
            os.ftruncate(self.fd, shape.n_bytes)
            super().__init__(self.fd, shape)
        except BaseException:
            os.close(self.fd)
            raise
        self._bytes[: HEAD.size] = shape.head

    def close(self) -> None:
        super().close()
        os.close(self.fd)

    @property
    def n_read(self) -> int:
        """Frames that the reader is done with."""
        return self._get(READ)

    @property
    def n_waiting(self) -> int:
        return self._get(WRITTEN) - self._get(READ)

    def put(self, frame: RenderedFrame, now_ns: int) -> bool:
        """Writes a frame; False, and nothing is written, where the reader is a whole ring behind.

        Raises:
            RingError: its picture or sound is not of the ring's shape.
        """
        shape, tick = self.shape, frame.tick
        picture = frame.picture.data.cast("B")
        if frame.picture.shape != (shape.height * 3 // 2, shape.width) or picture.nbytes != shape.n_picture:
            size = f"{frame.picture.shape[1]}x{frame.picture.shape[0] * 2 // 3}"
            raise RingError(f"a picture is {size}, but the ring holds {shape.width}x{shape.height}")
        if len(frame.sound) != tick.n_samples or tick.n_samples > shape.max_samples:
            raise RingError(f"frame {tick.index} has {len(frame.sound)} samples; the ring holds {shape.max_samples}")
        written = self._get(WRITTEN)
        if written - self._get(READ) >= shape.n_slots:
            return False
        at = self._slot(written)
        SLOT.pack_into(self._bytes, at, written, tick.index, tick.first_sample, tick.n_samples, frame.turn, now_ns)
        at += 64
        self._bytes[at : at + 2 * tick.n_samples] = frame.sound.data.cast("B")
        at += 2 * shape.max_samples
        self._bytes[at : at + shape.n_picture] = picture
        self._set(WRITTEN, written + 1)
        return True

    def flush(self) -> None:
        """What the reader has not begun with is not wanted any more."""
        self._set(FLUSHED, self._get(WRITTEN))


class RingReader(_Ring):
    """Reads a ring that another process made.

    Raises:
        RingError: the memory behind ``fd`` is not of this shape.
    """

    def __init__(self, fd: int, shape: RingShape) -> None:
        n_bytes = os.fstat(fd).st_size
        if n_bytes != shape.n_bytes:
            raise RingError(f"the ring has {n_bytes} bytes, but its shape needs {shape.n_bytes}")
        super().__init__(fd, shape)
        if bytes(self._bytes[: HEAD.size]) != shape.head:
            raise RingError("the ring's head names another shape")
        self.n_flushed = 0
        """Frames that were thrown away unread, because the writer flushed."""

    def next(self) -> Held | None:
        """The oldest frame that waits, if any; the same one until ``done``.

        Raises:
            RingError: the writer broke the rules.
        """
        shape, read, written = self.shape, self._get(READ), self._get(WRITTEN)
        if not 0 <= written - read <= shape.n_slots:
            raise RingError(f"{written} frames were written and {read} read, but the ring holds {shape.n_slots}")
        flushed = min(self._get(FLUSHED), written)
        if flushed > read:
            self.n_flushed += flushed - read
            read = flushed
            self._set(READ, read)
        if read == written:
            return None
        at = self._slot(read)
        sequence, index, first_sample, n_samples, turn, written_ns = SLOT.unpack_from(self._bytes, at)
        if sequence != read or n_samples > shape.max_samples:
            raise RingError(f"slot of frame {read} holds frame {sequence} with {n_samples} samples")
        sound, picture = at + 64, at + 64 + 2 * shape.max_samples
        return Held(
            index,
            first_sample,
            turn,
            written_ns,
            self._bytes[sound : sound + 2 * n_samples],
            self._bytes[picture : picture + shape.n_picture],
        )

    def done(self) -> None:
        """The frame that ``next`` gave may be written over."""
        self._set(READ, self._get(READ) + 1)
