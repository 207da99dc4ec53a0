"""What becomes of a block when it arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from avatar.bundle import AvatarBundle
from avatar.cues import Block, Happening, Perform
from avatar.lexemes import gesture_named
from avatar.references import Refusal, predecessors, refusals
from avatar.score import Entry, Part


@dataclass(frozen=True, slots=True)
class Reception:
    """What was left out.

    Attributes:
        refused: behaviours that can never come.
        ignored: gestures that the avatar does not have, and what there was no room for.
    """

    refused: tuple[Refusal, ...]
    ignored: tuple[Happening, ...]


def received(
    block: Block, bundle: AvatarBundle, arrival: int, numbers: tuple[int, int], known: Mapping[str, int], n_free: int
) -> tuple[Part, Reception]:
    """The part that a block makes.

    Args:
        arrival: the frame that its seconds count from.
        numbers: of the part, and the key of its first entry.
        known: keys of earlier behaviours by their ids.
        n_free: how many behaviours there is room for.
    """
    refused = refusals(block.behaviours, known)
    accepted = [one for one in block.behaviours if not any(one is refusal.behaviour for refusal in refused)]
    ignored = [
        Happening("ignored", one.name, one.id, block.event_id, f"there is room for {n_free} behaviours, others wait")
        for one in accepted[n_free:]
    ]
    del accepted[n_free:]
    number, first = numbers
    keys = {**known, **{behaviour.id: first + place for place, behaviour in enumerate(accepted) if behaviour.id}}
    entries = []
    for place, (behaviour, before) in enumerate(zip(accepted, predecessors(accepted), strict=True)):
        gesture = None
        if isinstance(behaviour.action, Perform):
            gesture = gesture_named(behaviour.action.gesture, bundle.gestures)
            if gesture is None:
                reason = f"avatar '{bundle.id}' has no such gesture, only {', '.join(bundle.gestures) or 'none'}"
                ignored.append(Happening("ignored", behaviour.name, behaviour.id, block.event_id, reason))
        start_of, end_of = (keys.get(moment.of) if moment else None for moment in (behaviour.start, behaviour.end))
        after = None if before is None else first + before
        entries.append(Entry(first + place, behaviour, gesture, after, start_of, end_of))
    return Part(number, block, tuple(entries), arrival), Reception(tuple(refused), tuple(ignored))
