from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.audio import Pcm
from server.resampling import resampler

RATES = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 47_999, 48_000]


def chord(rate: int, seconds: float, below_hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Twenty tones: as they are at ``rate``, and as they should be at 48 kHz."""
    random = np.random.default_rng(rate)
    frequencies, phases = random.uniform(50, below_hz, 20), random.uniform(0, 2 * np.pi, 20)

    def at(hz: int) -> NDArray[np.float64]:
        t = np.arange(int(seconds * hz)) / hz
        return np.asarray(1500 * np.sin(2 * np.pi * np.outer(frequencies, t) + phases[:, None]).sum(axis=0))

    return at(rate), at(48_000)


def in_pieces(pcm: Pcm, rate: int, length: int) -> Pcm:
    stream = resampler(rate, 48_000)
    parts = [stream.resample(pcm[at : at + length]) for at in range(0, len(pcm), length)]
    return np.concatenate([*parts, stream.end()])


@pytest.mark.parametrize("rate", RATES)
def test_speech_keeps_its_waveform_at_another_rate(rate: int) -> None:
    tones, wanted = chord(rate, 2, 0.4 * rate)
    got = in_pieces(np.rint(tones).astype(np.int16), rate, 10_000)
    assert len(got) == len(wanted)
    middle = slice(2400, -2400)
    error = np.square(got[middle] - wanted[middle]).mean() / np.square(wanted[middle]).mean()
    assert 10 * np.log10(error) < -78


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [1, 7, 160, 999, 4801])
def test_pieces_of_any_size_give_the_same_samples_as_the_whole(rate: int, length: int) -> None:
    pcm = np.random.default_rng(length).integers(-32768, 32768, 3 * length + 2_000).astype(np.int16)
    assert np.array_equal(in_pieces(pcm, rate, length), in_pieces(pcm, rate, len(pcm)))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100])
def test_a_few_milliseconds_are_held_back_at_most(rate: int) -> None:
    stream = resampler(rate, 48_000)
    n_in = n_out = 0
    for _ in range(100):
        n_out += len(stream.resample(np.ones(rate // 100, np.int16)))
        n_in += rate // 100
        assert n_in / rate - n_out / 48_000 < 0.0085


def test_loud_speech_is_clipped_and_does_not_wrap() -> None:
    square = np.where(np.arange(24_000) % 100 < 50, 32767, -32768).astype(np.int16)
    got = in_pieces(square, 24_000, 1000)
    assert got.max() == 32767
    assert np.abs(np.diff(got.astype(np.int32))).max() < 50_000


@pytest.mark.parametrize("n", [0, 1, 2, 35, 36, 100])
@pytest.mark.parametrize("rate", RATES[:-2])
def test_short_speech_keeps_its_length(rate: int, n: int) -> None:
    assert len(in_pieces(np.ones(n, np.int16), rate, 10)) == -(-n * 48_000 // rate)


def test_rates_are_never_lowered() -> None:
    with pytest.raises(ValueError, match="48000 Hz cannot be raised to 24000 Hz"):
        resampler(48_000, 24_000)
