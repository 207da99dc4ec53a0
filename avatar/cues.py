"""What the body is asked to do beside speaking, and when: behaviours, in blocks, as in the Behavior Markup Language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Composition = Literal["MERGE", "APPEND", "REPLACE"]
"""How a block gets on with those before it: MERGE joins them, APPEND waits until they are over, REPLACE ends them."""

Edge = Literal["start", "end"]

SPEECH = "speech"
"""What a moment refers to that lies in the utterance which is heard when its block arrives, or else in the next."""


@dataclass(frozen=True, slots=True)
class Enter:
    """Go into a state: idle, listen or talk."""

    state: str


@dataclass(frozen=True, slots=True)
class Perform:
    """Play a gesture; its name is looked up by ``avatar.lexemes``."""

    gesture: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while."""

    duration_s: float


Action = Enter | Perform | Pause


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: ``offset_s`` after the block's arrival, or after an edge of speech or of another behaviour.

    Attributes:
        of: "" for the arrival, ``SPEECH``, or the id of a behaviour.
    """

    offset_s: float
    of: str = ""
    edge: Edge = "start"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One thing to do.

    Attributes:
        start: None: a gesture or state comes after the last pause before it in its block, as soon as the body is free;
            a pause comes after what stands before it.
        end: when a gesture is left, repeated until then if it is shorter.
        repetition: how often a gesture is played; None: as often as ``end`` asks for.
    """

    action: Action
    id: str = ""
    start: Moment | None = None
    end: Moment | None = None
    repetition: int | None = None

    @property
    def name(self) -> str:
        """What was asked for, as it was written."""
        match self.action:
            case Perform(gesture):
                return gesture
            case Enter(state):
                return state
            case Pause():
                return "wait"


@dataclass(frozen=True, slots=True)
class Block:
    """Behaviours that arrived together; ``event_id`` is the message's."""

    behaviours: tuple[Behaviour, ...]
    composition: Composition = "MERGE"
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class Cue:
    """The gesture that comes next, as the director is told.

    Attributes:
        key: tells one from another: the number of its behaviour, and which repetition this is.
        gesture: by its name in the avatar's list.
        due: frames until it has to begin; None for as soon as the body is free and a good join comes.
    """

    key: tuple[int, int]
    gesture: str
    due: int | None = None


@dataclass(frozen=True, slots=True)
class Direction:
    """What the director is told for one frame.

    Attributes:
        states: that are entered, one after the other.
        cue: the gesture that comes next.
        leave: whether what is played is to be left at the next join, a gesture before its end.
    """

    states: tuple[Enter, ...] = ()
    cue: Cue | None = None
    leave: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """What became of a gesture that somebody asked for.

    Attributes:
        name: in the avatar's list, or as it was asked for where the avatar does not have it.
        id: of the behaviour, "" without.
        event_id: of the message, "" without.
        reason: why it was ignored.
    """

    what: Literal["started", "ended", "ignored"]
    name: str
    id: str = ""
    event_id: str = ""
    reason: str = ""
