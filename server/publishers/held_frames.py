"""Frames in shared memory, on their way to a process that records them: one puts, one takes, nobody waits."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from mmap import ALLOCATIONGRANULARITY, mmap

import numpy as np

from avatar.audio import Pcm
from avatar.geometry import Size
from avatar.pictures import Picture, n_bytes_of, shape_of
from avatar.timeline import FrameTick, Timeline

PUT, DONE = 0, 1
"""Counters, of frames; neither ever goes back."""

N_HEAD = 4
"""A frame's numbers: the place of its picture, then those of its tick."""


@dataclass(frozen=True, slots=True)
class HeldShape:
    """How much can be held.

    Attributes:
        n_frames: with their sound.
        n_pictures: fewer, as they are large; a frame for which there is no place shows the picture before it.
    """

    size: Size
    max_samples: int
    n_frames: int
    n_pictures: int

    @classmethod
    def lasting(cls, size: Size, timeline: Timeline, frames_s: float, pictures_s: float) -> HeldShape:
        """For so many seconds of frames, and of pictures that wait beside the one that is shown."""
        fps, max_samples = timeline.fps, math.ceil(timeline.sample_rate / timeline.fps)
        return cls(size, max_samples, round(frames_s * fps), 1 + round(pictures_s * fps))

    @property
    def n_bytes(self) -> int:
        """Of what is there beside pictures."""
        n_bytes = ALLOCATIONGRANULARITY + self.n_frames * (8 * N_HEAD + 2 * self.max_samples)
        return -(-n_bytes // ALLOCATIONGRANULARITY) * ALLOCATIONGRANULARITY


class HeldFrames:
    """Each is there until who takes them is done with it; its picture, until a later one is.

    Places of pictures are taken like plates from a stack: only as much memory is used as ever was needed at once. The
    memory has no name, so that nothing is left behind however its processes end. Nobody is woken: who puts is an event
    loop, and a call of the system would let go of the interpreter's lock, for others to take, each time.

    Args:
        descriptor: of the memory, for the process that takes; None makes it.
    """

    def __init__(self, shape: HeldShape, descriptor: int | None = None) -> None:
        n_bytes = shape.n_bytes + shape.n_pictures * n_bytes_of(shape.size)
        if descriptor is None:
            descriptor = _new()
            os.ftruncate(descriptor, n_bytes)
        self.descriptor = descriptor
        memory = np.frombuffer(mmap(descriptor, n_bytes), np.uint8)
        self._counters = memory[:16].view(np.int64)
        heads, sounds = np.split(memory[ALLOCATIONGRANULARITY : shape.n_bytes], [8 * N_HEAD * shape.n_frames])
        self._heads = heads.view(np.int64).reshape(shape.n_frames, N_HEAD)
        sounds = sounds[: 2 * shape.max_samples * shape.n_frames]
        self._sounds = sounds.view(np.int16).reshape(shape.n_frames, shape.max_samples)
        self._pictures = memory[shape.n_bytes :].reshape(shape.n_pictures, *shape_of(shape.size))
        self._n_frames = shape.n_frames
        self._free = list(reversed(range(shape.n_pictures)))
        self._shown: deque[tuple[int, int]] = deque()
        """Frames that came with a picture, and its place."""

    def close(self) -> None:
        """The memory is given back once nobody looks at a picture any more."""
        del self._counters, self._heads, self._sounds, self._pictures
        os.close(self.descriptor)

    @property
    def is_full(self) -> bool:
        return int(self._counters[PUT] - self._counters[DONE]) >= self._n_frames

    def put(self, picture: Picture, tick: FrameTick, sound: Pcm) -> bool:
        """Adds a frame, unless it ``is_full``. False where the picture was left out, as there was no place for it.

        Args:
            sound: int16 (tick.n_samples,).
        """
        n_put = int(self._counters[PUT])
        slot, place = n_put % self._n_frames, self._place_for(n_put)
        if place is not None:
            self._pictures[place] = picture
        self._heads[slot] = (-1 if place is None else place, tick.index, tick.first_sample, tick.n_samples)
        self._sounds[slot, : tick.n_samples] = sound
        self._counters[PUT] = n_put + 1
        return place is not None

    def _place_for(self, frame: int) -> int | None:
        while len(self._shown) > 1 and self._shown[1][0] < self._counters[DONE]:
            self._free.append(self._shown.popleft()[1])
        if not self._free:
            return None
        self._shown.append((frame, self._free.pop()))
        return self._shown[-1][1]

    def next(self) -> tuple[Picture | None, FrameTick, Pcm] | None:
        """The oldest frame, the same one until ``done``; its picture is None where it was left out."""
        n_done = int(self._counters[DONE])
        if n_done == self._counters[PUT]:
            return None
        slot = n_done % self._n_frames
        place, *tick = self._heads[slot].tolist()
        frame = FrameTick(*tick)
        return (None if place < 0 else self._pictures[place]), frame, self._sounds[slot, : frame.n_samples]

    def done(self) -> None:
        """With the frame that is ``next``."""
        self._counters[DONE] += 1


def _new() -> int:
    if sys.platform == "linux":
        return os.memfd_create("frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
