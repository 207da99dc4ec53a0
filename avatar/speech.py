"""Speech between its arrival and its being spoken: in bursts on one side, frame by frame on the other."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from avatar.audio import AudioChunk, Pcm, silence
from avatar.errors import BacklogFull
from avatar.timeline import FrameTick, Timeline


@dataclass(slots=True)
class Samples:
    """A queue of sound: appended in pieces, read from its front."""

    _parts: deque[Pcm] = field(default_factory=deque)
    _length: int = 0

    def __len__(self) -> int:
        return self._length

    def append(self, pcm: Pcm) -> None:
        if len(pcm):
            self._parts.append(pcm)
            self._length += len(pcm)

    def peek(self, start: int, stop: int) -> Pcm:
        """Samples ``start`` to ``stop`` from the front; zeros where there is no sound (yet)."""
        out, position = silence(stop - start), 0
        for part in self._parts:
            if position >= stop:
                break
            low, high = max(start, position), min(stop, position + len(part))
            if low < high:
                out[low - start : high - start] = part[low - position : high - position]
            position += len(part)
        return out

    def drop(self, n: int) -> None:
        """Forgets the first ``n`` samples."""
        self._length -= min(n, self._length)
        while n > 0 and self._parts:
            first = self._parts[0]
            if len(first) > n:
                self._parts[0] = first[n:]
                return
            n -= len(first)
            self._parts.popleft()


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech: from its first ``voice`` to ``voice_end``, an interruption, or a gap.

    Attributes:
        number: counted from 1 within a session.
        event_id: of the message that began it.
    """

    number: int
    event_id: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is heard in one frame.

    Attributes:
        sound: the frame's samples, int16 (tick.n_samples,).
        n_speech: how many of them are an utterance's.
        utterance: the utterance that is heard, if any.
        news: samples that the lip-sync may now hear, following those of the frame before; they reach as far as the
            look-ahead beyond the frame's middle. None where nobody speaks, or the utterance waits for sound.
        begins: whether this is the utterance's first frame.
        ends: whether it is its last.
        n_left: samples of the utterance that follow this frame, where it is complete.
    """

    sound: Pcm
    n_speech: int = 0
    utterance: Utterance | None = None
    news: Pcm | None = None
    begins: bool = False
    ends: bool = False
    n_left: int | None = None


@dataclass(slots=True)
class _Waiting:
    """An utterance in the queue: ``pending`` sound, of which the first ``n_heard`` samples went to the lip-sync."""

    utterance: Utterance
    pending: Samples = field(default_factory=Samples)
    n_heard: int = 0
    begun: bool = False
    complete: bool = False
    frames_since_end: int = 0


class Speech:
    """Speech that waits to be spoken, at most ``capacity`` samples of it: the oldest is kept, the newest refused.

    Args:
        timeline: of the session.
        look_ahead: samples after a frame's middle that the lip-sync must hear to draw it.
        capacity: samples that may wait.
        patience: frames to wait for more sound before an utterance counts as complete.
        reopening: frames after its end within which late sound still continues an utterance.
    """

    def __init__(
        self, timeline: Timeline, look_ahead: int, capacity: int, patience: int = 8, reopening: int = 12
    ) -> None:
        self.turn = 0
        self._timeline = timeline
        self._look_ahead = look_ahead
        self._capacity = capacity
        self._patience = patience
        self._reopening = reopening
        self._queue: deque[_Waiting] = deque()
        self._n_utterances = 0
        self._waited = 0

    @property
    def n_waiting(self) -> int:
        """Samples that have arrived and were not spoken yet."""
        return sum(len(waiting.pending) for waiting in self._queue)

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance is under way or waits."""
        return bool(self._queue)

    def hear(self, chunk: AudioChunk) -> None:
        """Takes in a piece of speech; a piece of an earlier turn is dropped.

        Raises:
            BacklogFull: the piece was refused, what waits stays.
        """
        if chunk.turn != self.turn or not len(chunk.pcm):
            return
        if self.n_waiting + len(chunk.pcm) > self._capacity:
            rate = self._timeline.sample_rate
            raise BacklogFull(
                f"{self.n_waiting / rate:.1f} s of speech are waiting and {len(chunk.pcm) / rate:.1f} s more came, "
                f"but a session holds {self._capacity / rate:.0f} s"
            )
        last = self._queue[-1] if self._queue else None
        if last is None or (last.complete and last.frames_since_end > self._reopening):
            self._n_utterances += 1
            last = _Waiting(Utterance(self._n_utterances, chunk.event_id))
            self._queue.append(last)
        last.complete = False
        last.pending.append(chunk.pcm)
        self._waited = 0

    def end(self) -> None:
        """Marks the newest utterance as complete."""
        if self._queue:
            self._queue[-1].complete = True
            self._queue[-1].frames_since_end = 0

    def interrupt(self) -> None:
        """Forgets all speech; what arrives from now on belongs to the next turn."""
        self.turn += 1
        self._queue.clear()
        self._waited = 0

    def speak(self, tick: FrameTick) -> Spoken:
        """The sound of one frame. Ticks must come in order."""
        for waiting in self._queue:
            waiting.frames_since_end += waiting.complete
        if not self._queue:
            return Spoken(silence(tick.n_samples))
        now, n = self._queue[0], tick.n_samples
        horizon = n // 2 + self._look_ahead
        # Speech that comes in real time begins half a frame later than it could, so that a late piece does not tear it.
        enough = max(n, horizon) + (0 if now.begun else n // 2)
        if len(now.pending) < enough and not now.complete:
            self._waited += 1
            if self._waited < self._patience:
                return Spoken(silence(n))
            now.complete = True
        self._waited = 0
        begins, now.begun = not now.begun, True
        sound, news = now.pending.peek(0, n), now.pending.peek(now.n_heard, horizon)
        n_speech = min(n, len(now.pending))
        now.pending.drop(n)
        now.n_heard = horizon - n
        ends = now.complete and not len(now.pending)
        if ends:
            self._queue.popleft()
        n_left = len(now.pending) if now.complete else None
        return Spoken(sound, n_speech, now.utterance, news, begins, ends, n_left)
