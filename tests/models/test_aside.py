from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from avatar.bundle import AvatarBundle
from avatar.errors import AvatarError, BundleError
from models import aside
from models.aside import Aside, done_aside
from models.bundles import read_bundle, read_manifest
from models.shared import Shared

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="this process does all work itself")

ROOT = Path(__file__).resolve().parents[2]


def plain(bundle: AvatarBundle) -> dict[str, object]:
    """All of it; arrays as bytes, with their kind and shape."""

    def told(value: object) -> object:
        if isinstance(value, np.ndarray):
            return (value.dtype.str, value.shape, value.tobytes())
        if isinstance(value, dict):
            return [(key, told(each)) for key, each in value.items()]
        return value

    return {key: told(value) for key, value in dataclasses.asdict(bundle).items()}


def test_another_process_reads_the_same_into_memory_of_this_one(tiny_avatar: Path) -> None:
    manifest, memory = read_manifest(tiny_avatar), Shared()
    bundle = done_aside(partial(read_bundle, tiny_avatar, manifest, arrays=memory.arrays))
    assert plain(bundle) == plain(read_bundle(tiny_avatar, manifest))
    pages = np.asarray(memory)
    for clip in bundle.clips.values():
        assert np.shares_memory(clip.frames, pages)
        assert np.shares_memory(clip.crops, pages)
        for array in (clip.frames, clip.crops, clip.faces):
            assert not array.flags.writeable


def test_what_is_shared_goes_there_and_back_without_a_copy() -> None:
    memory = Shared()
    one, other = memory.arrays([(3, 5), (2, 7)])
    one[...], other[...] = 1, 2
    back = done_aside(same, other)
    assert np.shares_memory(back, other)
    assert (back == 2).all()


def same(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Sees what the other side wrote, and must not write."""
    assert not array.flags.writeable
    assert (array == 2).all()
    return array


def test_what_is_wrong_with_the_folder_is_told(tiny_avatar: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_avatar, tmp_path / "tiny"))
    (folder / "mask.png").unlink()
    with pytest.raises(BundleError, match=r"lacks the file mask\.png"):
        done_aside(read_bundle, folder, read_manifest(tiny_avatar))


def numbers() -> Iterator[int]:
    """Its process, then on without an end."""
    yield os.getpid()
    while True:
        time.sleep(0.01)
        yield 0


def test_results_come_one_by_one_until_it_is_closed() -> None:
    with closing(Aside(numbers)) as results:
        stream = iter(results)
        process = psutil.Process(next(stream))
        assert next(stream) == 0
        assert process.is_running()
    process.wait(10)


def test_it_is_closed_while_another_thread_waits_for_a_result() -> None:
    results, seen, waits = Aside(slow), list[int](), threading.Event()

    def iterate() -> None:
        for number in results:
            seen.append(number)
            waits.set()

    thread = threading.Thread(target=iterate)
    thread.start()
    assert waits.wait(10)
    results.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(seen) == 1
    psutil.Process(seen[0]).kill()


def slow() -> Iterator[int]:
    yield os.getpid()
    time.sleep(60)


def circumstances() -> tuple[int, int, int, int, int, list[str]]:
    return (
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getscheduler(0),
        os.getsid(0),
        os.getpgrp(),
        len(os.sched_getaffinity(0)),
        [name for name in os.environ if name.startswith("AVATAR_")],
    )


def test_it_gives_way_to_all_of_this_session_and_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a session of its own it would have half of the cores, however nice it is."""
    monkeypatch.setenv("AVATAR_API_KEYS", "secret")
    aside.HELPER.close()
    niceness, scheduler, session, group, n_cores, secrets = done_aside(circumstances)
    assert (niceness, scheduler, session) == (19, os.SCHED_IDLE, os.getsid(0))
    assert group != os.getpgrp(), "Ctrl-C is for this process"
    assert n_cores == max(1, len(os.sched_getaffinity(0)) // 4)
    assert secrets == []


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fails() -> None:
    raise ZeroDivisionError("of the work")


def test_a_process_that_ends_early_is_told() -> None:
    with pytest.raises(AvatarError, match="came to an end before its work did"):
        done_aside(dies)


def test_what_went_wrong_in_it_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    aside.HELPER.close()  # so that the next one writes where this test reads
    with pytest.raises(AvatarError, match="came to an end before its work did"):
        done_aside(fails)
    assert "ZeroDivisionError: of the work" in capfd.readouterr().err


def tells_then_fails() -> Iterator[int]:
    yield os.getpid()
    time.sleep(0.3)
    raise ZeroDivisionError("of the work")


def test_nothing_is_said_of_work_that_nobody_wants_any_more(capfd: pytest.CaptureFixture[str]) -> None:
    aside.HELPER.close()
    with closing(Aside(tells_then_fails)) as results:
        process = psutil.Process(next(iter(results)))
    process.wait(10)
    assert capfd.readouterr().err == ""


def test_a_helper_that_has_died_is_replaced() -> None:
    first = done_aside(os.getppid)
    psutil.Process(first).kill()
    psutil.wait_procs([psutil.Process(first)], 10)
    assert done_aside(os.getppid) != first


PARENT = """
import time
from models.aside import Aside
from tests.models.test_aside import slow
print(next(iter(Aside(slow))), flush=True)
time.sleep(60)
"""


def test_all_of_it_ends_with_the_process_that_asked() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout
        worker = psutil.Process(int(parent.stdout.readline()))
        helper = worker.parent()
        assert helper
        parent.kill()
    gone, _ = psutil.wait_procs([worker, helper], 10)
    assert len(gone) == 2
