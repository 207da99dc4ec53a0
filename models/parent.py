"""Child processes of ours, as both sides see them: what they are given, how they are asked, and when they end."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

OURS = "AVATAR_"
"""Variables that begin so are ours, keys among them; children get what they need of them in another way."""

MOST_DESCRIPTORS = 64
"""That a child is asked with at once: a connection, and the memory of one or two avatars."""


def environment() -> Mapping[str, str]:
    """A child's: it finds the same modules as we do, and none of our secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}


class Child:
    """A process that waits for file descriptors, and works with whoever is at the other end of them.

    It gets its end of the socket, at which ``asked`` listens, as its argument.

    Args:
        module: of ours, to be run.
        settings: variables of its environment, beside the usual.
    """

    def __init__(self, module: str, settings: Mapping[str, str] | None = None) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 — our own interpreter
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**environment(), **(settings or {})},
                # Ctrl-C is meant for this process. In a session of its own the child would have half of the cores:
                # Linux shares them among sessions first, and niceness counts within one (sched(7), "autogroup").
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, descriptors: Sequence[int]) -> None:
        """Hands copies of them over.

        Raises:
            OSError: the child has ended.
        """
        socket.send_fds(self._socket, [b"?"], descriptors)

    def close(self, within_s: float = 0.0) -> None:
        """Tells the child that nobody will ask any more; kills it where it does not end in time."""
        self._socket.close()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Helper:
    """A ``Child`` that is there whenever it is asked: started when it is first needed, replaced where it has ended.

    Args:
        module: see ``Child``; so is ``settings``.
    """

    def __init__(self, module: str, settings: Mapping[str, str] | None = None) -> None:
        self._module, self._settings = module, settings
        self._child: Child | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Returns before the process can work; what it is asked waits for it."""
        with self._lock:
            self._started()

    def ask(self, descriptors: Sequence[int]) -> None:
        """See ``Child.ask``. From any thread."""
        with self._lock:
            with suppress(OSError):  # it has ended
                return self._started().ask(descriptors)
            self._close(0.0)
            return self._started().ask(descriptors)

    def close(self, within_s: float = 0.0) -> None:
        """See ``Child.close``."""
        with self._lock:
            self._close(within_s)

    def _started(self) -> Child:
        if self._child is None:
            self._child = Child(self._module, self._settings)
        return self._child

    def _close(self, within_s: float) -> None:
        if self._child:
            self._child.close(within_s)
            self._child = None


def asked(descriptor: int) -> Iterator[list[int]]:
    """What the child is asked with, each time; until its parent has ended or closed it."""
    with socket.socket(fileno=descriptor) as requests:
        while True:
            message, descriptors, _, _ = socket.recv_fds(requests, 1, MOST_DESCRIPTORS)
            if not message:
                return
            yield descriptors


PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """The kernel sends this process SIGTERM when its parent, strictly the thread that started it, dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
