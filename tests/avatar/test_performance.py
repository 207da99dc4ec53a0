from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from avatar.audio import AudioChunk, Pcm
from avatar.cues import Behaviour, Block, Perform
from avatar.errors import UnknownState
from avatar.features import N_MELS, log_mel
from avatar.lipsync import LipSyncSpec, MouthTuning
from avatar.listening import Listening
from avatar.performance import Performance, Plan
from avatar.timeline import Timeline
from tests.avatar.clips import PATCH, bundle

RATE = 48_000
TIMELINE = Timeline(Fraction(25), RATE)
SPEC = LipSyncSpec(window=20, look_ahead_ms=80, patch=PATCH)


def voice(seconds: float, level: float = 6000) -> Pcm:
    return np.random.default_rng(5).normal(0, level, int(seconds * RATE)).clip(-32000, 32000).astype(np.int16)


def run(performance: Performance, frames: range) -> list[Plan]:
    return [performance.step(TIMELINE.tick(index)) for index in frames]


def opennesses(plans: list[Plan]) -> list[float]:
    return [round(plan.mouth.openness, 2) if plan.mouth else 0.0 for plan in plans]


def test_a_mouth_opens_in_two_frames_and_closes_in_three_after_the_last_sound() -> None:
    performance = Performance(bundle(), TIMELINE, SPEC)
    performance.hear(AudioChunk(voice(0.4), 0))
    performance.end_speech()
    plans = run(performance, range(16))
    assert [plan.utterance is not None for plan in plans] == [True] * 10 + [False] * 6
    assert opennesses(plans) == [0.5] + [1.0] * 10 + [0.67, 0.33, 0.0, 0.0, 0.0]


def test_in_a_long_pause_within_speech_the_mouth_rests() -> None:
    pause = np.zeros(RATE, np.int16)
    performance = Performance(bundle(), TIMELINE, SPEC)
    performance.hear(AudioChunk(np.concatenate([voice(0.4), pause, voice(0.4)]), 0))
    performance.end_speech()
    plans = run(performance, range(50))
    assert opennesses(plans)[15:30] == [0.0] * 15
    assert all(plan.utterance for plan in plans[:45])
    assert max(opennesses(plans)[36:44]) == 1.0


def test_speech_below_the_voice_threshold_does_not_open_the_mouth() -> None:
    performance = Performance(bundle(), TIMELINE, SPEC)
    performance.hear(AudioChunk(voice(1, level=20), 0))
    performance.end_speech()
    plans = run(performance, range(25))
    assert set(opennesses(plans)) == {0.0}
    assert np.concatenate([plan.sound for plan in plans]).any()


def test_the_features_reach_as_far_as_the_look_ahead_beyond_a_frames_middle() -> None:
    pcm = voice(2)
    whole = log_mel(pcm, RATE)
    performance = Performance(bundle(), TIMELINE, SPEC)
    performance.hear(AudioChunk(pcm, 0))
    for index, plan in enumerate(run(performance, range(40))):
        assert plan.mouth
        end = 4 * index + 2 + 8
        expected = whole[max(0, end - SPEC.window) : end]
        np.testing.assert_allclose(plan.mouth.features[-len(expected) :], expected, atol=1e-4)
        assert plan.mouth.features.shape == (SPEC.window, N_MELS)


@pytest.mark.parametrize("offset_ms", [-120, -40, 0, 40, 80, 160])
def test_the_sync_offset_moves_what_the_mouth_hears_against_the_sound(offset_ms: int) -> None:
    pcm = voice(2)
    whole = log_mel(pcm, RATE)
    tuned = replace(bundle(), tuning=MouthTuning(sync_offset_ms=offset_ms))
    performance = Performance(tuned, TIMELINE, SPEC)
    performance.hear(AudioChunk(pcm, 0))
    plans = run(performance, range(30))
    assert plans[0].begins, "whatever the offset, sound that is there is spoken at once"
    for index, plan in enumerate(plans[5:], start=5):
        end = 4 * index + 2 + 8 - offset_ms // 10
        expected = whole[max(0, end - SPEC.window) : end]
        assert plan.mouth
        np.testing.assert_allclose(plan.mouth.features[len(plan.mouth.features) - len(expected) :], expected, atol=1e-4)


def test_a_mouth_that_moves_later_also_opens_and_closes_later() -> None:
    opened = []
    for offset_ms in (0, 160):
        tuned = replace(bundle(), tuning=MouthTuning(sync_offset_ms=offset_ms))
        performance = Performance(tuned, TIMELINE, SPEC)
        performance.hear(AudioChunk(np.concatenate([np.zeros(RATE // 2, np.int16), voice(0.4)]), 0))
        performance.end_speech()
        opened.append([plan.tick.index for plan in run(performance, range(40)) if plan.mouth])
    assert opened[1] == [index + 4 for index in opened[0]]


def test_smoothing_asks_for_the_moments_before() -> None:
    tuned = replace(bundle(), tuning=MouthTuning(smoothing_ms=60))
    performance = Performance(tuned, TIMELINE, SPEC)
    performance.hear(AudioChunk(voice(1), 0))
    assert {len(plan.mouth.features) for plan in run(performance, range(20)) if plan.mouth} == {SPEC.window + 6}


def test_an_avatar_without_a_network_speaks_with_the_footages_mouth() -> None:
    performance = Performance(bundle(), TIMELINE, None)
    performance.hear(AudioChunk(voice(0.4), 0))
    performance.end_speech()
    plans = run(performance, range(12))
    assert {plan.mouth for plan in plans} == {None}
    assert sum(plan.n_speech for plan in plans) == int(0.4 * RATE)


def test_after_an_interruption_frames_are_planned_anew_from_the_first_that_was_not_shown() -> None:
    performance = Performance(bundle(), TIMELINE, SPEC)
    performance.hear(AudioChunk(voice(3), 0))
    before = run(performance, range(20))
    performance.perform(Block((Behaviour(Perform("NOD")),)), 20)
    run(performance, range(20, 23))
    performance.interrupt(20)
    after = run(performance, range(20, 30))
    assert {plan.turn for plan in before} == {0}
    assert {plan.turn for plan in after} == {1}
    assert not any(plan.sound.any() for plan in after)
    assert opennesses(after)[:4] == [0.67, 0.33, 0.0, 0.0]
    assert after[0].shot.frame == before[-1].shot.frame + 1 or after[0].shot.clip != before[-1].shot.clip
    assert "NOD" in {plan.shot.gesture for plan in after}, "what was asked for in the frames taken back still counts"


def test_speech_of_an_earlier_turn_is_dropped() -> None:
    performance = Performance(bundle(), TIMELINE, SPEC)
    performance.interrupt(0)
    performance.hear(AudioChunk(voice(1), 0))
    assert performance.n_waiting == 0


def test_what_the_avatar_does_not_have_is_refused_at_the_door() -> None:
    performance = Performance(bundle(), TIMELINE, SPEC)
    with pytest.raises(UnknownState, match="no state 'sleep'"):
        performance.enter("sleep")
    (ignored,) = performance.perform(Block((Behaviour(Perform("wave")),)), 0).ignored
    assert (ignored.name, ignored.reason) == ("wave", "avatar 'drawn' has no such gesture, only NOD, SMILE")


@pytest.mark.parametrize("size", [160, 1000, 1920, 9600])
def test_listening_in_pieces_or_whole_hears_the_same(size: int) -> None:
    pcm = voice(0.5)
    whole, pieces = Listening(SPEC, RATE, MouthTuning()), Listening(SPEC, RATE, MouthTuning())
    whole.hear(pcm)
    for start in range(0, len(pcm), size):
        pieces.hear(pcm[start : start + size])
    np.testing.assert_allclose(pieces.features, whole.features, atol=1e-4)
    assert pieces.voiced == whole.voiced is True


def test_a_voice_counts_until_its_hangover_is_over() -> None:
    listening = Listening(SPEC, RATE, MouthTuning(), hangover_ms=60)
    listening.hear(voice(0.2))
    listening.hear(np.zeros(RATE * 130 // 1000, np.int16))
    assert listening.voiced
    listening.hear(np.zeros(RATE * 10 // 1000, np.int16))
    assert not listening.voiced
