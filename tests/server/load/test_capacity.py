from __future__ import annotations

import random

import pytest

from server.load.capacity import FULL, LATER_S, MOST, SOON_S, Capacity
from server.load.costs import Costs
from server.load.levels import Level
from server.load.reading import Reading

STEP_S = 0.25
CORES, LOOP = "cores", "event loop"


def at_work(quiet: int, speaking: int, cost: float = 0.06, idle: float = 0.005, **changes: object) -> Reading:
    """A quarter of a second of a process whose sessions cost this share of cores, and a third of it of its loop."""
    cores = quiet * idle + speaking * cost
    n_frames = round(25 * STEP_S * (quiet + speaking))
    values = {
        "used": {CORES: cores, LOOP: cores / 3},
        "n_frames": n_frames,
        "spare": [1.4] * round(25 * STEP_S * speaking),
        **changes,
    }
    return Reading(STEP_S, quiet, speaking, **values)  # type: ignore[arg-type]


def fed(capacity: Capacity, reading: Reading, for_s: float = 20) -> Capacity:
    for _ in range(int(for_s / STEP_S)):
        capacity.read(reading)
    return capacity


def new(cost: float = 0.2) -> Capacity:
    return Capacity({CORES: cost, LOOP: cost / 3})


def test_before_anybody_spoke_the_guess_decides_and_it_is_worth_asking_again_soon() -> None:
    capacity = new(cost=0.2)
    assert [capacity.admits(n) for n in range(6)] == [True] * 3 + [False] * 3
    refusal = capacity.refusal(3)
    assert refusal
    assert "80 % of the cores" in refusal.reason
    assert refusal.retry_after_s == SOON_S


def test_what_sessions_cost_is_measured_while_some_speak_and_others_are_quiet() -> None:
    chance, costs = random.Random(1), Costs({CORES: 0.5})
    for _ in range(400):
        speaking = chance.randrange(8)
        used = (8 - speaking) * 0.004 + speaking * 0.06 + chance.gauss(0, 0.02)
        costs.read(Reading(STEP_S, 8 - speaking, speaking, {CORES: used}))
    assert costs.speaking[CORES] == pytest.approx(0.06, rel=0.05)
    assert not costs.is_guess


def test_as_many_fit_as_may_all_speak_at_once_however_many_do_now() -> None:
    capacity = fed(fed(new(), at_work(quiet=1, speaking=3), for_s=60), at_work(quiet=4, speaking=1))
    assert capacity.fits in (12, 13)  # FULL / 0.06 is 12.5
    assert capacity.admits(capacity.fits - 1)
    assert not capacity.admits(capacity.fits)


def test_the_scarcest_thing_decides() -> None:
    capacity = Capacity({CORES: 0.1, LOOP: 0.1})
    for _ in range(100):
        capacity.read(Reading(STEP_S, 0, 4, {CORES: 0.04, LOOP: 0.4}))
    assert capacity.fits == 7
    refusal = capacity.refusal(7)
    assert refusal
    assert LOOP in refusal.reason


def test_sessions_that_became_dearer_are_noticed() -> None:
    capacity = fed(new(), at_work(0, 8, cost=0.051))
    assert capacity.fits == int(FULL / 0.051)
    assert fed(capacity, at_work(0, 8, cost=0.101), for_s=120).fits == int(FULL / 0.101)


def test_the_first_session_always_fits() -> None:
    capacity = fed(new(cost=3), at_work(0, 1, cost=3))
    assert capacity.admits(0)
    assert not capacity.admits(1)


def test_what_costs_nothing_has_a_bound_all_the_same() -> None:
    assert Capacity({CORES: 0}).fits == MOST


def test_nobody_is_admitted_while_less_than_everything_is_drawn_and_it_says_how_long() -> None:
    capacity = fed(new(), at_work(0, 4))
    assert capacity.admits(4)
    tight = at_work(0, 4, spare=[0.0] * 25)
    while capacity.read(tight) is not Level.BODY_ONLY:
        pass
    refusal = capacity.refusal(4)
    assert refusal
    assert "no mouths are drawn" in refusal.reason
    assert refusal.retry_after_s == 10
    fed(capacity, at_work(0, 4), for_s=10)
    assert capacity.level is Level.FULL
    assert capacity.admits(4)


def test_what_is_saved_at_half_rate_is_not_taken_for_what_a_session_costs() -> None:
    capacity = fed(new(), at_work(0, 8, cost=0.1))
    while capacity.read(at_work(0, 8, cost=0.1, n_late=10)) is Level.FULL:
        pass
    fed(capacity, at_work(0, 8, cost=0.03), for_s=4)
    assert capacity.level is Level.HALF_RATE
    assert capacity.fits == int(FULL / 0.1)


def test_pictures_that_are_finished_late_keep_others_out_before_anybody_suffers() -> None:
    capacity = fed(new(), at_work(0, 4))
    fed(capacity, at_work(0, 4, spare=[0.2] * 25), for_s=3)
    assert capacity.level is Level.FULL
    refusal = capacity.refusal(4)
    assert refusal
    assert "finished 0.2 frames before" in refusal.reason
    assert fed(capacity, at_work(0, 4), for_s=3).admits(4)


def test_a_full_server_says_when_a_session_is_likely_to_end() -> None:
    capacity = fed(new(), at_work(0, 14))
    for next_end_s, retry_after_s in ((None, LATER_S), (0.2, 1), (17.2, 18), (3600, 60)):
        refusal = capacity.refusal(14, next_end_s)
        assert refusal
        assert refusal.retry_after_s == retry_after_s
