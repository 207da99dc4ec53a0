from __future__ import annotations

import threading
from pathlib import Path

import pytest

from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.kept import Kept
from avatar.pictures import Picture, Rgb
from avatar.rehearsal import crossings
from models.loading import Catalogue
from server.rehearsals import Rehearsals, rehearse


class Counting(Compositor):
    """Counts the pictures that it makes; ``gate`` holds it up."""

    n_made = 0

    def __init__(self, folder: Path) -> None:
        super().__init__(Catalogue([folder]).load("tiny").bundle)
        self.gate, self.begun = threading.Event(), threading.Event()
        self.gate.set()

    def compose(self, shot: Shot, mouth: Rgb | None = None, strength: float = 1.0) -> Picture:
        self.begun.set()
        assert self.gate.wait(10)
        self.n_made += 1
        return super().compose(shot, mouth, strength)


@pytest.fixture
def compositor(tiny_avatar: Path) -> Counting:
    return Counting(tiny_avatar)


def test_after_a_rehearsal_its_crossings_are_at_hand_and_none_is_made_twice(compositor: Counting) -> None:
    shots = list(crossings(compositor.bundle))
    assert shots
    assert not any(map(compositor.is_ready, shots))
    rehearse(compositor)
    assert all(map(compositor.is_ready, shots))
    assert compositor.n_made == len(shots)
    rehearse(compositor)
    assert compositor.n_made == len(shots)


def test_it_is_over_when_no_more_is_kept(compositor: Counting) -> None:
    compositor._crossings = Kept(5)
    rehearse(compositor)
    assert compositor.is_full
    assert compositor.n_made == 5


def test_each_compositor_is_rehearsed_once_in_one_thread_that_gives_way(tiny_avatar: Path) -> None:
    one, other = Counting(tiny_avatar), Counting(tiny_avatar)
    rehearsals, last = Rehearsals(), list(crossings(one.bundle))[-1]
    for compositor in (one, other, one):
        rehearsals.begin(compositor)
    for _ in range(1000):
        if other.is_ready(last):
            break
        threading.Event().wait(0.01)
    rehearsals.close()
    assert one.n_made == other.n_made == len(list(crossings(one.bundle)))


def test_closing_waits_for_one_picture_only(compositor: Counting) -> None:
    compositor.gate.clear()
    rehearsals = Rehearsals()
    rehearsals.begin(compositor)
    assert compositor.begun.wait(10)
    closing = threading.Thread(target=rehearsals.close)
    closing.start()
    while not rehearsals.is_closing:
        threading.Event().wait(0.001)
    compositor.gate.set()
    closing.join(10)
    assert not closing.is_alive()
    assert compositor.n_made == 1
