from __future__ import annotations

import numpy as np
import pytest

from avatar.audio import AudioChunk, faded_out
from avatar.errors import AudioError


def test_a_fade_falls_to_silence_and_stays_there() -> None:
    pcm = np.full(1000, 10_000, np.int16)
    faded = faded_out(pcm, 480)
    assert np.all(np.diff(faded[:480].astype(int)) <= 0)
    assert faded[0] > 9_900
    assert not faded[479:].any()
    assert np.all(pcm == 10_000)


def test_a_fade_longer_than_the_sound_takes_what_there_is() -> None:
    assert len(faded_out(np.ones(100, np.int16), 480)) == 100


def test_speech_must_be_mono_16_bit() -> None:
    with pytest.raises(AudioError, match="int16"):
        AudioChunk(np.zeros((2, 4), np.int16), 0)
