"""The process behind ``models.aside``: it splits off one for each piece of work, and they give way to everybody."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress

from avatar.errors import AvatarError
from models.aside import Done, Result
from models.parent import asked, end_with_parent
from models.shared import Shared, pickled, unpickled

LEAST_NICE = 19


def give_way() -> None:
    """To everybody. With the least niceness alone, a process would go on until its slice is over.

    Most cores are left to others even where they have nothing to do: Linux looks for those that wait in vain for
    another core only when one falls idle.
    """
    os.nice(LEAST_NICE)
    cores = sorted(os.sched_getaffinity(0))
    with suppress(OSError):  # where a container forbids it
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        os.sched_setaffinity(0, cores[-max(1, len(cores) // 4) :])


def split_off_forever(requests: int) -> None:
    """Until the process that asks has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for descriptors in asked(requests):
        if os.fork() == 0:
            os.close(requests)
            end_with_parent()
            work(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def work(descriptors: list[int]) -> None:
    """Does one piece of work and ends the process, which closes the connection."""
    connection, status = socket.socket(fileno=descriptors[0]), 1
    try:
        stream = connection.makefile("rwb")
        names = pickle.load(stream)  # noqa: S301 — our own process wrote it
        memory = {name: Shared(descriptor, name) for name, descriptor in zip(names, descriptors[1:], strict=True)}
        task, given = unpickled(pickle.load(stream), memory)  # noqa: S301 — our own process wrote it
        for answer in answers(task(*given)):
            pickle.dump(pickled(answer)[0], stream)
            stream.flush()
        status = 0
    except BaseException:
        if is_wanted(connection):
            sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def is_wanted(connection: socket.socket) -> bool:
    """Whether the other side still listens. Else its memory may be gone, too."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def answers(results: Iterator[object]) -> Iterator[Result | Done | AvatarError]:
    try:
        for result in results:
            yield Result(result)
        yield Done()
    except AvatarError as error:
        yield error


if __name__ == "__main__":
    give_way()
    import cv2

    import models.bundles  # noqa: F401 — what most of the work needs is imported once

    cv2.setNumThreads(1)

    split_off_forever(int(sys.argv[1]))
