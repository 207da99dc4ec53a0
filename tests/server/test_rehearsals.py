from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from avatar.compositor import Compositor
from avatar.director import Leaving, Shot
from avatar.kept import Kept
from avatar.pictures import Picture
from avatar.rehearsal import crossings, rehearse, rehearsed
from models.loading import Catalogue
from server.rehearsals import Rehearsals


@pytest.fixture
def compositor(tiny_avatar: Path) -> Compositor:
    return new(tiny_avatar)


class Counting(Compositor):
    """Counts the pictures that it is given."""

    n_given = 0

    def rehearse(self, shot: Shot, picture: Picture) -> None:
        super().rehearse(shot, picture)
        self.n_given += 1


def new(folder: Path) -> Counting:
    return Counting(Catalogue([folder]).load("tiny").bundle)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_after_a_rehearsal_its_crossings_are_at_hand(compositor: Compositor) -> None:
    shots = crossings(compositor.bundle)
    assert shots
    assert not any(map(compositor.is_ready, shots))
    rehearse(compositor)
    assert all(map(compositor.is_ready, shots))


def test_the_likeliest_come_first_and_there_are_so_many_at_most(
    compositor: Compositor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = crossings(compositor.bundle)
    monkeypatch.setattr("avatar.rehearsal.REHEARSED", 5)
    assert [shot for shot, _ in rehearsed(compositor.bundle)] == shots[:5]


def test_pictures_that_were_rehearsed_are_as_if_it_had_made_them(compositor: Compositor, tiny_avatar: Path) -> None:
    other = new(tiny_avatar)
    n_bytes = other.n_bytes
    for n, (shot, picture) in enumerate(rehearsed(compositor.bundle), 1):
        other.rehearse(shot, picture)
        kept = other.at_hand(shot)
        assert kept is not None
        assert not kept.flags.writeable
        assert (kept == compositor.compose(shot)).all()
        assert other.n_bytes == n_bytes + n * picture.nbytes


def test_they_outlast_all_that_is_made_besides(compositor: Compositor) -> None:
    rehearse(compositor)
    compositor._crossed = Kept(2)
    shots = [replace(shot, leaving=Leaving("idle", 3, 0.1 * n)) for n, shot in enumerate(crossings(compositor.bundle))]
    for shot in shots:
        compositor.compose(shot)
    assert sum(map(compositor.is_ready, shots)) == 2
    assert all(map(compositor.is_ready, crossings(compositor.bundle)))


def test_all_that_are_begun_are_rehearsed_once(tiny_avatar: Path) -> None:
    one, other = new(tiny_avatar), new(tiny_avatar)
    rehearsals = Rehearsals()
    for compositor in (one, other, one):
        rehearsals.begin(compositor)
    shots = crossings(one.bundle)
    wait_for(lambda: one.n_given >= len(shots) and other.n_given >= len(shots))
    last = new(tiny_avatar)
    rehearsals.begin(last)
    wait_for(lambda: last.n_given > 0)
    rehearsals.close()
    assert all(map(one.is_ready, shots))
    assert all(map(other.is_ready, shots))
    assert one.n_given == other.n_given == len(shots)


def test_what_nobody_shows_any_more_is_not_kept_for_its_rehearsal(tiny_avatar: Path) -> None:
    rehearsals, compositors = Rehearsals(), [new(tiny_avatar)]
    first = crossings(compositors[0].bundle)[0]
    footage, gone = weakref.ref(compositors[0].bundle.clips["idle"].frames), weakref.ref(compositors[0])
    rehearsals.begin(compositors[0])
    wait_for(lambda: compositors[0].is_ready(first))
    compositors.clear()
    wait_for(lambda: gc.collect() >= 0 and gone() is None and footage() is None)
    rehearsals.close()


def test_closing_gives_up_what_is_not_finished(compositor: Compositor) -> None:
    rehearsals = Rehearsals()
    rehearsals.begin(compositor)
    rehearsals.close()
    assert not all(map(compositor.is_ready, crossings(compositor.bundle)))
