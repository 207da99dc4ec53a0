"""The process that encodes recordings: each in a thread of its own, until the session or the server ends.

It gives way to those that keep time. What ends the server does not end it: every file is completed first.
"""

from __future__ import annotations

import pickle
import select
import signal
import socket
import sys
import threading
from contextlib import closing, suppress

from avatar.pictures import Picture
from models.parent import asked
from models.threads import ENCODING, give_way
from server.encoding import Mp4Writer
from server.publishers.held_frames import HeldFrames
from server.publishers.recorder import Film, Outcome

LOOK_EVERY_MS = 40
"""How often a recording looks for new frames."""


def record(connection: socket.socket, memory: int) -> None:
    """Writes what comes in the memory, and answers how it went."""
    with connection, connection.makefile("rb") as messages:
        try:
            film = pickle.load(messages)  # noqa: S301 — our own server wrote it
            with closing(HeldFrames(film.held, memory)) as frames:
                _write(film, frames, connection)
            outcome = Outcome()
        except Exception as error:  # whatever a disk or an encoder throws
            outcome = Outcome(f"{type(error).__name__}: {error}")
        with suppress(OSError):  # the server has ended
            connection.sendall(pickle.dumps(outcome))


def _write(film: Film, frames: HeldFrames, connection: socket.socket) -> None:
    end = select.poll()
    end.register(connection, select.POLLIN)
    picture: Picture | None = None
    with Mp4Writer(film.path, film.size, film.timeline, crf=film.crf) as writer:
        has_ended = False
        while not has_ended:
            has_ended = bool(end.poll(LOOK_EVERY_MS))
            while frame := frames.next():
                newer, tick, sound = frame
                picture = picture if newer is None else newer
                assert picture is not None  # noqa: S101 — there is a place for the first
                writer.write(picture, tick, sound)
                frames.done()


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # are the server's business, also where all its processes get them
        signal.signal(number, signal.SIG_IGN)
    give_way(ENCODING)
    for connection, memory in asked(int(sys.argv[1])):
        recording = (socket.socket(fileno=connection), memory)
        threading.Thread(target=record, args=recording, name="recording").start()


if __name__ == "__main__":
    main()
