"""The process that encodes recordings, as the server sees it: one for all of its sessions."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from avatar.geometry import Size
from avatar.timeline import Timeline
from models.parent import Helper
from server.publishers.held_frames import HeldShape

CLOSE_S = 6.0
"""Seconds that the process has to complete what sessions did not wait for; then it is killed."""


@dataclass(frozen=True, slots=True)
class Film:
    """What is to be recorded; see ``Mp4Writer``.

    Attributes:
        held: of the memory in which its frames come.
    """

    path: Path
    size: Size
    timeline: Timeline
    crf: int
    held: HeldShape


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went: the file is complete, or why not."""

    failure: str | None = None


class Recorder:
    """A process whose threads encode and write. Leaving ends it, once everything it has is written.

    Encoders take and leave the interpreter's lock a thousand times a second, and hold it where they have no core to go
    on. In the process of an event loop they make its frames late.

    It is started when it is first needed, or before, by ``start``; one that came to an end is replaced.
    """

    def __init__(self) -> None:
        self._helper = Helper("server.publishers.recorder_child", {"OPENBLAS_NUM_THREADS": "1"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._helper.close(CLOSE_S)

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._helper.pid

    def start(self) -> None:
        """Returns before the process can work; what it gets waits for it."""
        self._helper.start()

    def record(self, connection: socket.socket, memory: int) -> None:
        """Has the process record what comes in some memory, until the connection's other end is closed.

        Args:
            connection: the process's end of it. It is told the ``Film`` there, pickled, and answers with one
                ``Outcome``: in the end, or earlier where it fails.
            memory: descriptor of ``HeldFrames``.
        """
        self._helper.ask([connection.fileno(), memory])
