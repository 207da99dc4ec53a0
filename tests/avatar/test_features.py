from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.features import N_MELS, SILENCE, LogMel, log_mel


def _voice_like(sample_rate: int, seconds: float = 1.0) -> NDArray[np.float32]:
    """Tones between 110 and 6900 Hz whose loudness changes, the same sound at any sample rate."""
    time = np.arange(round(sample_rate * seconds)) / sample_rate
    tones = [np.sin(2 * np.pi * hertz * time + hertz) / hertz**0.5 for hertz in range(110, 7000, 137)]
    sound = np.sum(tones, axis=0) * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * time))
    return np.asarray(0.3 * sound / 3, np.float32)


def _noise(n: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-8000, 8000, n, dtype=np.int16)


@pytest.mark.parametrize("size", [1, 7, 159, 160, 161, 401, 4096])
def test_sound_in_pieces_gives_the_features_of_the_whole(size: int) -> None:
    sound = _noise(5003)
    stream = LogMel(16_000)
    pieces = [stream.push(sound[first : first + size]) for first in range(0, len(sound), size)]
    np.testing.assert_allclose(np.concatenate(pieces), log_mel(sound, 16_000), atol=1e-5)


@pytest.mark.parametrize("sample_rate", [24_000, 32_000, 48_000])
def test_the_same_sound_has_the_same_features_at_every_sample_rate(sample_rate: int) -> None:
    here = log_mel(_voice_like(sample_rate), sample_rate)[3:]
    at_16k = log_mel(_voice_like(16_000), 16_000)[3:]
    assert here.shape == at_16k.shape
    assert np.abs(here - at_16k).mean() < 0.01
    assert np.abs(here - at_16k).max() < 0.15


@pytest.mark.parametrize("sample_rate", [16_000, 48_000])
def test_a_frame_ends_where_it_says_and_hears_nothing_later(sample_rate: int) -> None:
    sound = _noise(sample_rate // 2)
    hop = sample_rate // 100
    changed = sound.copy()
    changed[20 * hop :] = 0
    before, after = log_mel(sound, sample_rate), log_mel(changed, sample_rate)
    np.testing.assert_array_equal(before[:20], after[:20])
    assert np.abs(before[20] - after[20]).max() > 0.01


def test_a_frame_is_out_with_its_last_sample() -> None:
    stream = LogMel(16_000)
    assert len(stream.push(_noise(159))) == 0
    assert len(stream.push(_noise(1))) == 1


def test_silence_is_the_lowest_value_in_every_band() -> None:
    mel = log_mel(np.zeros(1600, np.int16), 16_000)
    assert mel.shape == (10, N_MELS)
    np.testing.assert_allclose(mel, SILENCE, atol=1e-5)


def test_integers_and_floats_of_the_same_sound_have_the_same_features() -> None:
    sound = _noise(3200)
    floats = sound.astype(np.float32) / np.float32(32768)
    np.testing.assert_allclose(log_mel(sound, 16_000), log_mel(floats, 16_000), atol=1e-5)


def test_after_a_reset_nothing_of_the_past_is_heard() -> None:
    stream = LogMel(16_000)
    stream.push(_noise(1000))
    stream.reset()
    np.testing.assert_array_equal(stream.push(_noise(800, seed=1)), log_mel(_noise(800, seed=1), 16_000))


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 44_100])
def test_other_sample_rates_are_refused_in_a_sentence_with_the_number(sample_rate: int) -> None:
    with pytest.raises(ValueError, match=str(sample_rate)):
        LogMel(sample_rate)


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match="mono"):
        LogMel(16_000).push(np.zeros((100, 2), np.float32))
