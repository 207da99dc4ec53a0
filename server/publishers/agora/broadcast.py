"""What goes from the ring into the channel, paced by the sound that the SDK has room for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from server.publishers.agora.control import Control
from server.publishers.agora.messages import Join, Progress, Trouble
from server.publishers.agora.ring import Held, RingReader
from server.publishers.agora.sound_blocks import SdkQueue, SoundBlocks

if TYPE_CHECKING:
    from server.publishers.agora.channel import Channel
    from server.publishers.agora.encoder import PictureEncoder

LINGER_NS = 500_000_000
"""How long leaving may wait for the SDK to take what it was not given yet."""

CATCH_UP_NS = 40_000_000
"""Of frames that lie longer than this, silence is left out, so that the channel is with the session again."""

PROGRESS_NS = 1_000_000_000
"""Between two reports of progress; also the longest wait where nothing is due."""


class Broadcast:
    """What goes from the ring into the channel."""

    def __init__(
        self, join: Join, channel: Channel, ring: RingReader, control: Control, encoder: PictureEncoder | None
    ) -> None:
        self._join = join
        self._channel = channel
        self._ring = ring
        self._control = control
        self._encoder = encoder
        self._wants_whole = True
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
            skipped = now_ns - frame.written_ns > CATCH_UP_NS and not any(frame.sound)
            if now_ns < room_at_ns and not skipped:  # the picture waits for its sound
                return room_at_ns
            self._push_picture(frame)
            if skipped:
                self._n_skipped += 1
            else:
                self._blocks.add(frame.first_sample, frame.sound)
            self._n_pushed += 1
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
        self._wants_whole = True

    def aim(self, bit_s: int) -> None:
        """What the network allows for pictures; where the SDK encodes, it knows itself."""
        if self._encoder and bit_s > 0:
            self._encoder.aim(bit_s, time.monotonic_ns() // 1_000_000)

    def _push_picture(self, frame: Held) -> None:
        if self._encoder:
            self._push_encoded(self._encoder, frame)
        else:
            self._check("picture", self._channel.push_picture(frame.first_sample, frame.picture))

    def _push_encoded(self, encoder: PictureEncoder, frame: Held) -> None:
        ms = frame.first_sample * 1000 // self._join.ring.sample_rate
        for encoded in encoder.encode(frame.picture, ms, whole=self._wants_whole):
            self._n_key_frames += encoded.whole
            self._wants_whole &= not encoded.whole
            self._check(
                "picture", self._channel.push_encoded(frame.first_sample, encoded.data, key_frame=encoded.whole)
            )

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
