"""The child process: takes frames from shared memory and hands them to the Agora SDK, until it is told to leave.

Started by ``process.py`` with three inherited file descriptors: the control socket, the ring, and the bell that both
the session and this process's own threads ring. It ends when the control socket does, or when its parent dies.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from fractions import Fraction
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import msgspec

from models.parent import end_with_parent
from server.publishers.agora import messages
from server.publishers.agora.broadcast import PROGRESS_NS, Broadcast
from server.publishers.agora.control import LEAVE_S, Bell, Control, end_in
from server.publishers.agora.messages import (
    Failed,
    IntraRequested,
    Join,
    Leave,
    RenewToken,
    Report,
    Trouble,
    VideoStats,
)
from server.publishers.agora.ring import RingError, RingReader

if TYPE_CHECKING:
    from server.publishers.agora.channel import Channel
    from server.publishers.agora.encoder import PictureEncoder


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
    encoder = _encoder(join, control) if join.encoded else None
    if join.encoded and encoder is None:
        join = msgspec.structs.replace(join, encoded=False)
    channel = Channel(join, control.notify)
    try:
        channel.connect()
        return _broadcast(control, bell, channel, Broadcast(join, channel, ring, control, encoder))
    except JoinRefused as error:
        control.send(error.report)
        return 1
    except RingError as error:
        control.send(Failed("AGORA_PUBLISHER_FAILED", str(error)))
        return 1
    finally:
        end_in(LEAVE_S)
        channel.leave()


def _encoder(join: Join, control: Control) -> PictureEncoder | None:
    """Our own encoder; None, and the client is told, where there is none for the codec: then the SDK encodes."""
    from server.publishers.agora.encoder import NoEncoder, PictureEncoder

    try:
        fps = Fraction(*join.fps)
        return PictureEncoder(join.codec, join.ring.width, join.ring.height, fps, 1000 * join.kbit_s)
    except NoEncoder as error:
        control.send(Trouble("ENCODER_MISSING", f"{error}; the Agora SDK encodes"))
        return None


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
                case messages.SoundModeAdvised(scenario):
                    channel.change_sound_mode(scenario)
                case IntraRequested():
                    broadcast.want_whole()
                    control.send(message)
                case VideoStats():
                    broadcast.aim(message.target_bit_s)
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


def _die_with_parent(control: Control, bell: Bell) -> None:
    """SIGTERM, which the kernel sends when the parent dies, leaves the channel in order."""

    def leave(number: int, frame: object) -> None:
        control.inbox.put(Leave())
        bell.ring()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    end_with_parent()


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
