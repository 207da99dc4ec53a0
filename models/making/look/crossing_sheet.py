"""Every way from one clip to another as the director goes it: into each state and gesture, and back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from avatar.bundle import STATES, AvatarBundle
from avatar.compositor import Compositor
from avatar.cues import Cue, Direction, Enter
from avatar.director import Director, Shot
from avatar.geometry import Size
from avatar.pictures import Rgb, to_rgb
from models.making.look.labelled import captioned, fitted, grid

_HIGH = 100
_SHOWN = 5
"""Pictures of each crossing, its two ends among them."""

_COLUMNS = 3
_SETTLING = 40
"""Frames that a state is played before it is left."""

_LONGEST = 1000
"""Frames within which a wish must be granted and a gesture be over."""


@dataclass(frozen=True)
class Crossing:
    """One clip giving way to another: the shot before, those in between, and the one after."""

    name: str
    shots: tuple[Shot, ...]


def crossings(bundle: AvatarBundle) -> list[Crossing]:
    """From every state into every other and into every gesture, and out of these again."""
    found = []
    for state in STATES:
        for other in STATES:
            if other != state:
                found += _crossings(bundle, state, Direction((Enter(other),)), [f"{state} > {other}"])
        for gesture in bundle.gestures:
            cued = Direction(cue=Cue((1, 1), gesture))
            found += _crossings(bundle, state, cued, [f"{state} > {gesture}", f"{gesture} > {state}"])
    return found


def crossing_sheet(bundle: AvatarBundle, found: list[Crossing]) -> Rgb:
    """Each crossing as a strip of pictures."""
    compositor = Compositor(bundle)
    tile = Size(round(_HIGH * bundle.size.width / bundle.size.height), _HIGH)
    strips = []
    for crossing in found:
        chosen = np.linspace(0, len(crossing.shots) - 1, _SHOWN).round().astype(int)
        pictures = [fitted(to_rgb(compositor.compose(crossing.shots[index])), tile) for index in chosen]
        strips.append(captioned(np.hstack(pictures), f"{crossing.name}, {len(crossing.shots) - 2} frames"))
    return grid(strips, _COLUMNS, 8)


def _crossings(bundle: AvatarBundle, state: str, wish: Direction, names: list[str]) -> list[Crossing]:
    """What follows on a wish in a state that has settled; as many crossings as there are names."""
    director = Director(bundle)
    _settle(director, bundle.loops[state], Direction((Enter(state),)))
    shots = [director.step(False)]
    shots.append(director.step(False, wish))
    while wish.cue and not director.state.cue:
        shots.append(director.step(False, wish))
    while len(shots) < _LONGEST:
        shots.append(director.step(False))
        runs = [list(run) for _, run in itertools.groupby(shots, key=lambda shot: shot.leaving and shot.leaving.clip)]
        between = [index for index, run in enumerate(runs) if run[0].leaving]
        if len(between) == len(names) and between[-1] < len(runs) - 1:
            return [
                Crossing(name, (runs[index - 1][-1], *runs[index], runs[index + 1][0]))
                for name, index in zip(names, between, strict=True)
            ]
    return []


def _settle(director: Director, loop: str, wish: Direction) -> None:
    shot = director.step(False, wish)
    for _ in range(_LONGEST):
        if shot.clip == loop and shot.leaving is None:
            break
        shot = director.step(False)
    for _ in range(_SETTLING):
        director.step(False)
