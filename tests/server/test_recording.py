"""The recording publisher, judged by its files."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from server.publishers.recording import RecordingPublisher
from tests.server.show import Show, delay, watch

pytestmark = pytest.mark.anyio


async def test_everything_that_is_published_is_in_the_file(tmp_path: Path) -> None:
    show = Show()
    async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline) as recording:
        for frame in show.frames(120):
            recording.publish(frame)
    seen = watch(tmp_path / "a.mp4")
    assert seen.numbers == list(range(120))
    assert delay(seen.sound, show.sound_of(120), within=200)[0] == 0
    assert recording.failed is None


async def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    show = Show()
    before = set(threading.enumerate())
    async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline) as recording:
        recording.publish(show.frame(0))
        assert any(thread.name == "recording a" for thread in threading.enumerate())
    assert not any(thread.name == "recording a" for thread in set(threading.enumerate()) - before)


async def test_an_interruption_does_not_change_what_was_recorded(tmp_path: Path) -> None:
    show = Show()
    async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline) as recording:
        for frame in show.frames(50):
            recording.publish(frame)
        recording.flush()
    assert watch(tmp_path / "a.mp4").numbers == list(range(50))


async def test_a_slow_disk_costs_pictures_but_no_sound(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    show = Show()
    recording = RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, pictures_held_s=1)
    for frame in show.frames(100):  # before it is entered nothing is written, as on a disk that stands still
        recording.publish(frame)
    async with recording:
        pass
    seen = watch(tmp_path / "a.mp4")
    assert seen.numbers == list(range(25)) + [24] * 75
    assert recording.n_pictures_left_out == 75
    offset, correlation = delay(seen.sound, show.sound_of(100), within=200)
    assert offset == 0
    assert correlation > 0.98
    assert [record.message for record in caplog.records] == ["recording is too slow: pictures are left out"]


async def test_a_disk_that_stands_still_for_minutes_ends_the_recording_not_the_session(tmp_path: Path) -> None:
    show = Show()
    recording = RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, pictures_held_s=0.04)
    frame = show.frame(0)
    for _ in range(25 * 120 + 2):
        recording.publish(frame)
    assert str(recording.failed) == "the disk is 120 s behind"
    async with recording:
        recording.publish(show.frame(0))


async def test_a_cancelled_session_leaves_a_complete_file(tmp_path: Path) -> None:
    show = Show()
    published = asyncio.Event()

    async def session() -> None:
        async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline) as recording:
            for frame in show.frames(150):
                recording.publish(frame)
            published.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(session())
    await published.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # again, while the file is being completed
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watch(tmp_path / "a.mp4").numbers == list(range(150))


async def test_an_error_in_the_session_leaves_a_complete_file_and_is_passed_on(tmp_path: Path) -> None:
    show = Show()

    async def session() -> None:
        async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline) as recording:
            for frame in show.frames(30):
                recording.publish(frame)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await session()
    assert watch(tmp_path / "a.mp4").numbers == list(range(30))


async def test_a_file_that_cannot_be_written_fails_the_recording_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    show = Show()
    (tmp_path / "file").write_text("not a folder")
    async with RecordingPublisher(tmp_path / "file" / "a.mp4", show.size, show.timeline) as recording:
        for frame in show.frames(30):
            recording.publish(frame)
    assert isinstance(recording.failed, OSError)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_the_event_loop_goes_on_while_the_file_is_completed(tmp_path: Path) -> None:
    show = Show()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    recording = RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline)
    for frame in show.frames(200):
        recording.publish(frame)
    task = asyncio.create_task(others())
    async with recording:
        turns = 0
    task.cancel()
    assert turns > 10
