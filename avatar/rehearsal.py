"""What sessions are likely to show, found out before there are any: what takes work can be made ready for them."""

from __future__ import annotations

from collections.abc import Iterator

from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor, Seen, seen_in
from avatar.cues import Direction, Enter
from avatar.director import Director, Manner, Shot
from avatar.pictures import Picture

TURNS = 300
"""What is talked through, each time from the state before it and back: clips are joined where they join best, so that
after some minutes hardly any crossing is new."""

SPEAKS_S, LISTENS_S = (0.8, 6.0), (0.3, 5.0)
"""For how long each side of such a conversation speaks."""

GOLDEN = (5**0.5 - 1) / 2
"""Its multiples, less whole numbers, are spread evenly from the first on: what chance would do, without it."""


def rehearse(compositor: Compositor) -> Iterator[tuple[Shot, Picture]]:
    """Makes pictures in which clips cross where sessions are likely to, as many as are kept: so memory is flat later.

    Takes 3.3 s with ``ava`` at 480x480; those that are there already take no time, and are not told.
    """
    for shot in crossings(compositor.bundle):
        if compositor.is_full:
            break
        if not compositor.is_ready(shot):
            yield shot, compositor.compose(shot)


def rehearsed(bundle: AvatarBundle) -> Iterator[tuple[Shot, Picture]]:
    """The same, for who has no compositor."""
    return rehearse(Compositor(bundle))


def crossings(bundle: AvatarBundle, manner: Manner = Manner()) -> Iterator[Shot]:
    """Shots in which clips cross, each once, of conversations that are made up: those that come first, first.

    An avatar is at ease between its answers, or listens. Gestures are left out: they begin wherever they are asked for.
    """
    director, known = Director(bundle, manner), set[Seen]()
    for turn in range(TURNS):
        waits_in = "listen" if turn % 2 and "listen" in bundle.loops else "idle"
        for speaks, (shortest, longest) in ((False, LISTENS_S), (True, SPEAKS_S)):
            wish = () if speaks else (Enter(waits_in),)
            seconds = shortest + (longest - shortest) * ((2 * turn + speaks) * GOLDEN % 1)
            for frame in range(round(seconds * bundle.fps)):
                shot = director.step(speaks, Direction(states=() if frame else wish))
                seen = seen_in(shot)
                if shot.leaving is not None and seen not in known:
                    known.add(seen)
                    yield shot
