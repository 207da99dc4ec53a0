"""Work that takes seconds, done by a process of its own that has a core only while nobody else wants it.

A thread needs the interpreter's lock again and again. Where it also gives way to all others, it holds the lock without
a core to let go of it, and whoever has frames due waits.
"""

from __future__ import annotations

import atexit
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from avatar.errors import AvatarError
from models.parent import Helper
from models.shared import IS_THERE, pickled, unpickled

T = TypeVar("T")

SETTINGS = {"NUMPY_MADVISE_HUGEPAGE": "0", "OPENBLAS_NUM_THREADS": "1"}
"""Of the helper. numpy asks for huge pages for large arrays: while the system gathers and clears those for 360 MB,
everybody waits. And it is forked, which is for processes of one thread."""


HELPER = Helper("models.working", SETTINGS)
"""Waits, with all that work needs imported, and splits off a process for each piece. To start a process takes half a
second of a core, and it only gives way once it runs; to split one off takes this process no time."""
atexit.register(HELPER.close)


class Aside(Generic[T]):
    """Results of some work, one after another as they are done. To be closed, which ends the work at its next result.

    Where a system has no memory to share (other than Linux), this process works.

    Args:
        work: can be pickled, as functions of modules can.
        given: its arguments. Arrays that lie in ``models.shared.Shared`` are not copied, and the work may put what it
            makes into such memory that it is given.

    Raises:
        AvatarError: the work's own, or that its process came to an end; from iterating.
    """

    def __init__(self, work: Callable[..., Iterator[T]], *given: object) -> None:
        self._is_closed = False
        if not IS_THERE:
            self._own = work(*given)
            return
        task, self._memory = pickled((work, given))
        self._socket, theirs = socket.socketpair()
        self._results = self._socket.makefile("rb")
        with theirs:
            HELPER.ask([theirs.fileno(), *self._memory])
        with suppress(OSError), self._socket.makefile("wb") as stream:  # it has ended, which is told later
            pickle.dump(list(self._memory), stream)
            pickle.dump(task, stream)

    def __iter__(self) -> Iterator[T]:
        if not IS_THERE:
            yield from self._own
            return
        with self._results:
            while not self._is_closed:
                try:
                    answer = unpickled(pickle.load(self._results), self._memory)  # noqa: S301 — our own process wrote it
                except (EOFError, pickle.UnpicklingError, ConnectionError):  # between two results, or within one
                    answer = None
                if isinstance(answer, Result):
                    yield cast(T, answer.value)
                elif isinstance(answer, AvatarError):
                    raise answer
                elif isinstance(answer, Done) or self._is_closed:
                    break
                else:
                    raise AvatarError("a process that worked aside came to an end before its work did")

    def close(self) -> None:
        """From any thread; who iterates goes on after the loop."""
        self._is_closed = True
        if IS_THERE:
            with suppress(OSError):  # the process has ended
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()


@dataclass(frozen=True, slots=True)
class Result:
    """One of them, as it is handed over."""

    value: object


@dataclass(frozen=True, slots=True)
class Done:
    """There are no more."""


def done_aside(work: Callable[..., T], *given: object) -> T:
    """What ``work(*given)`` returns, or raises if it is an ``AvatarError``; see ``Aside``."""
    aside: Aside[T] = Aside(_only, work, *given)
    with closing(aside) as results:
        return next(iter(results))


def _only(work: Callable[..., T], *given: object) -> Iterator[T]:
    yield work(*given)
