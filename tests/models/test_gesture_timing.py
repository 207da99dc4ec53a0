"""The embedded avatar's gestures begin on the frames that are named, whatever her body does."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avatar.audio import AudioChunk
from avatar.bundle import AvatarBundle
from avatar.cues import SPEECH, Behaviour, Block, Enter, Moment, Perform
from avatar.performance import Performance
from avatar.timeline import Timeline
from models.bundles import read_bundle
from models.loading import EMBEDDED

RATE = 48_000


@pytest.fixture(scope="module")
def ava() -> AvatarBundle:
    return read_bundle(EMBEDDED / "ava")


def gesture(name: str, start: Moment) -> Block:
    return Block((Behaviour(Perform(name), "g", start),))


def test_every_gesture_begins_within_a_frame_of_its_seconds_from_any_place_in_any_state(ava: AvatarBundle) -> None:
    timeline = Timeline(Fraction(ava.fps), RATE)
    off = []
    for number, (name, state) in enumerate((name, state) for name in ava.gestures for state in ava.loops):
        for first in range(20, 220, 9):
            performance = Performance(ava, timeline, None)
            performance.enter(state)
            for index in range(first):
                performance.step(timeline.tick(index))
            start_s = (0.4, 1.0, 0.08, 2.36)[(number + first) % 4]
            performance.perform(gesture(name, Moment(start_s)), first)
            performance.perform(Block((Behaviour(Enter("talk" if state == "idle" else "idle")),)), first)
            off.append(begun(performance, timeline, first) - first - round(start_s * ava.fps))
    assert len(off) >= 100
    assert np.abs(off).max() <= 1


@pytest.mark.parametrize("offset_s", [0.0, 0.2, 0.4])
def test_gestures_that_refer_to_speech_begin_within_a_frame_though_the_body_begins_to_talk(
    ava: AvatarBundle, offset_s: float
) -> None:
    timeline = Timeline(Fraction(ava.fps), RATE)
    voice = np.random.default_rng(1).normal(0, 4000, RATE * 2).astype(np.int16)
    off = []
    for name in ava.gestures:
        for first in range(20, 120, 9):
            performance = Performance(ava, timeline, None)
            for index in range(first):
                performance.step(timeline.tick(index))
            performance.hear(AudioChunk(voice, performance.turn))
            performance.end_speech()
            performance.perform(gesture(name, Moment(offset_s, SPEECH, "start")), first)
            off.append(begun(performance, timeline, first) - first - round(offset_s * ava.fps))
    assert np.abs(off).max() <= 1


def begun(performance: Performance, timeline: Timeline, first: int) -> int:
    """The frame in which a gesture begins, from ``first`` on."""
    for index in range(first, first + 200):
        if performance.step(timeline.tick(index)).happenings:
            return index
    raise AssertionError("no gesture began")
