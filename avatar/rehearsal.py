"""What sessions are likely to show, found out before there are any: what takes work can be made ready for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor, Seen, seen_in
from avatar.director import Director, DirectorState, Manner, Shot
from avatar.loops import Position
from avatar.pictures import Arrays, Picture, anywhere, shape_of

REHEARSED = 384
"""At most so many pictures between two clips are made before they are wanted: 127 MiB at 480x480, 285 at 720x720. Clips
are crossed where they join best, so that there are 339 between idle and talk of ``ava``, and 495 more with listen; each
takes as long as forty mouths laid on."""

ALWAYS = frozenset({"idle", "talk"})
"""States that every session is in. Others are entered by clients that ask for them."""


def rehearse(compositor: Compositor) -> None:
    """Makes the likely crossings of a compositor ready: three seconds of work for ``ava`` at 480x480."""
    for shot, picture in rehearsed(compositor.bundle):
        compositor.rehearse(shot, picture)


def rehearsed(bundle: AvatarBundle, arrays: Arrays = anywhere) -> Iterator[tuple[Shot, Picture]]:
    """Pictures, in ``arrays``, in which clips cross where sessions are likely to, the likeliest first."""
    compositor = Compositor(bundle)
    shots = crossings(bundle)[:REHEARSED]
    for shot, picture in zip(shots, arrays([shape_of(bundle.size)] * len(shots)), strict=True):
        picture[...] = compositor.compose(shot)
        picture.setflags(write=False)
        yield shot, picture


def crossings(bundle: AvatarBundle, manner: Manner = Manner()) -> list[Shot]:
    """The shots in which states' loops cross, each once: those between ``ALWAYS`` first, then what is likely.

    They are all that there are, as a crossing depends only on where in its loop the body is when another state begins.
    Gestures are left out: they begin wherever they are asked for.
    """
    shots, usual, rare = dict[Seen, Shot](), Counter[Seen](), Counter[Seen]()
    for before, state in permutations(bundle.loops, 2):
        loop = bundle.loops[before]
        if loop == bundle.loops[state]:
            continue
        ways = usual if ALWAYS.issuperset((before, state)) else rare
        for step in range(bundle.clips[loop].cycle):
            for shot in _crossing(bundle, manner, Position(loop, step), state):
                shots[seen_in(shot)] = shot
                ways[seen_in(shot)] += 1
    return [shots.pop(seen) for ways in (usual, rare) for seen, _ in ways.most_common() if seen in shots]


def _crossing(bundle: AvatarBundle, manner: Manner, at: Position, state: str) -> Iterator[Shot]:
    """The shots of the crossing that begins, sooner or later, where a state is entered at some point of another's."""
    director, speaks = Director(bundle, manner), state == "talk"
    director.state = DirectorState(state, at, speaking=speaks)
    shot = director.step(speaks)
    while shot.clip == at.clip and shot.leaving is None:
        shot = director.step(speaks)
    while shot.leaving is not None:
        yield shot
        shot = director.step(speaks)
