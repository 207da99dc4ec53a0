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
        shortest_crossing: frames in which clips cross that look alike where they are joined.
        longest_crossing: frames in which clips cross that do not: a frame for each ordinary step that they are apart.
        patience: frames within which a state's clip must be joined.
        eagerness: frames within which a gesture must be joined.
        haste: frames within which a gesture must be joined that replaces what goes on.
    """

    after_speech: str = "idle"
    hold: int = 12
    shortest_crossing: int = 3
    longest_crossing: int = 12
    patience: int = 30
    eagerness: int = 15
    haste: int = 5

    def without_lips(self) -> Manner:
        """For an avatar whose footage alone shows who speaks: sooner into the talk loop, and sooner out of it."""
        return replace(self, hold=min(self.hold, 6), patience=min(self.patience, 8))


@dataclass(frozen=True, slots=True)
class Departure:
    """The join that was chosen: to which clip, in how many frames, at which step of it, and how long both cross."""

    clip: str
    wait: int
    entry: int
    crossing: int


@dataclass(frozen=True, slots=True)
class DirectorState:
    """Everything a director remembers; immutable, so that a session can go back to an earlier one."""

    state: str
    at: Position
    gesture: str | None = None
    queue: tuple[Perform, ...] = ()
    departure: Departure | None = None
    left: Position | None = None
    crossed: int = 0
    crossing: int = 0
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
                    return replace(now, gesture=None, queue=(wish,), departure=None)
                return replace(now, queue=(*now.queue, wish))

    def _move(self, now: DirectorState) -> DirectorState:
        """Goes one frame on, or crosses into another clip where one is wanted and the join has come."""
        if now.left is not None:
            crossed = now.crossed + 1
            done = crossed > now.crossing
            now = replace(now, left=None if done else now.left.next(), crossed=0 if done else crossed)
        if now.left is not None:
            return replace(now, at=now.at.next())
        wanted = self._bundle.gestures[now.queue[0].gesture] if now.queue else self._bundle.loops[now.state]
        if now.gesture is None and wanted == now.at.clip and not now.queue:
            return replace(now, at=now.at.next(), departure=None)
        departure = now.departure
        if departure is None or departure.clip != wanted:
            departure = self._end_of_gesture(now, wanted) if now.gesture else self._choose_join(now, wanted)
        if departure.wait > 0:
            return replace(now, at=now.at.next(), departure=replace(departure, wait=departure.wait - 1))
        gesture, queue = (now.queue[0].gesture, now.queue[1:]) if now.queue else (None, ())
        return replace(
            now,
            at=Position(wanted, departure.entry),
            gesture=gesture,
            queue=queue,
            departure=None,
            left=now.at.next(),
            crossed=1,
            crossing=departure.crossing,
        )

    def _choose_join(self, now: DirectorState, wanted: str) -> Departure:
        """The cheapest step to leave at within a time, where waiting costs a little too."""
        patience = self._manner.patience
        if now.queue:
            patience = self._manner.haste if now.queue[0].composition == "REPLACE" else self._manner.eagerness
        costs = [self._cost(now.at, wanted, wait) + WAIT_COST * wait for wait in range(patience + 1)]
        return self._departure(now.at, wanted, costs.index(min(costs)))

    def _end_of_gesture(self, now: DirectorState, wanted: str) -> Departure:
        """A gesture is left so that the crossing ends when it does, but two thirds of it are seen alone."""
        n_frames = len(self._bundle.clips[now.at.clip])
        n_left = max(0, n_frames - 1 - now.at.step)
        for wait in range(max(0, n_left - min(self._manner.longest_crossing, n_frames // 3)), n_left):
            departure = self._departure(now.at, wanted, wait)
            if departure.crossing >= n_left - wait:
                return departure
        return self._departure(now.at, wanted, n_left)

    def _departure(self, at: Position, wanted: str, wait: int) -> Departure:
        join = self._bundle.clips[at.clip].joins.get(wanted)
        entry = int(join.entry[self._step(at, wait)]) if join else 0
        crossing = max(self._manner.shortest_crossing, math.ceil(self._cost(at, wanted, wait)))
        return Departure(wanted, wait, entry, min(crossing, self._manner.longest_crossing))

    def _cost(self, at: Position, wanted: str, wait: int) -> float:
        join = self._bundle.clips[at.clip].joins.get(wanted)
        return float(join.cost[self._step(at, wait)]) if join else float(self._manner.longest_crossing)

    def _step(self, at: Position, wait: int = 0) -> int:
        """The step of its clip's cycle that a position will have come to in ``wait`` frames."""
        clip, step = self._bundle.clips[at.clip], max(at.step + wait, 0)
        return step % clip.cycle if at.clip in self._bundle.loops.values() else gesture_frame(clip, step)

    def _frame(self, at: Position) -> int:
        return loop_frame(self._bundle.clips[at.clip], self._step(at))

    def _shot(self, now: DirectorState) -> Shot:
        leaving = None
        if now.left is not None:
            weight = 0.5 - 0.5 * math.cos(math.pi * now.crossed / (now.crossing + 1))
            leaving = Leaving(now.left.clip, self._frame(now.left), weight)
        return Shot(now.at.clip, self._frame(now.at), now.state, now.gesture, leaving)
