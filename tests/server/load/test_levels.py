from __future__ import annotations

from server.load.levels import FIRST_WAIT_S, LONGEST_WAIT_S, Level, Levels
from server.load.reading import Reading

STEP_S = 0.25


def calm() -> Reading:
    return Reading(STEP_S, n_frames=50, spare=[1.5] * 40)


def late(n: int = 10) -> Reading:
    return Reading(STEP_S, n_frames=50, n_late=n, spare=[1.5] * 40)


def nearly_late() -> Reading:
    return Reading(STEP_S, n_frames=50, spare=[0.05] * 40)


def seconds_until(levels: Levels, level: Level, reading: Reading, most_s: float = 200) -> float:
    for n in range(1, int(most_s / STEP_S)):
        if levels.read(reading) is level:
            return n * STEP_S
    raise AssertionError(f"still {levels.level!r}")


def test_what_is_late_or_nearly_costs_mouths_step_by_step_within_a_second() -> None:
    for reading in (late(), nearly_late()):
        levels = Levels()
        assert seconds_until(levels, Level.HALF_RATE, reading) <= 1
        assert seconds_until(levels, Level.BODY_ONLY, reading) <= 1
        assert levels.read(reading) is Level.BODY_ONLY


def test_one_late_frame_of_many_changes_nothing() -> None:
    levels = Levels()
    for _ in range(100):
        assert levels.read(late(1)) is Level.FULL
        for _ in range(4):
            levels.read(calm())


def test_a_lone_session_needs_more_than_two_late_frames() -> None:
    levels = Levels()
    for _ in range(2):
        assert levels.read(Reading(STEP_S, n_frames=6, n_late=1)) is Level.FULL
    assert levels.read(Reading(STEP_S, n_frames=6, n_late=1)) is Level.HALF_RATE


def test_what_holds_everybody_up_once_changes_nothing() -> None:
    levels = Levels()
    for _ in range(20):
        for reading in (late(50), late(50), calm(), calm()):
            assert levels.read(reading) is Level.FULL


def test_who_was_held_up_for_long_draws_less_at_once() -> None:
    assert Levels().read(Reading(1.0, n_frames=200, n_late=150)) is Level.HALF_RATE


def test_mouths_come_back_the_same_way_after_it_was_calm_for_a_while() -> None:
    levels = Levels()
    seconds_until(levels, Level.BODY_ONLY, late())
    assert levels.recovers_in_s == 2 * FIRST_WAIT_S
    assert seconds_until(levels, Level.HALF_RATE, calm()) == FIRST_WAIT_S
    assert levels.recovers_in_s == FIRST_WAIT_S
    assert seconds_until(levels, Level.FULL, calm()) == FIRST_WAIT_S
    assert levels.recovers_in_s == 0


def test_what_is_nearly_calm_begins_the_wait_anew() -> None:
    levels = Levels()
    seconds_until(levels, Level.HALF_RATE, late())
    for _ in range(15):
        levels.read(calm())
    assert levels.read(late(2)) is Level.HALF_RATE
    assert seconds_until(levels, Level.FULL, calm()) >= FIRST_WAIT_S


def test_who_rises_too_early_waits_twice_as_long_the_next_time_but_not_for_ever() -> None:
    levels = Levels()
    seconds_until(levels, Level.HALF_RATE, late())
    waits = []
    for _ in range(6):
        waits.append(seconds_until(levels, Level.FULL, calm()))
        seconds_until(levels, Level.HALF_RATE, late())
    assert waits == [FIRST_WAIT_S * 2**n for n in range(4)] + [LONGEST_WAIT_S] * 2


def test_a_long_calm_makes_it_forget_that_it_rose_too_early() -> None:
    levels = Levels()
    for _ in range(3):
        seconds_until(levels, Level.HALF_RATE, late())
        seconds_until(levels, Level.FULL, calm())
    for _ in range(int(LONGEST_WAIT_S / STEP_S)):
        levels.read(calm())
    seconds_until(levels, Level.HALF_RATE, late())
    assert seconds_until(levels, Level.FULL, calm()) == FIRST_WAIT_S


def test_it_does_not_swing_at_a_load_that_only_half_rate_can_bear() -> None:
    levels, changes, before = Levels(), 0, Level.FULL
    for _ in range(int(600 / STEP_S)):
        level = levels.read(nearly_late() if levels.level is Level.FULL else calm())
        changes += level is not before
        before = level
    assert changes <= 26  # eleven times up in ten minutes, and most of them early on
