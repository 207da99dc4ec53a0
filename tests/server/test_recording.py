"""The recording publisher, judged by its files."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from server.publishers.recorder import Recorder
from server.publishers.recording import RecordingPublisher
from tests.server.show import Show, delay, watch
from tests.soak.figures import becomes

pytestmark = pytest.mark.anyio


async def test_everything_that_is_published_is_in_the_file(recorder: Recorder, tmp_path: Path) -> None:
    show = Show()
    async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder) as recording:
        for frame in show.frames(120):
            recording.publish(frame)
    seen = watch(tmp_path / "a.mp4")
    assert seen.numbers == list(range(120))
    assert delay(seen.sound, show.sound_of(120), within=200)[0] == 0
    assert recording.failed is None


async def test_an_interruption_does_not_change_what_was_recorded(recorder: Recorder, tmp_path: Path) -> None:
    show = Show()
    async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder) as recording:
        for frame in show.frames(50):
            recording.publish(frame)
        recording.flush()
    assert watch(tmp_path / "a.mp4").numbers == list(range(50))


@contextmanager
def standing_still(recorder: Recorder) -> Iterator[None]:
    """As if its disk did."""
    assert recorder.pid
    os.kill(recorder.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(recorder.pid, signal.SIGCONT)


async def test_a_slow_disk_costs_pictures_but_no_sound(
    recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    show = Show()
    publisher = RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder, pictures_held_s=1)
    async with publisher as recording:
        with standing_still(recorder):
            for frame in show.frames(100):
                recording.publish(frame)
    seen = watch(tmp_path / "a.mp4")
    assert seen.numbers == list(range(26)) + [25] * 74
    assert recording.n_pictures_left_out == 74
    offset, correlation = delay(seen.sound, show.sound_of(100), within=200)
    assert offset == 0
    assert correlation > 0.98
    assert [record.message for record in caplog.records] == ["recording is too slow: pictures are left out"]


async def test_pictures_are_in_the_file_again_once_the_disk_goes_on(recorder: Recorder, tmp_path: Path) -> None:
    show = Show()
    publisher = RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder, pictures_held_s=0.4)
    async with publisher as recording:
        with standing_still(recorder):
            for frame in show.frames(20):
                recording.publish(frame)
        for frame in show.frames(40, first=20):
            await asyncio.sleep(0.04)
            recording.publish(frame)
    numbers = watch(tmp_path / "a.mp4").numbers
    assert numbers[:20] == list(range(11)) + [10] * 9
    assert numbers[30:] == list(range(30, 60))


async def test_a_disk_that_stands_still_for_minutes_ends_the_recording_not_the_session(
    recorder: Recorder, tmp_path: Path
) -> None:
    show = Show()
    publisher = RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder, pictures_held_s=0.04)
    frame = show.frame(0)
    async with publisher as recording:
        with standing_still(recorder):
            for _ in range(25 * 60 + 2):
                recording.publish(frame)
            assert str(recording.failed) == "the disk is 60 s behind"
            recording.publish(frame)


async def test_a_recorder_that_is_killed_fails_what_it_recorded_and_the_next_session_has_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    show = Show()
    with Recorder() as recorder:
        async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder) as recording:
            for frame in show.frames(60):
                recording.publish(frame)
            first = recorder.pid
            assert first
            os.kill(first, signal.SIGKILL)
            assert await becomes(lambda: recording.failed is not None)
            recording.publish(show.frame(60))
        assert str(recording.failed) == "the process that recorded came to an end"
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        async with RecordingPublisher(tmp_path / "b.mp4", show.size, show.timeline, recorder) as recording:
            for frame in show.frames(30):
                recording.publish(frame)
        assert recorder.pid != first
    assert watch(tmp_path / "b.mp4").numbers == list(range(30))


async def test_no_process_and_no_file_is_left_behind(tmp_path: Path) -> None:
    show, process = Show(), psutil.Process()
    n_files, children = process.num_fds(), process.children()
    with Recorder() as recorder:
        async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder) as recording:
            recording.publish(show.frame(0))
        assert recorder.pid
        of_recorder = psutil.Process(recorder.pid)
        assert await becomes(lambda: of_recorder.num_threads() == 1 and not memory_of(of_recorder))
    assert process.num_fds() == n_files
    assert process.children() == children


def memory_of(process: psutil.Process) -> list[str]:
    """What it has mapped of frames."""
    return [each.path for each in process.memory_maps() if "memfd:frames" in each.path]


KILLED = """
import asyncio, os, signal
from pathlib import Path
from server.publishers.recorder import Recorder
from server.publishers.recording import RecordingPublisher
from tests.server.show import Show

async def main():
    show = Show()
    async with RecordingPublisher(Path("a.mp4"), show.size, show.timeline, Recorder()) as recording:
        for frame in show.frames(100):
            recording.publish(frame)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_server_that_is_killed_leaves_a_complete_file(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, cwd=tmp_path, env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr
    async with asyncio.timeout(30):
        assert await process.stderr.read() == b""  # to which the recorder holds on, too: now both have ended
    assert await process.wait() == -signal.SIGKILL
    assert watch(tmp_path / "a.mp4").numbers == list(range(100))


async def test_a_cancelled_session_leaves_a_complete_file(recorder: Recorder, tmp_path: Path) -> None:
    show = Show()
    published = asyncio.Event()

    async def session() -> None:
        async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder) as recording:
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


async def test_an_error_in_the_session_leaves_a_complete_file_and_is_passed_on(
    recorder: Recorder, tmp_path: Path
) -> None:
    show = Show()

    async def session() -> None:
        async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder) as recording:
            for frame in show.frames(30):
                recording.publish(frame)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await session()
    assert watch(tmp_path / "a.mp4").numbers == list(range(30))


async def test_a_file_that_cannot_be_written_fails_the_recording_and_nothing_else(
    recorder: Recorder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    show = Show()
    (tmp_path / "file").write_text("not a folder")
    async with RecordingPublisher(tmp_path / "file" / "a.mp4", show.size, show.timeline, recorder) as recording:
        for frame in show.frames(30):
            recording.publish(frame)
    assert str(recording.failed) == f"FileExistsError: [Errno 17] File exists: '{tmp_path / 'file'}'"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_the_event_loop_goes_on_while_the_file_is_completed(recorder: Recorder, tmp_path: Path) -> None:
    show = Show()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with RecordingPublisher(tmp_path / "a.mp4", show.size, show.timeline, recorder) as recording:
        for frame in show.frames(200):
            recording.publish(frame)
        task = asyncio.create_task(others())
        turns = 0
    task.cancel()
    assert turns > 10
