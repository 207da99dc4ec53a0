"""Frames in shared memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import msgspec
import numpy as np
import pytest

from avatar.geometry import Size
from avatar.timeline import Timeline
from server.publishers.agora.ring import RingError, RingReader, RingShape, RingWriter
from tests.server.show import Show

SHOW = Show(Size(64, 48), Timeline(Fraction(25), 48_000))
SHAPE = RingShape(width=64, height=48, sample_rate=48_000, max_samples=1920, n_slots=4)


@pytest.fixture
def writer() -> Iterator[RingWriter]:
    writer = RingWriter(SHAPE)
    yield writer
    writer.close()


def test_a_frame_comes_out_as_it_went_in(writer: RingWriter) -> None:
    reader = RingReader(writer.fd, SHAPE)
    assert reader.next() is None
    for frame in SHOW.frames(11):
        assert writer.put(frame, 1000 + frame.tick.index)
        held = reader.next()
        assert held
        assert (held.index, held.first_sample, held.written_ns) == (
            frame.tick.index,
            frame.tick.first_sample,
            1000 + frame.tick.index,
        )
        assert bytes(held.sound) == frame.sound.tobytes()
        assert bytes(held.picture) == frame.picture.tobytes()
        reader.done()
    assert reader.next() is None


def test_a_full_ring_takes_no_more_and_keeps_what_it_has(writer: RingWriter) -> None:
    reader = RingReader(writer.fd, SHAPE)
    assert [writer.put(frame, 0) for frame in SHOW.frames(6)] == [True] * 4 + [False] * 2
    assert writer.n_waiting == 4
    for index in range(4):
        held = reader.next()
        assert held
        assert held.index == index
        reader.done()


def test_a_flush_drops_what_waits_and_keeps_what_comes_after(writer: RingWriter) -> None:
    reader = RingReader(writer.fd, SHAPE)
    for frame in SHOW.frames(3):
        writer.put(frame, 0)
    writer.flush()
    writer.put(SHOW.frame(7, turn=1), 0)
    held = reader.next()
    assert held
    assert (held.index, held.turn, reader.n_flushed) == (7, 1, 3)


@pytest.mark.parametrize(
    "show", [Show(Size(64, 50), SHOW.timeline), Show(Size(64, 48), Timeline(Fraction(24), 48_000))]
)
def test_frames_of_another_shape_are_refused(writer: RingWriter, show: Show) -> None:
    with pytest.raises(RingError):
        writer.put(show.frame(0), 0)
    assert writer.n_waiting == 0


@pytest.mark.parametrize("change", [{"width": 66}, {"n_slots": 5}, {"sample_rate": 24_000}, {"max_samples": 960}])
def test_a_reader_that_expects_another_shape_is_refused(writer: RingWriter, change: dict[str, int]) -> None:
    with pytest.raises(RingError):
        RingReader(writer.fd, msgspec.structs.replace(SHAPE, **change))


@pytest.mark.parametrize("change", [{"width": 0}, {"height": 8192}, {"width": 63}, {"n_slots": 0}, {"sample_rate": 0}])
def test_shapes_that_cannot_be_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(RingError):
        msgspec.structs.replace(SHAPE, **change)


@pytest.mark.parametrize("at", [64, 4096, 4096 + 24])
def test_a_reader_notices_a_writer_that_breaks_the_rules(writer: RingWriter, at: int) -> None:
    reader = RingReader(writer.fd, SHAPE)
    writer.put(SHOW.frame(0), 0)
    os.pwrite(writer.fd, (99_999).to_bytes(8, "little"), at)
    with pytest.raises(RingError):
        reader.next()


def test_another_process_reads_while_it_is_written(writer: RingWriter) -> None:
    n = 400
    code = "import sys; from tests.server.agora.test_ring import read; read(int(sys.argv[1]), int(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(writer.fd), str(n)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[writer.fd], text=True) as child:
        for frame in SHOW.frames(n):
            while not writer.put(frame, 0):
                assert child.poll() is None
                time.sleep(0.0005)
        assert child.communicate(timeout=20)[0] == f"{n} frames, wrong: []"


def read(fd: int, n: int) -> None:
    """Reads ``n`` frames and says which are not as they were written."""
    reader, wrong = RingReader(fd, SHAPE), []
    for frame in SHOW.frames(n):
        while (held := reader.next()) is None:
            time.sleep(0.0005)
        sound = np.array_equal(np.frombuffer(held.sound, np.int16), frame.sound)
        if held.index != frame.tick.index or not sound or bytes(held.picture) != frame.picture.tobytes():
            wrong.append(held.index)
        reader.done()
    sys.stdout.write(f"{n} frames, wrong: {wrong}")
