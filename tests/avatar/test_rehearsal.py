from __future__ import annotations

import random
from pathlib import Path

import pytest

from avatar.bundle import AvatarBundle
from avatar.director import Director, Leaving, Shot
from avatar.rehearsal import crossings
from models.loading import EMBEDDED, Catalogue


@pytest.fixture(scope="module")
def ava() -> AvatarBundle:
    return Catalogue([EMBEDDED]).load("ava").bundle


def seen(shot: Shot) -> tuple[str, int, Leaving | None]:
    return shot.clip, shot.frame, shot.leaving


def test_each_crossing_comes_once_and_none_is_without_two_clips(tiny_avatar: Path) -> None:
    shots = list(crossings(Catalogue([tiny_avatar]).load("tiny").bundle))
    assert {shot.clip for shot in shots} == {"idle", "listen", "talk"}
    assert all(shot.leaving for shot in shots)
    assert len(set(map(seen, shots))) == len(shots)


def test_most_of_what_a_conversation_crosses_was_rehearsed(ava: AvatarBundle) -> None:
    known, director, chance = set(map(seen, crossings(ava))), Director(ava), random.Random(99)
    crossed: list[Shot] = []
    while len(crossed) < 1000:
        for speaks in (True, False):
            shots = [director.step(speaks) for _ in range(chance.randint(15, 150))]
            crossed += [shot for shot in shots if shot.leaving]
    assert sum(seen(shot) in known for shot in crossed) > 0.75 * len(crossed)
