"""The child process: takes frames from shared memory and hands them to the Agora SDK, until it is told to leave.

Started by ``process.py`` with three inherited file descriptors: the control socket, the ring, and the bell that both
the session and this process's own threads ring. It ends when the control socket does, or when its parent dies.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from server.publishers.agora import messages
from server.publishers.agora.messages import Failed, IntraRequested, Join, Leave, Progress, RenewToken, Report, Trouble
from server.publishers.agora.ring import Held, RingError, RingReader
from server.publishers.agora.sound_blocks import SdkQueue, SoundBlocks

if TYPE_CHECKING:
    from server.publishers.agora.channel import Channel

LEAVE_S = 4.0
"""Seconds that leaving may take; then the process ends without the SDK's help."""

LINGER_NS = 150_000_000
"""How long leaving may wait for the SDK to take what it was not given yet."""

CATCH_UP_NS = 100_000_000
"""Where frames lie longer than this, silent ones are left out, until the channel is with the session again."""

PROGRESS_NS = 1_000_000_000
PR_SET_PDEATHSIG = 1


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
                _end_in(LEAVE_S)
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


class Broadcast:
    """What goes from the ring into the channel."""

    def __init__(self, join: Join, channel: Channel, ring: RingReader, control: Control) -> None:
        self._join = join
        self._channel = channel
        self._ring = ring
        self._control = control
        self._blocks = SoundBlocks(join.ring.sample_rate)
        self._queue = SdkQueue()
        self._errors: set[str] = set()
        self._n_pushed = self._n_skipped = self._n_flushed = self._n_key_frames = 0
        self._told_ns = 0

    def push(self) -> int:
        """Hands over whatever is due; returns when there is more to do, on the monotonic clock in ns."""
        while True:
            now_ns, room_at_ns = time.monotonic_ns(), self._queue.room_at_ns()
            if self._blocks:
                if now_ns < room_at_ns:
                    return room_at_ns
                self._queue.add(now_ns)
                self._check("sound", self._channel.push_sound(self._blocks.first()))
                self._blocks.pop()
                continue
            frame = self._ring.next()
            if frame is None:
                self._tell(now_ns)
                return now_ns + PROGRESS_NS
            if now_ns - frame.written_ns > CATCH_UP_NS and not any(frame.sound):
                self._n_skipped += 1
                self._ring.done()
                continue
            if now_ns < room_at_ns:  # the picture waits for its sound
                return room_at_ns
            self._push_frame(frame)
            self._ring.done()

    def finish(self) -> None:
        """Hands over what is there already, so that no last syllable is cut."""
        end_ns = time.monotonic_ns() + LINGER_NS
        while True:
            due_ns = self.push()
            if due_ns > end_ns:
                return
            time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)

    def want_whole(self) -> None:
        """Somebody needs a whole picture; where the SDK encodes, it makes one itself."""

    def _push_frame(self, frame: Held) -> None:
        self._check("picture", self._channel.push_picture(frame.first_sample, frame.picture))
        self._blocks.add(frame.first_sample, frame.sound)
        self._n_pushed += 1

    def _check(self, what: str, answer: int) -> None:
        """Tells of the first of each error: there may be one a frame."""
        if answer and what not in self._errors:
            self._errors.add(what)
            self._control.send(Trouble("PUSH_REFUSED", f"the Agora SDK refused a {what} (error {answer})"))

    def _tell(self, now_ns: int) -> None:
        if now_ns - self._told_ns < PROGRESS_NS:
            return
        self._told_ns = now_ns
        flushed, self._n_flushed = self._ring.n_flushed - self._n_flushed, self._ring.n_flushed
        self._control.send(Progress(self._n_pushed, flushed, self._n_skipped, self._n_key_frames))
        self._n_pushed = self._n_skipped = self._n_key_frames = 0


def run(control: Control, bell: Bell, ring_fd: int) -> int:
    """Joins, publishes and leaves; returns the exit status."""
    join = control.first()
    try:
        ring = RingReader(ring_fd, join.ring)
        from server.publishers.agora.channel import Channel, JoinRefused
    except (ImportError, OSError, AttributeError, RingError, SystemExit) as error:
        # The SDK's import ends in SystemExit where its library does not load.
        control.send(Failed("AGORA_SDK_UNUSABLE", f"the Agora SDK cannot be loaded: {error}", final=True))
        return 1
    channel = Channel(join, control.notify)
    try:
        channel.connect()
        return _broadcast(control, bell, channel, Broadcast(join, channel, ring, control))
    except JoinRefused as error:
        control.send(error.report)
        return 1
    except RingError as error:
        control.send(Failed("AGORA_PUBLISHER_FAILED", str(error)))
        return 1
    finally:
        _end_in(LEAVE_S)
        channel.leave()


def _broadcast(control: Control, bell: Bell, channel: Channel, broadcast: Broadcast) -> int:
    connected, wake_ns = False, 0
    while True:
        bell.wait(wake_ns - time.monotonic_ns())
        wake_ns = time.monotonic_ns() + PROGRESS_NS
        for message in _waiting(control.inbox):
            match message:
                case Leave():
                    if connected:
                        broadcast.finish()
                    return 0
                case RenewToken(token):
                    channel.renew_token(token)
                case Join():
                    raise messages.MessageError("Join came twice")
                case Failed():
                    control.send(message)
                    return 1
                case messages.Connected():
                    channel.publish()
                    connected = True
                    control.send(message)
                case IntraRequested():
                    broadcast.want_whole()
                    control.send(message)
                case _:
                    control.send(message)
        if connected:
            wake_ns = broadcast.push()


def _waiting(inbox: SimpleQueue[messages.Order | Report]) -> list[messages.Order | Report]:
    waiting: list[messages.Order | Report] = []
    try:
        while True:
            waiting.append(inbox.get_nowait())
    except Empty:
        return waiting


def _end_in(seconds: float) -> None:
    """Ends the process after a while, whatever holds it."""

    def end() -> None:
        time.sleep(seconds)
        os._exit(1)

    threading.Thread(target=end, name="end", daemon=True).start()


def _die_with_parent(control: Control, bell: Bell) -> None:
    """SIGTERM, which the kernel sends when the parent dies, leaves the channel in order."""

    def leave(number: int, frame: object) -> None:
        control.inbox.put(Leave())
        bell.ring()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    control_fd, ring_fd, bell_fd = map(int, sys.argv[1:])
    bell = Bell(bell_fd)
    control = Control(control_fd, bell)
    _die_with_parent(control, bell)
    status = run(control, bell, ring_fd)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads and destructors of a foreign library have nothing to say any more: some hang.
    os._exit(status)


if __name__ == "__main__":
    main()
