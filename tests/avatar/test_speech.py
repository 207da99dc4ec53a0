from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avatar.audio import AudioChunk, Pcm
from avatar.errors import BacklogFull
from avatar.speech import Samples, Speech, Spoken
from avatar.timeline import Timeline

TIMELINE = Timeline(Fraction(25), 48_000)
LOOK_AHEAD = 3840
N = 1920


def noise(n: int, seed: int = 1) -> Pcm:
    return np.random.default_rng(seed).integers(-20_000, 20_000, n).astype(np.int16)


def speech(capacity: int = 48_000 * 60) -> Speech:
    return Speech(TIMELINE, LOOK_AHEAD, capacity)


def say(buffer: Speech, pcm: Pcm, event_id: str = "e") -> None:
    buffer.hear(AudioChunk(pcm, buffer.turn, event_id))


def run(buffer: Speech, frames: range) -> list[Spoken]:
    return [buffer.speak(TIMELINE.tick(index)) for index in frames]


def test_a_queue_of_samples_gives_back_what_was_put_in() -> None:
    whole, queue, position = noise(10_000), Samples(), 0
    for size in (1, 0, 999, 3000, 6000):
        queue.append(whole[position : position + size])
        position += size
    assert np.array_equal(queue.peek(0, 10_000), whole)
    queue.drop(1500)
    assert np.array_equal(queue.peek(7, 4007), whole[1507:5507])
    assert np.array_equal(queue.peek(8000, 9000)[500:], np.zeros(500))
    queue.drop(20_000)
    assert len(queue) == 0


def test_speech_waits_for_the_look_ahead_and_half_a_frame_in_reserve() -> None:
    buffer = speech()
    say(buffer, noise(N + LOOK_AHEAD - 1))
    assert buffer.speak(TIMELINE.tick(0)).utterance is None
    say(buffer, noise(1))
    spoken = buffer.speak(TIMELINE.tick(1))
    assert spoken.begins
    assert spoken.n_speech == N


@pytest.mark.parametrize("size", [1, 37, 960, 1920, 24_000, 10**6])
def test_in_pieces_or_whole_the_same_sound_and_the_same_news(size: int) -> None:
    pcm, buffer = noise(48_123), speech()
    spoken: list[Spoken] = []
    for start in range(0, len(pcm), size):
        say(buffer, pcm[start : start + size])
        while buffer.n_waiting >= 2 * LOOK_AHEAD:
            spoken += run(buffer, range(len(spoken), len(spoken) + 1))
    buffer.end()
    while buffer.n_waiting:
        spoken += run(buffer, range(len(spoken), len(spoken) + 1))
    sound = np.concatenate([one.sound for one in spoken])
    assert np.array_equal(sound[: len(pcm)], pcm)
    assert not sound[len(pcm) :].any()
    news = np.concatenate([one.news for one in spoken if one.news is not None])
    assert np.array_equal(news[: len(pcm)], pcm)
    assert len(news) == (len(spoken) - 1) * N + N // 2 + LOOK_AHEAD
    assert [one.begins for one in spoken].index(True) == 0
    assert [one.ends for one in spoken].index(True) == len(spoken) - 1


def test_starved_speech_resumes_where_it_stopped() -> None:
    pcm, buffer = noise(20_000), speech()
    say(buffer, pcm[:8000])
    first = run(buffer, range(5))
    say(buffer, pcm[8000:])
    buffer.end()
    rest = run(buffer, range(5, 20))
    heard = [one.sound for one in [*first, *rest] if one.utterance]
    assert np.array_equal(np.concatenate(heard)[: len(pcm)], pcm)
    assert {one.utterance.number for one in [*first, *rest] if one.utterance} == {1}


def test_an_utterance_without_an_end_is_spoken_to_its_last_sample_after_a_gap() -> None:
    pcm, buffer = noise(10_000), speech()
    say(buffer, pcm)
    spoken = run(buffer, range(30))
    assert np.array_equal(np.concatenate([one.sound for one in spoken if one.utterance])[: len(pcm)], pcm)
    assert sum(one.ends for one in spoken) == 1


def test_voice_soon_after_the_end_continues_the_utterance_and_later_voice_is_a_new_one() -> None:
    buffer = speech()
    say(buffer, noise(48_000), "a")
    buffer.end()
    run(buffer, range(3))
    say(buffer, noise(4800), "b")
    buffer.end()
    run(buffer, range(3, 16))
    say(buffer, noise(4800), "c")
    buffer.end()
    begun = [one.utterance for one in run(buffer, range(16, 60)) if one.begins and one.utterance]
    assert [(utterance.number, utterance.event_id) for utterance in begun] == [(2, "c")]


def test_an_interruption_forgets_all_speech_and_drops_what_was_under_way() -> None:
    buffer = speech()
    say(buffer, noise(48_000))
    late = AudioChunk(noise(4800), buffer.turn)
    buffer.interrupt()
    buffer.hear(late)
    assert buffer.n_waiting == 0
    assert not run(buffer, range(1))[0].sound.any()


def test_a_full_backlog_keeps_the_oldest_and_refuses_the_newest() -> None:
    buffer = speech(capacity=48_000)
    say(buffer, noise(40_000))
    with pytest.raises(BacklogFull, match="holds 1 s"):
        say(buffer, noise(10_000, seed=2))
    assert buffer.n_waiting == 40_000
