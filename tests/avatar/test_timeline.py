from __future__ import annotations

from fractions import Fraction

import pytest

from avatar.timeline import Timeline


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001)])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_every_sample_belongs_to_one_frame(fps: Fraction, rate: int) -> None:
    timeline = Timeline(fps, rate)
    position = 0
    for index in range(2000):
        tick = timeline.tick(index)
        assert tick.first_sample == position
        position += tick.n_samples


def test_nothing_drifts_in_a_day() -> None:
    timeline = Timeline(Fraction(30000, 1001), 48_000)
    frames = 24 * 3600 * 30000 // 1001
    seconds = Fraction(frames * 1001, 30000)
    assert 0 <= seconds * 48_000 - timeline.samples_before(frames) < 1
    assert 0 <= seconds * 10**9 - timeline.start_ns(frames) < 1


@pytest.mark.parametrize("n_samples", [0, 1, 1919, 1920, 1921, 48_000, 2_544_186])
def test_frames_holding_is_the_least_number_that_is_enough(n_samples: int) -> None:
    timeline = Timeline(Fraction(25), 48_000)
    n = timeline.frames_holding(n_samples)
    assert timeline.samples_before(n) >= n_samples
    assert n == 0 or timeline.samples_before(n - 1) < n_samples


def test_a_timeline_refuses_rates_that_are_not_positive() -> None:
    with pytest.raises(ValueError, match="positive rates"):
        Timeline(Fraction(0), 48_000)
