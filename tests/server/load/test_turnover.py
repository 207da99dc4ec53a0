from __future__ import annotations

import pytest

from server.load.turnover import LONG_AGO_S, Turnover


def test_the_next_session_ends_as_soon_as_they_did_on_average() -> None:
    turnover = Turnover()
    assert turnover.next_end_s(0) is None
    for at in range(0, 500, 10):
        turnover.ended(at)
    assert turnover.next_end_s(500) == pytest.approx(10)
    assert turnover.next_end_s(560) == pytest.approx(13.75)


def test_one_ending_or_endings_long_ago_say_nothing() -> None:
    turnover = Turnover()
    turnover.ended(1)
    assert turnover.next_end_s(2) is None
    turnover.ended(2)
    assert turnover.next_end_s(3) == 1
    assert turnover.next_end_s(3 + LONG_AGO_S) is None
