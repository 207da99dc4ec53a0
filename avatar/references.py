"""Which behaviours of a block wait for something that never comes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from avatar.cues import SPEECH, Behaviour, Edge, Moment, Pause

Node = tuple[int, Edge]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A behaviour that was left out; ``attribute`` is what is wrong with it."""

    behaviour: Behaviour
    attribute: Edge
    reason: str


def predecessors(behaviours: Sequence[Behaviour]) -> list[int | None]:
    """For each behaviour the one that it comes after because it says nothing else, by its place."""
    before: list[int | None] = []
    pause: int | None = None
    for place, behaviour in enumerate(behaviours):
        if behaviour.start is not None:
            before.append(None)
        elif isinstance(behaviour.action, Pause):
            before.append(place - 1 if place else None)
        else:
            before.append(pause)
        if isinstance(behaviour.action, Pause):
            pause = place
    return before


def refusals(behaviours: Sequence[Behaviour], known: Collection[str]) -> list[Refusal]:
    """Those that refer to something unknown, to themselves in a circle, or to one of these.

    Args:
        known: ids of earlier blocks.
    """
    places = {behaviour.id: place for place, behaviour in enumerate(behaviours) if behaviour.id}
    before = predecessors(behaviours)

    def needs(place: int, edge: Edge) -> Iterator[Node | None]:
        """What must have come before this edge: edges of others in the block; None for what never comes."""
        behaviour = behaviours[place]
        moment = behaviour.start if edge == "start" else behaviour.end
        if edge == "end":
            yield place, "start"
        if edge == "start" and (earlier := before[place]) is not None:
            yield earlier, "end"
        if moment is not None and _names_another(moment):
            if moment.of in places:
                yield places[moment.of], moment.edge
            elif moment.of not in known:
                yield None

    waiting: dict[Node, set[Node | None]] = {
        (place, edge): set(needs(place, edge)) for place in range(len(behaviours)) for edge in ("start", "end")
    }
    come: set[Node | None] = set()
    while ready := [node for node, needed in waiting.items() if needed <= come]:
        come.update(ready)
        for node in ready:
            del waiting[node]
    found = []
    for place, behaviour in enumerate(behaviours):
        edge: Edge = "start" if (place, "start") in waiting else "end"
        if (place, edge) in waiting:
            moment = behaviour.start if edge == "start" else behaviour.end
            unknown = moment is not None and _names_another(moment) and moment.of not in {*places, *known}
            reason = f"nothing is called '{moment.of}'" if moment and unknown else "it waits for what never comes"
            found.append(Refusal(behaviour, edge, reason))
    return found


def _names_another(moment: Moment) -> bool:
    return moment.of not in ("", SPEECH)
