"""Which frame of which clip is shown: states, gestures, and the crossings between them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from avatar.bundle import AvatarBundle
from avatar.cues import Cue, Direction, Enter
from avatar.errors import UnknownState
from avatar.loops import Position, gesture_frame, loop_frame

WAIT_COST = 0.04
"""Join cost that one frame of waiting is worth: a join may be 1 (an ordinary step) worse to come 25 frames sooner."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A clip that is being faded out: the frame of it, and the share of the picture that is already the new clip's.

    Attributes:
        leaving: what it was fading in from itself, where it had to go before that was over.
    """

    clip: str
    frame: int
    weight: float
    leaving: Leaving | None = None


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
        haste: frames within which what plays is left, where a gesture replaces it or it has to end.
    """

    after_speech: str = "idle"
    hold: int = 12
    shortest_crossing: int = 3
    longest_crossing: int = 15
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
class Fading:
    """A clip that was left: where it has come to, and the frames that have crossed, of how many.

    Attributes:
        before: what was fading when it was left.
    """

    at: Position
    crossed: int
    crossing: int
    before: Fading | None = None

    def next(self) -> Fading | None:
        """A frame later; None when it has gone, and all before it with it."""
        if self.crossed == self.crossing:
            return None
        return Fading(self.at.next(), self.crossed + 1, self.crossing, self.before and self.before.next())

    @property
    def weight(self) -> float:
        """The share of the picture that is already the new clip's."""
        return 0.5 - 0.5 * math.cos(math.pi * self.crossed / (self.crossing + 1))


@dataclass(frozen=True, slots=True)
class DirectorState:
    """Everything a director remembers; immutable, so that a session can go back to an earlier one."""

    state: str
    at: Position
    cue: Cue | None = None
    """Whose gesture is playing."""
    departure: Departure | None = None
    left: Fading | None = None
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

    def step(self, speaking: bool, direction: Direction = Direction()) -> Shot:
        """The next frame's shot.

        Args:
            speaking: whether an utterance is heard in this frame.
            direction: what is wanted in it; a cue is named in every step until it is followed (``state.cue``).

        Raises:
            UnknownState: for a state or gesture that the avatar does not have.
        """
        now = self._listen(self.state, speaking)
        for state in direction.states:
            self.check(state)
            now = replace(now, state=state.state)
        if direction.cue and direction.cue.gesture not in self._bundle.gestures:
            raise UnknownState(self._unknown("gesture", direction.cue.gesture, self._bundle.gestures))
        now = self._move(now, direction.cue, direction.leave)
        self.state = now
        return self._shot(now)

    def crosses_next(self, before: DirectorState) -> Sequence[Shot]:
        """The shots of the crossing to come, where it has been decided on since ``before``; right unless plans change.

        They take work to make, for which there is more time now than when each is planned.
        """
        now, shots = self.state, list[Shot]()
        known = before.departure and replace(before.departure, wait=before.departure.wait - 1)
        begun = now.left is not None and now.left.crossed == 1 and before.departure is None
        if not begun and (now.departure is None or now.departure == known):
            return shots
        n = now.departure.wait + now.departure.crossing if now.departure else self._manner.longest_crossing
        for _ in range(n + 1):
            shot = self.step(self.state.speaking and not self.state.quiet)
            if shot.leaving:
                shots.append(shot)
            elif shots:
                break
        self.state = now
        return shots

    @property
    def frames_left(self) -> int:
        """Of the gesture that is playing, if any."""
        at = self.state.at
        return max(0, len(self._bundle.clips[at.clip]) - 1 - at.step) if self.state.cue else 0

    def check(self, wish: Enter) -> None:
        """Says whether a state can be entered.

        Raises:
            UnknownState: the avatar does not have it.
        """
        if wish.state not in self._bundle.loops:
            raise UnknownState(self._unknown("state", wish.state, self._bundle.loops))

    def _unknown(self, kind: str, name: str, known: Collection[str]) -> str:
        return f"avatar '{self._bundle.id}' has no {kind} '{name}', only {', '.join(known) or 'none'}"

    def _listen(self, now: DirectorState, speaking: bool) -> DirectorState:
        if speaking and now.speaking and not now.quiet:
            return now
        if speaking:
            return replace(now, state=now.state if now.speaking else "talk", speaking=True, quiet=0)
        if not now.speaking:
            return now
        if now.quiet + 1 < self._manner.hold:
            return replace(now, quiet=now.quiet + 1)
        state = self._manner.after_speech if now.state == "talk" else now.state
        return replace(now, state=state, speaking=False, quiet=0)

    def _move(self, now: DirectorState, cue: Cue | None, leave: bool) -> DirectorState:
        """Goes one frame on, or crosses into another clip where one is wanted and the join has come."""
        left = now.left and now.left.next()
        if left is not now.left:
            now = replace(now, left=left)
        begins: Cue | None
        if cue and cue.due is not None:
            departure, begins = self._in_time(now, cue, cue.due, leave)
        elif left:
            departure, begins = None, None
        else:
            departure, begins = self._depart(now, cue, leave), cue
        if departure is None or departure.wait > 0:
            waiting = departure and replace(departure, wait=departure.wait - 1)
            return replace(now, at=now.at if self._awaited(now) else now.at.next(), departure=waiting)
        return replace(
            now,
            at=Position(departure.clip, departure.entry),
            cue=begins,
            departure=None,
            left=Fading(now.at.next(), 1, departure.crossing, left),
        )

    def _depart(self, now: DirectorState, cue: Cue | None, leave: bool) -> Departure | None:
        """How the body comes to a cue's gesture, or else to its state's loop; None where it is there."""
        wanted = self._bundle.gestures[cue.gesture] if cue else self._bundle.loops[now.state]
        if now.cue is None and cue is None and wanted == now.at.clip:
            return None
        hurried = leave and now.departure is not None and now.departure.wait > self._manner.haste
        if now.departure is not None and now.departure.clip == wanted and not hurried:
            return now.departure
        if now.cue and not leave:
            return self._end_of_gesture(now, wanted)
        patience = self._manner.haste if leave else self._manner.eagerness if cue else self._manner.patience
        return self._choose_join(now, wanted, range(patience + 1), 0)

    def _in_time(self, now: DirectorState, cue: Cue, due: int, leave: bool) -> tuple[Departure | None, Cue | None]:
        """How the body comes to a gesture that is due, in its frame or one beside it; by another loop if there is time.

        A gesture that plays is not cut short for it, but a crossing is.
        """
        if not now.left:
            to_loop = self._depart(now, None, leave)
            if to_loop and to_loop.wait + to_loop.crossing <= due:
                return to_loop, None
        wanted = self._bundle.gestures[cue.gesture]
        earliest = self._end_of_gesture(now, wanted).wait if now.cue and not leave else 0
        waits = sorted({max(wait, earliest) for wait in (due - 1, due, due + 1)})
        return self._choose_join(now, wanted, waits, due), cue

    def _awaited(self, now: DirectorState) -> bool:
        """Whether a gesture waits to begin: the body first comes half of a long way to where it does."""
        if now.left is None or now.cue is None or now.left.crossing == self._manner.shortest_crossing:
            return False
        return 2 * now.left.crossed <= now.left.crossing

    def _choose_join(self, now: DirectorState, wanted: str, waits: Collection[int], due: int) -> Departure:
        """The cheapest step to leave at after so many frames, where each away from ``due`` costs a little too."""
        best = min(waits, key=lambda wait: self._cost(now.at, wanted, wait) + WAIT_COST * abs(wait - due))
        return self._departure(now.at, wanted, best)

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
        if join is None:  # a gesture once more, in an avatar whose gestures end as they begin
            return 0.0 if wanted == at.clip else float(self._manner.longest_crossing)
        return float(join.cost[self._step(at, wait)])

    def _step(self, at: Position, wait: int = 0) -> int:
        """The step of its clip's cycle that a position will have come to in ``wait`` frames."""
        clip, step = self._bundle.clips[at.clip], max(at.step + wait, 0)
        return step % clip.cycle if at.clip in self._bundle.loops.values() else gesture_frame(clip, step)

    def _frame(self, at: Position) -> int:
        return loop_frame(self._bundle.clips[at.clip], self._step(at))

    def _shot(self, now: DirectorState) -> Shot:
        gesture = now.cue.gesture if now.cue else None
        return Shot(now.at.clip, self._frame(now.at), now.state, gesture, self._leaving(now.left))

    def _leaving(self, left: Fading | None) -> Leaving | None:
        if left is None:
            return None
        return Leaving(left.at.clip, self._frame(left.at), left.weight, self._leaving(left.before))
