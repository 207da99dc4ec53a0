"""The judge of lips, on lips whose faults are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.making.lips_seen import HOP_S, judge

SECONDS = 20.0


def level() -> NDArray[np.float64]:
    """Loudness every 10 ms: syllables of random height, and a pause of one second in every four."""
    times = (np.arange(int(SECONDS / HOP_S)) + 0.5) * HOP_S
    heights = np.random.default_rng(4).uniform(0.4, 1, int(SECONDS * 5) + 1)
    syllables = np.abs(np.sin(np.pi * 5 * times)) * heights[(times * 5).astype(int)]
    return np.where(times % 4 > 3, -80.0, -40 + 35 * syllables)


def lips(lag_s: float, leak: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times = np.arange(int(SECONDS * 25)) / 25
    hop_times = (np.arange(int(SECONDS / HOP_S)) + 0.5) * HOP_S
    opening = np.interp(times + 0.02 - lag_s, hop_times, np.clip(level() + 40, 0, None) / 35)
    return times, 0.1 * opening + leak


@pytest.mark.parametrize("lag_ms", [-120, -40, 0, 40, 90])
def test_the_lag_of_the_lips_is_found(lag_ms: int) -> None:
    figures = judge(*lips(lag_ms / 1000), level())
    assert abs(figures["lag_ms"] - lag_ms) <= 10
    assert figures["correlation"] > 0.9


def test_lips_that_rest_in_pauses_are_closed_and_lips_that_do_not_are_not() -> None:
    assert judge(*lips(0.0), level())["closed_in_pauses"] == 1.0
    assert judge(*lips(0.0, leak=0.03), level())["closed_in_pauses"] == 0.0


def test_frames_without_a_face_are_counted() -> None:
    times, gaps = lips(0.0)
    gaps[10:60] = np.nan
    assert judge(times, gaps, level())["face_found"] == 0.9
