"""Which frame of which clip is shown: states, gestures, and the crossings between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from avatar.bundle import AvatarBundle
from avatar.cues import Enter, Perform, Wish
from avatar.errors import UnknownState
from avatar.loops import Position, gesture_frame, loop_frame

WAIT_COST = 0.04
"""Join cost that one frame of waiting is worth: a join may be 1 (an ordinary step) worse to come 25 frames sooner."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A clip that is being faded out: the frame of it, and the share of the picture that is already the new clip's."""

    clip: str
    frame: int
    weight: float


@dataclass(frozen=True, slots=True)
class Shot:
    """What the camera sees in one frame, before the mouth is drawn.

    Attributes:
        gesture: the gesture that is playing, if any.
        leaving: set during the frames in which one clip crosses into the next.
    """

    clip: str
    frame: int
    state: str
    gesture: str | None = None
    leaving: Leaving | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """How a director works.

    Attributes:
        after_speech: state that follows speech.
        hold: frames of quiet after which speech counts as over.
        crossing: frames in which two clips are blended.
        patience: frames within which a join must be found.
    """

    after_speech: str = "idle"
    hold: int = 12
    crossing: int = 3
    patience: int = 30


@dataclass(frozen=True, slots=True)
class DirectorState:
    """Everything a director remembers; immutable, so that a session can go back to an earlier one."""

    state: str
    at: Position
    gesture: str | None = None
    queue: tuple[Perform, ...] = ()
    wait: tuple[str, int, int] | None = None
    """The join that was chosen: clip to go to, frames until then, frame of entry."""
    left: Position | None = None
    crossed: int = 0
    quiet: int = 0
    speaking: bool = False


class Director:
    """Steps through the clips of one avatar.

    ``state`` may be read and put back at any time: a step depends on nothing else.
    """

    def __init__(self, bundle: AvatarBundle, manner: Manner = Manner()) -> None:
        self._bundle = bundle
        self._manner = manner
        self.state = DirectorState("idle", Position(bundle.loops["idle"], -1))

    def step(self, speaking: bool, wishes: Sequence[Wish] = ()) -> Shot:
        """The next frame's shot.

        Args:
            speaking: whether an utterance is heard in this frame.
            wishes: what was asked for since the last step.

        Raises:
            UnknownState: for a state or gesture that the avatar does not have.
        """
        now = self._listen(self.state, speaking)
        for wish in wishes:
            self.check(wish)
            now = self._grant(now, wish)
        now = self._move(now)
        self.state = now
        return self._shot(now)

    def check(self, wish: Wish) -> None:
        """Says whether a wish can be granted.

        Raises:
            UnknownState: for a state or gesture that the avatar does not have.
        """
        match wish:
            case Enter(name):
                kind, known = "state", self._bundle.loops
            case Perform(name, _):
                kind, known = "gesture", self._bundle.gestures
        if name not in known:
            raise UnknownState(f"avatar '{self._bundle.id}' has no {kind} '{name}', only {', '.join(known) or 'none'}")

    def _listen(self, now: DirectorState, speaking: bool) -> DirectorState:
        if speaking:
            return replace(now, state=now.state if now.speaking else "talk", speaking=True, quiet=0)
        if not now.speaking:
            return now
        if now.quiet + 1 < self._manner.hold:
            return replace(now, quiet=now.quiet + 1)
        state = self._manner.after_speech if now.state == "talk" else now.state
        return replace(now, state=state, speaking=False, quiet=0)

    def _grant(self, now: DirectorState, wish: Wish) -> DirectorState:
        match wish:
            case Enter(state):
                return replace(now, state=state)
            case Perform(_, composition):
                if composition == "REPLACE":
                    return replace(now, gesture=None, queue=(wish,), wait=None)
                return replace(now, queue=(*now.queue, wish))

    def _move(self, now: DirectorState) -> DirectorState:
        """Goes one frame on, or crosses into another clip where one is wanted and the join has come."""
        clips = self._bundle.clips
        if now.left is not None:
            crossed = now.crossed + 1
            done = crossed > self._manner.crossing
            now = replace(now, left=None if done else now.left.next(), crossed=0 if done else crossed)
        if now.left is not None:
            return replace(now, at=now.at.next())
        playing = now.gesture is not None
        if playing and now.at.step < len(clips[now.at.clip]) - 1:
            return replace(now, at=now.at.next())
        wanted = self._bundle.gestures[now.queue[0].gesture] if now.queue else self._bundle.loops[now.state]
        if wanted == now.at.clip and not playing and not now.queue:
            return replace(now, at=now.at.next(), wait=None)
        wait = now.wait
        if wait is None or wait[0] != wanted:
            wait = self._choose_join(now, wanted, patience=0 if playing else self._manner.patience)
        clip, frames, entry = wait
        if frames > 0:
            return replace(now, at=now.at.next(), wait=(clip, frames - 1, entry))
        gesture, queue = (now.queue[0].gesture, now.queue[1:]) if now.queue else (None, ())
        at = Position(clip, entry)
        return replace(now, at=at, gesture=gesture, queue=queue, wait=None, left=now.at.next(), crossed=1)

    def _choose_join(self, now: DirectorState, wanted: str, patience: int) -> tuple[str, int, int]:
        """The cheapest frame to leave at within ``patience`` frames, where waiting costs a little too."""
        clip = self._bundle.clips[now.at.clip]
        join = clip.joins.get(wanted)
        if join is None:
            return wanted, 0, 0
        frames = [self._frame(Position(now.at.clip, now.at.step + ahead)) for ahead in range(patience + 1)]
        best = min(range(patience + 1), key=lambda ahead: float(join.cost[frames[ahead]]) + WAIT_COST * ahead)
        return wanted, best, int(join.entry[frames[best]])

    def _frame(self, at: Position) -> int:
        clip, step = self._bundle.clips[at.clip], max(at.step, 0)
        return loop_frame(clip, step) if at.clip in self._bundle.loops.values() else gesture_frame(clip, step)

    def _shot(self, now: DirectorState) -> Shot:
        leaving = None
        if now.left is not None:
            weight = 0.5 - 0.5 * math.cos(math.pi * now.crossed / (self._manner.crossing + 1))
            leaving = Leaving(now.left.clip, self._frame(now.left), weight)
        return Shot(now.at.clip, self._frame(now.at), now.state, now.gesture, leaving)
