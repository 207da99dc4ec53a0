"""One avatar performing: feed it speech and wishes, step it frame by frame."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.audio import AudioChunk, Pcm, silence
from avatar.bundle import AvatarBundle
from avatar.cues import Block, Enter, Happening
from avatar.director import Director, DirectorState, Manner, Shot
from avatar.features import HOP_MS
from avatar.lipsync import LipSyncSpec
from avatar.listening import Listening
from avatar.reception import Reception
from avatar.schedule import News, Schedule
from avatar.score import Score
from avatar.speech import Speech, Spoken, Utterance
from avatar.timeline import FrameTick, Timeline

OPENING = 1 / 2
CLOSING = 1 / 3
"""Share of the way that a mouth opens or closes in one frame: two frames to open, three to close."""

MEMORY = 64
"""Steps that can be taken back; a session renders far fewer frames ahead."""


@dataclass(frozen=True, slots=True)
class MouthWish:
    """A mouth that is to be drawn: log-mel frames as `MouthJob` takes them, and how far it is open, 0 to 1."""

    features: NDArray[np.float32]
    openness: float

    @property
    def strength(self) -> float:
        """How much of the drawn mouth replaces the footage's: the last step of closing fades into the footage."""
        return min(1.0, 2 * self.openness)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one frame is made of, before any pixel is touched.

    Attributes:
        n_speech: samples of ``sound`` that are the utterance's.
        happenings: what became of gestures in this frame.
        mouth: None where the footage's own mouth is shown.
        coming: shots that will take work, and are likely to follow.
    """

    tick: FrameTick
    turn: int
    sound: Pcm
    shot: Shot
    mouth: MouthWish | None = None
    utterance: Utterance | None = None
    n_speech: int = 0
    begins: bool = False
    ends: bool = False
    happenings: tuple[Happening, ...] = ()
    coming: tuple[Shot, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    """What it takes to take a step back: how things stood before it, and what was new in it."""

    index: int
    director: DirectorState
    mouth: MouthWish | None
    score: Score
    news: tuple[News, ...]
    speaks: bool


def next_multiple(value: int, step: int) -> int:
    """The first multiple of ``step`` beyond ``value``."""
    return (value // step + 1) * step


class Performance:
    """Everything about a session that does not depend on time, tasks or pixels.

    Args:
        bundle: the avatar.
        timeline: the session's.
        spec: what the avatar's lip-sync network needs; None for an avatar whose mouth is not drawn.
        capacity_s: seconds of speech that may wait.
        manner: how the body is directed.
    """

    def __init__(
        self,
        bundle: AvatarBundle,
        timeline: Timeline,
        spec: LipSyncSpec | None,
        capacity_s: float = 600,
        manner: Manner = Manner(),
    ) -> None:
        rate, tuning = timeline.sample_rate, bundle.tuning
        wanted = (spec.look_ahead_ms - tuning.sync_offset_ms) * rate // 1000 if spec else 0
        # Speech must look to a frame's end, at least; what a mouth is to hear later than that is held back.
        look_ahead = max(wanted, next_multiple(timeline.tick(0).n_samples // 2, rate * HOP_MS // 1000))
        self._speech = Speech(timeline, look_ahead, int(capacity_s * rate))
        self._listening = Listening(spec, rate, tuning, look_ahead - wanted) if spec else None
        self._director = Director(bundle, manner if spec else manner.without_lips())
        self._mouth: MouthWish | None = None
        self.draws_mouth = True
        """Where it is not true, mouths close as at a pause, and open again once it is."""
        self._after_end = False
        self._schedule = Schedule(bundle)
        self._past: deque[_Step] = deque(maxlen=MEMORY)

    @property
    def turn(self) -> int:
        return self._speech.turn

    @property
    def n_waiting(self) -> int:
        """Samples of speech that have arrived and were not spoken yet."""
        return self._speech.n_waiting

    @property
    def score(self) -> Score:
        """The behaviours that go on, wait, or were over not long ago."""
        return self._schedule.score

    @property
    def busy(self) -> bool:
        """Whether somebody speaks or a mouth is still open."""
        return self.n_waiting > 0 or self._mouth is not None

    def hear(self, chunk: AudioChunk) -> None:
        """Takes in speech.

        Raises:
            BacklogFull: it was refused; what waits stays.
        """
        self._speech.hear(chunk)

    def end_speech(self) -> None:
        self._speech.end()

    def interrupt(self, next_index: int) -> None:
        """Stops speaking: frame ``next_index``, the first that was not shown yet, will be planned anew.

        What refers to speech is dropped, and a gesture that is seen ends at its next join; all else goes on.
        """
        speaks = self._speech.is_speaking
        self._speech.interrupt()
        self._after_end = False
        while self._past and self._past[-1].index >= next_index:
            speaks = self._take_back() or speaks
        if speaks:
            self._schedule.interrupt()

    def take_back_silence(self, next_index: int) -> int:
        """Forgets plans in which nobody speaks, from the latest back to that of frame ``next_index``: something came.

        Returns:
            How many: so many frames will be planned anew.
        """
        n = 0
        while self._past and self._past[-1].index >= next_index and not self._past[-1].speaks:
            self._take_back()
            n += 1
        return n

    def _take_back(self) -> bool:
        """Goes back to before the latest step; whether somebody spoke in it."""
        step = self._past.pop()
        self._director.state = step.director
        self._mouth = step.mouth
        self._schedule.take_back(step.score, step.news)
        return step.speaks

    def enter(self, state: str) -> None:
        """Asks for a state; it is entered at the next step.

        Raises:
            UnknownState: the avatar does not have it.
        """
        wish = Enter(state)
        self._director.check(wish)
        self._schedule.enter(wish)

    def perform(self, block: Block, next_index: int) -> Reception:
        """Asks for behaviours; the seconds that they name count from frame ``next_index``, the first not shown yet.

        Returns:
            What can not be done, and why.
        """
        return self._schedule.add(block, next_index)

    def step(self, tick: FrameTick) -> Plan:
        """Plans one frame. Ticks must come in order; after an interruption they go on from the one it named."""
        spoken, before = self._speech.speak(tick), self._director.state
        speaks = spoken.utterance is not None
        news = self._schedule.news
        self._past.append(_Step(tick.index, before, self._mouth, self._schedule.score, news, speaks))
        direction, dropped = self._schedule.direct(tick.index, spoken, self._director.frames_left)
        shot = self._director.step(speaks, direction)
        coming = () if direction.cue else self._director.crosses_next(before)
        happenings = (*dropped, *self._schedule.note(tick.index, self._director.state.cue))
        self._mouth = self._move_mouth(self._audible(spoken), spoken.begins)
        return Plan(
            tick,
            self.turn,
            spoken.sound,
            shot,
            self._mouth,
            spoken.utterance,
            spoken.n_speech,
            spoken.begins,
            spoken.ends,
            happenings,
            tuple(coming),
        )

    def _audible(self, spoken: Spoken) -> Pcm | None:
        """What the lip-sync hears: after an utterance silence, but nothing while one waits for its sound."""
        if spoken.news is None and self._after_end:
            return silence(len(spoken.sound))
        self._after_end = spoken.ends
        return spoken.news

    def _move_mouth(self, news: Pcm | None, begins: bool) -> MouthWish | None:
        listening, before = self._listening, self._mouth
        if listening is None:
            return None
        if begins:
            listening.begin()
        if news is not None:
            listening.hear(news)
        openness = before.openness if before else 0.0
        voiced = self.draws_mouth and news is not None and listening.voiced
        openness = min(1.0, openness + OPENING) if voiced else max(0.0, openness - CLOSING)
        if openness < CLOSING / 2:
            return None
        features = listening.features if news is not None or before is None else before.features
        return MouthWish(features, openness)
