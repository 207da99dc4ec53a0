"""Frames in shared memory: what is taken is what was put, in order, however far who takes them is behind."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np

from avatar.pictures import n_bytes_of
from server.publishers.held_frames import HeldFrames, HeldShape
from tests.server.show import Show

SHOW = Show()


@contextmanager
def two_ends(frames_s: float, pictures_s: float) -> Iterator[tuple[HeldFrames, HeldFrames]]:
    shape = HeldShape.lasting(SHOW.size, SHOW.timeline, frames_s, pictures_s)
    with closing(HeldFrames(shape)) as puts, closing(HeldFrames(shape, os.dup(puts.descriptor))) as takes:
        yield puts, takes


def test_many_times_round_every_frame_is_taken_as_it_was_put() -> None:
    rng, n_put, n_taken = random.Random(3), 0, 0
    shown = -1
    left_out = set()
    with two_ends(frames_s=0.4, pictures_s=0.2) as (puts, takes):
        while n_taken < 300:
            for _ in range(rng.randrange(12)):
                if not puts.is_full:
                    frame = SHOW.frame(n_put)
                    if not puts.put(frame.picture, frame.tick, frame.sound):
                        left_out.add(n_put)
                    n_put += 1
            for _ in range(rng.randrange(12)):
                if taken := takes.next():
                    picture, tick, sound = taken
                    assert tick == SHOW.timeline.tick(n_taken)
                    assert np.array_equal(sound, SHOW.sound(n_taken))
                    assert (picture is None) == (n_taken in left_out)
                    if picture is not None:
                        shown, last = n_taken, picture
                    assert np.array_equal(last, SHOW.frame(shown).picture), "and it is still there for those after it"
                    takes.done()
                    n_taken += 1
    assert 0 < len(left_out) < 150


def test_it_is_full_when_nothing_is_taken_and_until_something_is() -> None:
    frame = SHOW.frame(0)
    with two_ends(frames_s=0.4, pictures_s=0.4) as (puts, takes):
        while not puts.is_full:
            assert puts.put(frame.picture, frame.tick, frame.sound)
        for _ in range(10):
            assert takes.next()
            assert puts.is_full
            takes.done()
            assert not puts.is_full
            assert puts.put(frame.picture, frame.tick, frame.sound)
        for _ in range(10):
            takes.done()
        assert takes.next() is None


def test_only_as_many_pictures_take_memory_as_ever_waited() -> None:
    frame = SHOW.frame(0)
    with two_ends(frames_s=4, pictures_s=4) as (puts, takes):
        for _ in range(300):
            assert puts.put(frame.picture, frame.tick, frame.sound)
            assert takes.next()
            takes.done()
        n_bytes = 512 * os.fstat(puts.descriptor).st_blocks
        shape = HeldShape.lasting(SHOW.size, SHOW.timeline, 4, 4)
        assert n_bytes < shape.n_bytes + 4 * n_bytes_of(SHOW.size)
