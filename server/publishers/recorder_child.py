"""The process that encodes recordings: each in a thread of its own, until the session or the server ends.

It gives way to those that keep time. What ends the server does not end it: every file is completed first.
"""

from __future__ import annotations

import pickle
import signal
import socket
import sys
import threading
from contextlib import closing, suppress
from typing import BinaryIO

from models.parent import asked
from models.threads import ENCODING, give_way
from server.encoding import Mp4Writer
from server.publishers.held_pictures import HeldPictures
from server.publishers.recorder import Film, FilmFrame, Outcome


def record(connection: socket.socket, memory: int) -> None:
    """Writes what comes over the connection, and answers how it went."""
    with connection, connection.makefile("rb") as messages:
        try:
            film = pickle.load(messages)  # noqa: S301 — our own server wrote it
            with closing(HeldPictures(film.size, film.n_held, memory)) as pictures:
                _write(film, messages, pictures)
            outcome = Outcome()
        except Exception as error:  # whatever a disk or an encoder throws
            outcome = Outcome(f"{type(error).__name__}: {error}")
        with suppress(OSError):  # the server has ended
            connection.sendall(pickle.dumps(outcome))
            connection.shutdown(socket.SHUT_WR)
            while messages.read(2**16):  # what is closed unread would take the answer with it
                pass


def _write(film: Film, messages: BinaryIO, pictures: HeldPictures) -> None:
    with Mp4Writer(film.path, film.size, film.timeline, crf=film.crf) as writer:
        place = 0
        while frame := _next(messages):
            place = place if frame.place is None else frame.place
            writer.write(pictures.at(place), frame.tick, frame.sound)
            pictures.done()


def _next(messages: BinaryIO) -> FilmFrame | None:
    """None once there are no more, also where the server ended in the middle of one."""
    try:
        frame = pickle.load(messages)  # noqa: S301 — our own server wrote it
    except (EOFError, pickle.UnpicklingError, ConnectionError):
        return None
    assert isinstance(frame, FilmFrame)  # noqa: S101 — our own server wrote it
    return frame


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # are the server's business, also where all its processes get them
        signal.signal(number, signal.SIG_IGN)
    give_way(ENCODING)
    for connection, memory in asked(int(sys.argv[1])):
        recording = (socket.socket(fileno=connection), memory)
        threading.Thread(target=record, args=recording, name="recording").start()


if __name__ == "__main__":
    main()
