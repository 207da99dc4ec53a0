"""What the body does next: how behaviours get on with each other, with speech and with its interruption."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from avatar.bundle import AvatarBundle
from avatar.cues import SPEECH, Behaviour, Block, Cue, Direction, Enter, Happening
from avatar.reception import Reception, received
from avatar.score import Entry, Mark, Part, Score, Times
from avatar.speech import Spoken

MOST_WAITING = 64
"""Behaviours that may wait in a session; the newest are refused."""

MOST_REPETITIONS = 20
"""Of a gesture that has to last until something happens."""

MEMORY = 16
"""Blocks that are remembered when they are over, for later ones that refer to them."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """Speech was interrupted."""


News = Part | Enter | Interruption


class Schedule:
    """The behaviours of a session: for each frame ``direct`` first, and ``note`` when the director has followed."""

    def __init__(self, bundle: AvatarBundle) -> None:
        self.score = Score()
        """May be read and put back (``take_back``) at any time; a step depends on it and on ``news`` alone."""
        self._bundle = bundle
        self._news: list[News] = []
        self._n_entries = 0
        self._n_parts = 0

    @property
    def news(self) -> tuple[News, ...]:
        """What the next ``direct`` will take into account for the first time."""
        return tuple(self._news)

    def add(self, block: Block, arrival: int) -> Reception:
        """Takes in a block.

        Args:
            arrival: the first frame that was not shown when it came; its seconds count from there.
        """
        n_free = MOST_WAITING - (0 if block.composition == "REPLACE" else self._n_waiting())
        numbers = (self._n_parts, self._n_entries)
        part, reception = received(block, self._bundle, arrival, numbers, self._ids(), max(0, n_free))
        self._n_parts += 1
        self._n_entries += len(part.entries)
        if part.entries:
            self._news.append(part)
        return reception

    def enter(self, state: Enter) -> None:
        """Goes into a state at the next step, whatever waits."""
        self._news.append(state)

    def interrupt(self) -> None:
        """Speech was interrupted: what refers to it is dropped, and the gesture that plays ends at its next join."""
        self._news.append(Interruption())

    def take_back(self, score: Score, news: tuple[News, ...]) -> None:
        """Goes back to an earlier score; ``news`` that came since then is new again."""
        self.score = score
        self._news = [*news, *self._news]

    def direct(self, now: int, spoken: Spoken, frames_left: int = 0) -> tuple[Direction, tuple[Happening, ...]]:
        """What the body has to do in frame ``now``, and what will not be done any more.

        Args:
            spoken: what is heard in it.
            frames_left: of the gesture that is played.
        """
        happenings: list[Happening] = []
        states: list[Enter] = []
        for news in self._news:
            match news:
                case Part():
                    happenings += self._arrived(news, now)
                case Enter():
                    states.append(news)
                case Interruption():
                    happenings += self._interrupted(now)
        self._news = []
        self._listen(now, spoken)
        if not any(True for _ in self.score.unfinished()):
            return Direction(tuple(states)), tuple(happenings)
        self._let_in(now)
        ends = _speech_end(now, spoken)
        states += self._pass_time(now, ends)
        happenings += self._expire(now, ends)
        times = Times(self.score, self._bundle.fps, ends)
        leave = self._is_to_leave(now, times)
        cue = None if leave else self._repetition(now + frames_left, times)
        cue = cue or self._next_cue(now, times)
        leave = leave or (self.score.playing is None and cue is not None and self._replaces(cue))
        return Direction(tuple(states), cue, leave), tuple(happenings)

    def note(self, now: int, cue: Cue | None) -> tuple[Happening, ...]:
        """Takes down which cue the director follows in frame ``now``."""
        score, playing = self.score, cue.key if cue else None
        if playing == score.playing:
            return ()
        before = score.played()
        self.score = replace(score, playing=playing)
        after = self.score.played()
        if before and after and before[1].key == after[1].key:
            return ()  # again
        happenings = []
        if before:
            happenings.append(_happening("ended", *before))
            self._mark(before[1], end=now)
        if after:
            happenings.append(_happening("started", *after))
            self._mark(after[1], start=now)
        return tuple(happenings)

    # What is new

    def _arrived(self, part: Part, now: int) -> list[Happening]:
        """A block takes its place among those before it."""
        happenings = []
        composition = part.block.composition
        if composition == "REPLACE":
            happenings = self._drop(now, list(self.score.unfinished()), "a later message replaced it")
        waits = composition == "APPEND" and any(True for _ in self.score.unfinished())
        self.score = self.score.with_part(part, None if waits else part.arrival)
        self._forget()
        return happenings

    def _interrupted(self, now: int) -> list[Happening]:
        """Drops what refers to speech, or to what refers to it."""
        self.score = replace(self.score, utterance=None)
        bound = {entry.key for _, entry in self.score.entries() if _refers_to_speech(entry.behaviour)}
        while more := {
            entry.key
            for _, entry in self.score.entries()
            if entry.key not in bound and bound & {entry.before, entry.start_of, entry.end_of}
        }:
            bound |= more
        drop = [pair for pair in self.score.unfinished() if pair[1].key in bound]
        if played := self.score.played():
            drop.append(played)
        return self._drop(now, drop, "speech was interrupted")

    def _drop(self, now: int, pairs: list[tuple[Part, Entry]], reason: str) -> list[Happening]:
        """Ends what is played at its next join, and everything else at once."""
        happenings = []
        for part, entry in pairs:
            mark = self.score.marks[entry.key]
            if mark.end is not None:
                continue
            if mark.start is not None and entry.gesture:
                self._mark(entry, cut=True)
                continue
            self._mark(entry, end=now)
            if entry.gesture:
                happenings.append(_happening("ignored", part, entry, reason))
        return happenings

    # What time brings

    def _listen(self, now: int, spoken: Spoken) -> None:
        """Keeps in mind which utterance is heard, and tells the parts that refer to it."""
        score, utterance = self.score, spoken.utterance
        if utterance and (score.utterance is None or score.utterance[0] != utterance.number):
            self.score = score = replace(score, utterance=(utterance.number, now))
        if score.utterance is None or utterance is None:
            return  # nobody speaks, or an utterance waits for its sound
        number, first = score.utterance
        for part in [part for part in score.parts if not score.is_over(part)]:
            tempo = self.score.tempi[part.number]
            if tempo.utterance is None:
                tempo = replace(tempo, utterance=number, speech_start=first)
            if spoken.ends and tempo.utterance == number:
                tempo = replace(tempo, speech_end=now + 1)
            self.score = self.score.with_tempo(part.number, tempo)
        if spoken.ends:
            self.score = replace(self.score, utterance=None)

    def _let_in(self, now: int) -> None:
        """A part that was to be appended arrives when all before it are over."""
        over: int | None = None
        for part in self.score.parts:
            tempo = self.score.tempi[part.number]
            if tempo.arrival is None:
                arrival = now if over is None else over
                self.score = self.score.with_tempo(part.number, replace(tempo, arrival=arrival))
            ends = [self.score.marks[entry.key].end for entry in part.entries]
            over = max([*(end for end in ends if end is not None), over or 0])
            if None in ends:
                return

    def _pass_time(self, now: int, speech_end: Mapping[int, int]) -> list[Enter]:
        """Ends what takes place without the body: states, pauses, and gestures that the avatar does not have."""
        states: list[tuple[int, int, Enter]] = []
        times = Times(self.score, self._bundle.fps, speech_end)
        for part, entry in list(self.score.unfinished()):
            if entry.gesture:
                continue
            end = times.end(part, entry)
            if end is None or end > now:
                continue
            self._mark(entry, start=end, end=end)
            if isinstance(entry.behaviour.action, Enter):
                states.append((end, entry.key, entry.behaviour.action))
        return [state for _, _, state in sorted(states, key=lambda one: one[:2])]

    def _expire(self, now: int, speech_end: Mapping[int, int]) -> list[Happening]:
        """Drops the gestures whose end came before the body was free for them."""
        times = Times(self.score, self._bundle.fps, speech_end)
        late = []
        for part, entry in self.score.unfinished():
            bound = times.bound(part, entry)
            if entry.gesture and self.score.marks[entry.key].start is None and bound is not None and bound <= now:
                late.append((part, entry))
        return self._drop(now, late, "its end came before it could begin")

    # What the director is told

    def _is_to_leave(self, now: int, times: Times) -> bool:
        played = self.score.played()
        if played is None:
            return False
        bound = times.bound(*played)
        return self.score.marks[played[1].key].cut or (bound is not None and bound <= now)

    def _replaces(self, cue: Cue) -> bool:
        return any(
            part.block.composition == "REPLACE" and entry.key == cue.key[0] for part, entry in self.score.entries()
        )

    def _repetition(self, end: int, times: Times) -> Cue | None:
        """The gesture that is played until frame ``end``, once more, if it has to be."""
        played = self.score.played()
        if played is None or self.score.playing is None:
            return None
        behaviour, (key, n_played) = played[1].behaviour, self.score.playing
        most = behaviour.repetition or (1 if behaviour.end is None else MOST_REPETITIONS)
        gesture = played[1].gesture
        if gesture is None or n_played >= most:
            return None
        bound = times.bound(*played)
        n_frames = len(self._bundle.clips[self._bundle.gestures[gesture]])
        if bound is not None and bound - end < n_frames // 2:
            return None
        return Cue((key, n_played + 1), gesture)

    def _next_cue(self, now: int, times: Times) -> Cue | None:
        """Of the gestures that wait the one whose time comes first."""
        playing = self.score.playing[0] if self.score.playing else None
        best: tuple[int, int] | None = None
        cue = None
        for part, entry in self.score.unfinished():
            if entry.gesture is None or self.score.marks[entry.key].start is not None:
                continue
            start = times.start(part, entry)
            follows = start is None and self._follows(part, entry, playing)
            if start is None and not follows:
                continue
            rank = (now if start is None else start, entry.key)
            if best is None or rank < best:
                best = rank
                free = start is None or (entry.behaviour.start is None and start <= now)
                cue = Cue((entry.key, 1), entry.gesture, None if free or start is None else start - now)
        return cue

    def _follows(self, part: Part, entry: Entry, playing: int | None) -> bool:
        """Whether it waits for nothing but the end of the gesture that is played."""
        start = entry.behaviour.start
        if playing is None:
            return False
        if start is not None:
            return entry.start_of == playing and start.edge == "end" and start.offset_s <= 0
        if self.score.tempi[part.number].arrival is not None or entry.before is not None:
            return False
        earlier = [other.key for one, other in self.score.unfinished() if one.number < part.number]
        return earlier == [playing]

    # Keeping order

    def _mark(self, entry: Entry, start: int | None = None, end: int | None = None, cut: bool = False) -> None:
        mark = self.score.marks[entry.key]
        self.score = self.score.with_mark(
            entry.key,
            Mark(mark.start if start is None else start, mark.end if end is None else end, mark.cut or cut),
        )

    def _forget(self) -> None:
        """Forgets what is over and nobody refers to, but for the newest."""
        needed = {key for _, entry in self.score.unfinished() for key in (entry.start_of, entry.end_of)}
        over = [part for part in self.score.parts if self.score.is_over(part)]
        for part in over[: max(0, len(over) - MEMORY)]:
            if not needed & {entry.key for entry in part.entries}:
                self.score = self.score.without(part.number)

    def _ids(self) -> dict[str, int]:
        """The key of every behaviour that can be referred to; of two with one id the newer."""
        parts = [*self.score.parts, *(news for news in self._news if isinstance(news, Part))]
        return {entry.behaviour.id: entry.key for part in parts for entry in part.entries if entry.behaviour.id}

    def _n_waiting(self) -> int:
        new = sum(len(news.entries) for news in self._news if isinstance(news, Part))
        return new + sum(1 for _ in self.score.unfinished())


def _speech_end(now: int, spoken: Spoken) -> dict[int, int]:
    """The first frame after the utterance that is heard, by its number, if it is complete."""
    if spoken.utterance is None or spoken.n_left is None:
        return {}
    return {spoken.utterance.number: now + 1 + -(-spoken.n_left // len(spoken.sound))}


def _refers_to_speech(behaviour: Behaviour) -> bool:
    return any(moment is not None and moment.of == SPEECH for moment in (behaviour.start, behaviour.end))


def _happening(what: Literal["started", "ended", "ignored"], part: Part, entry: Entry, reason: str = "") -> Happening:
    name = entry.gesture or entry.behaviour.name
    return Happening(what, name, entry.behaviour.id, part.block.event_id, reason)
