from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from avatar.bundle import AvatarBundle
from avatar.compositor import seen_in
from avatar.cues import Direction, Enter
from avatar.director import Director, Shot
from avatar.rehearsal import REHEARSED, crossings
from models.loading import EMBEDDED, Catalogue


@pytest.fixture(scope="module")
def ava() -> AvatarBundle:
    return Catalogue([EMBEDDED]).load("ava").bundle


def conversation(director: Director, n_frames: int, states: Sequence[str]) -> Iterator[Shot]:
    """Shots in which clips cross, of one that takes turns at random, and waits in one of the states."""
    chance, n = random.Random(99), 0
    while n < n_frames:
        wish = Direction(states=(Enter(chance.choice(states)),))
        for speaks in (False, True):
            for frame in range(chance.randint(15, 150)):
                n += 1
                shot = director.step(speaks, Direction() if frame or speaks else wish)
                if shot.leaving:
                    yield shot


def test_each_crossing_comes_once_and_none_is_without_two_clips(tiny_avatar: Path) -> None:
    shots = crossings(Catalogue([tiny_avatar]).load("tiny").bundle)
    assert {shot.clip for shot in shots} == {"idle", "listen", "talk"}
    assert all(shot.leaving for shot in shots)
    assert len(set(map(seen_in, shots))) == len(shots)


def test_between_idle_and_talk_they_come_first(ava: AvatarBundle) -> None:
    usual = [shot.leaving is not None and {shot.clip, shot.leaving.clip} == {"idle", "talk"} for shot in crossings(ava)]
    assert usual == sorted(usual, reverse=True)
    assert set(usual) == {True, False}


def test_all_that_a_conversation_crosses_was_rehearsed(ava: AvatarBundle) -> None:
    known = list(map(seen_in, crossings(ava)))
    seen = list(map(seen_in, conversation(Director(ava), 20_000, ["idle"])))
    assert len(seen) > 500
    assert set(seen) <= set(known[:REHEARSED])
    seen = list(map(seen_in, conversation(Director(ava), 20_000, ["idle", "listen"])))
    assert len(set(seen) & set(known)) > 0.9 * len(set(seen))


def test_states_that_show_the_same_clip_have_no_crossing(ava: AvatarBundle) -> None:
    same = replace(ava, loops={**ava.loops, "listen": ava.loops["idle"]})
    assert {shot.clip for shot in crossings(same)} == {ava.loops["idle"], ava.loops["talk"]}
