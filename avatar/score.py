"""Behaviours with what is known of their times: the memory of a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from avatar.cues import SPEECH, Behaviour, Block, Moment, Pause


@dataclass(frozen=True, slots=True)
class Entry:
    """A behaviour that was accepted.

    Attributes:
        key: counted within a session.
        gesture: the avatar's; None for a state, a pause, or a gesture that the avatar does not have and that so takes
            no time.
        before: key of the one it comes after because it says nothing else.
        start_of, end_of: keys of the ones that its start and its end refer to.
    """

    key: int
    behaviour: Behaviour
    gesture: str | None = None
    before: int | None = None
    start_of: int | None = None
    end_of: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A block that was accepted; ``arrival`` is the first frame that was not shown when it came."""

    number: int
    block: Block
    entries: tuple[Entry, ...]
    arrival: int


@dataclass(frozen=True, slots=True)
class Tempo:
    """What a part's moments refer to, in frames; None until known.

    Attributes:
        arrival: what its seconds count from.
        utterance: number of the one that it refers to.
    """

    arrival: int | None
    utterance: int | None = None
    speech_start: int | None = None
    speech_end: int | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of an entry: the frames in which it began and was over, None until then.

    Attributes:
        cut: whether it is to end at the next join.
    """

    start: int | None = None
    end: int | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """Immutable, so that a session can go back to an earlier one.

    Attributes:
        playing: key of the gesture that is played, and which repetition of it.
        utterance: number and first frame of the utterance that is heard.
    """

    parts: tuple[Part, ...] = ()
    tempi: Mapping[int, Tempo] = field(default_factory=dict)
    marks: Mapping[int, Mark] = field(default_factory=dict)
    playing: tuple[int, int] | None = None
    utterance: tuple[int, int] | None = None

    def with_part(self, part: Part, arrival: int | None) -> Score:
        marks = {**self.marks, **{entry.key: Mark() for entry in part.entries}}
        tempi = {**self.tempi, part.number: Tempo(arrival)}
        return replace(self, parts=(*self.parts, part), tempi=tempi, marks=marks)

    def with_mark(self, key: int, mark: Mark) -> Score:
        return replace(self, marks={**self.marks, key: mark})

    def with_tempo(self, number: int, tempo: Tempo) -> Score:
        return replace(self, tempi={**self.tempi, number: tempo})

    def without(self, number: int) -> Score:
        """Forgets a part."""
        gone = {entry.key for part in self.parts if part.number == number for entry in part.entries}
        return replace(
            self,
            parts=tuple(part for part in self.parts if part.number != number),
            tempi={one: tempo for one, tempo in self.tempi.items() if one != number},
            marks={key: mark for key, mark in self.marks.items() if key not in gone},
        )

    def entries(self) -> Iterator[tuple[Part, Entry]]:
        for part in self.parts:
            for entry in part.entries:
                yield part, entry

    def unfinished(self) -> Iterator[tuple[Part, Entry]]:
        return ((part, entry) for part, entry in self.entries() if self.marks[entry.key].end is None)

    def is_over(self, part: Part) -> bool:
        return all(self.marks[entry.key].end is not None for entry in part.entries)

    def played(self) -> tuple[Part, Entry] | None:
        """What ``playing`` names."""
        if self.playing is None:
            return None
        return next((pair for pair in self.entries() if pair[1].key == self.playing[0]), None)


class Times:
    """The frames in which the entries of a score begin and end, as far as they can be known.

    Args:
        speech_end: by number of an utterance the first frame after it, where it can be told before it comes.
    """

    def __init__(self, score: Score, fps: Fraction, speech_end: Mapping[int, int]) -> None:
        self._score = score
        self._fps = fps
        self._speech_end = speech_end
        self._by_key = {entry.key: (part, entry) for part, entry in score.entries()}
        self._starts: dict[int, int | None] = {}  # found already: one may wait for another, that for a third …

    def frames(self, seconds: float) -> int:
        return round(seconds * self._fps)

    def start(self, part: Part, entry: Entry) -> int | None:
        if entry.key not in self._starts:
            self._starts[entry.key] = self._start(part, entry)
        return self._starts[entry.key]

    def _start(self, part: Part, entry: Entry) -> int | None:
        mark = self._score.marks[entry.key]
        if mark.start is not None or mark.end is not None:
            return mark.end if mark.start is None else mark.start
        if entry.behaviour.start is not None:
            return self._at(part, entry.behaviour.start, entry.start_of)
        arrival = self._score.tempi[part.number].arrival
        if entry.before is None or arrival is None:
            return arrival
        return self.end(*self._by_key[entry.before])

    def end(self, part: Part, entry: Entry) -> int | None:
        """When it is over; of a gesture nothing is known before."""
        mark = self._score.marks[entry.key]
        if mark.end is not None or entry.gesture is not None:
            return mark.end
        start = self.start(part, entry)
        if start is None or not isinstance(entry.behaviour.action, Pause):
            return start
        return start + self.frames(entry.behaviour.action.duration_s)

    def bound(self, part: Part, entry: Entry) -> int | None:
        """The frame that a gesture's ``end`` names."""
        return self._at(part, entry.behaviour.end, entry.end_of) if entry.behaviour.end else None

    def _at(self, part: Part, moment: Moment, of: int | None) -> int | None:
        tempo = self._score.tempi[part.number]
        base: int | None
        if moment.of == "":
            base = tempo.arrival
        elif moment.of == SPEECH and moment.edge == "start":
            base = tempo.speech_start
        elif moment.of == SPEECH:
            base = self._speech_end.get(tempo.utterance or 0) if tempo.speech_end is None else tempo.speech_end
        else:
            base = self._of_another(of, moment)
        return None if base is None else base + self.frames(moment.offset_s)

    def _of_another(self, key: int | None, moment: Moment) -> int | None:
        if key not in self._by_key:
            return None
        other = self._by_key[key]
        return self.start(*other) if moment.edge == "start" else self.end(*other)
