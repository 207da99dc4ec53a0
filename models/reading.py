"""An avatar's footage, read by a process of its own that takes what others leave of the cores.

A thread that reads needs the interpreter's lock for each picture. Where it also gives way to all others, it holds the
lock without a core to let go of it, and whoever has frames due waits.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from mmap import ACCESS_READ, ALLOCATIONGRANULARITY, mmap
from pathlib import Path
from typing import IO

from avatar.bundle import AvatarBundle
from avatar.errors import BundleError
from models.bundles import read_bundle
from models.manifest import Manifest
from models.parent import end_with_parent, environment

LEAST_NICE = 19

SMALL_PAGES = {"NUMPY_MADVISE_HUGEPAGE": "0"}
"""numpy asks for huge pages for large arrays: while the system gathers and clears those for 360 MB, everybody waits."""

Answer = tuple[bytes, list[tuple[int, int]]]
"""What was read, pickled, and where in the shared memory each of its arrays is: start and length, bytes."""


def read_aside(folder: Path, manifest: Manifest) -> AvatarBundle:
    """What ``models.bundles.read_bundle`` gives, read by another process; the arrays are in memory shared with it.

    Takes half a second longer. Where a system has no such memory (other than Linux), this process reads.

    Raises:
        BundleError: as there, or the process came to an end.
    """
    if sys.platform != "linux":
        return read_bundle(folder, manifest)
    with os.fdopen(os.memfd_create("footage"), "w+b") as memory:
        command = [sys.executable, "-P", "-m", __name__, str(folder.resolve()), str(memory.fileno())]
        done = subprocess.run(  # noqa: S603 — our own interpreter
            command,
            input=pickle.dumps(manifest),
            stdout=subprocess.PIPE,
            pass_fds=[memory.fileno()],
            env={**environment(), **SMALL_PAGES},
            start_new_session=True,  # Ctrl-C is meant for this process, which waits
            check=False,
        )
        if done.returncode:
            raise BundleError(f"{folder} was not read: the process that did so ended with {done.returncode}")
        answer: Answer | BundleError = pickle.loads(done.stdout)  # noqa: S301 — our own process wrote it
        if isinstance(answer, BundleError):
            raise answer
        return _unpickled(answer, memory)


def _unpickled(answer: Answer, memory: IO[bytes]) -> AvatarBundle:
    pickled, places = answer
    pages = memoryview(mmap(memory.fileno(), 0, access=ACCESS_READ))
    arrays = [pages[start : start + length] for start, length in places]
    bundle: AvatarBundle = pickle.loads(pickled, buffers=arrays)  # noqa: S301 — our own process wrote it
    return bundle


def _pickled(bundle: AvatarBundle, memory: IO[bytes]) -> Answer:
    arrays: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(bundle, protocol=5, buffer_callback=arrays.append)
    return pickled, list(_written(arrays, memory))


def _written(arrays: list[pickle.PickleBuffer], memory: IO[bytes]) -> Iterator[tuple[int, int]]:
    for array in arrays:
        start = -(-memory.tell() // ALLOCATIONGRANULARITY) * ALLOCATIONGRANULARITY
        memory.seek(start)
        yield start, memory.write(array.raw())
    memory.flush()


def _main(folder: str, descriptor: str) -> None:
    end_with_parent()
    os.nice(LEAST_NICE)
    manifest: Manifest = pickle.load(sys.stdin.buffer)  # noqa: S301 — our own process wrote it
    answer: Answer | BundleError
    with os.fdopen(int(descriptor), "w+b") as memory:
        try:
            answer = _pickled(read_bundle(Path(folder), manifest), memory)
        except BundleError as error:
            answer = error
    sys.stdout.buffer.write(pickle.dumps(answer))


if __name__ == "__main__":
    _main(*sys.argv[1:])
