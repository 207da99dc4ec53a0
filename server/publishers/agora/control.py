"""The child's end of what connects it with its session: orders in, reports out, and a bell that wakes it."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from queue import SimpleQueue

from server.publishers.agora import messages
from server.publishers.agora.messages import Join, Leave, Report

LEAVE_S = 4.0
"""Seconds that leaving may take; then the process ends without the SDK's help."""


class Bell:
    """Wakes the main loop, from any thread or process."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def ring(self) -> None:
        os.eventfd_write(self._fd, 1)

    def wait(self, timeout_ns: int) -> None:
        """Until it rings, or until the time is over."""
        if self._poll.poll(max(0, timeout_ns) / 1e6):
            try:
                os.eventfd_read(self._fd)
            except BlockingIOError:
                pass


class Control:
    """This end of the control socket. A thread of its own reads, so that a hanging SDK cannot keep the process alive.

    Attributes:
        inbox: orders of the parent, and reports of the SDK's threads on their way to it.
    """

    def __init__(self, fd: int, bell: Bell) -> None:
        self._socket = socket.socket(fileno=fd)
        self._bell = bell
        self.inbox: SimpleQueue[messages.Order | Report] = SimpleQueue()

    def first(self) -> Join:
        first = self._receive()
        if not isinstance(first, Join):
            raise messages.MessageError("the first order must be Join")
        threading.Thread(target=self._listen, name="control", daemon=True).start()
        return first

    def notify(self, report: Report) -> None:
        self.inbox.put(report)
        self._bell.ring()

    def send(self, report: Report) -> None:
        try:
            self._socket.sendall(messages.packed(report))
        except OSError:  # the parent is gone, which the reading thread sees, too
            pass

    def _listen(self) -> None:
        while True:
            order = self._receive()
            self.inbox.put(order)
            self._bell.ring()
            if isinstance(order, Leave):
                end_in(LEAVE_S)
                return

    def _receive(self) -> messages.Order:
        """The next order; ``Leave`` when the parent is gone."""
        head = self._exactly(messages.LENGTH.size)
        body = self._exactly(messages.length_of(head)) if head else b""
        return messages.order(body) if body else Leave()

    def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            try:
                part = self._socket.recv(n - len(data))
            except OSError:
                part = b""
            if not part:
                return b""
            data += part
        return data


def end_in(seconds: float) -> None:
    """Ends the process after a while, whatever holds it."""

    def end() -> None:
        time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=end, name="end", daemon=True).start()
