from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.articulation import CHANNELS, VISEMES, aperture
from avatar.features import N_MELS, SILENCE, log_mel
from models.loading import SHARED_ENCODER
from models.making.evaluate.sounds import SOUNDS
from models.runtimes.openvino import the_core
from models.speech_files import read_speech, resampled

Encode = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]

CARD = tomllib.loads(SHARED_ENCODER.with_suffix(".toml").read_text(encoding="utf-8"))
WINDOW: int = CARD["window"]
SAMPLE = Path(__file__).parents[2] / "server" / "studio" / "sample.wav"


@pytest.fixture(scope="module")
def encode() -> Encode:
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    network = the_core().compile_model(SHARED_ENCODER, "CPU", settings)

    def run(mel: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        result = network({"mel": np.ascontiguousarray(mel)})
        return np.array(result["articulation"]), np.array(result["visemes"])

    return run


def _buzz(n_frames: int) -> NDArray[np.float32]:
    """Log-mel (n_frames, 80) of a voice-like buzz in syllables."""
    time = np.arange(n_frames * 160) / 16_000
    buzz = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 40))
    sound = 0.1 * buzz * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * time))
    return log_mel(np.asarray(sound, np.float32), 16_000)


def _windows(mel: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(mel, WINDOW, axis=0).transpose(0, 2, 1), np.float32)


def test_the_card_beside_the_encoder_describes_it() -> None:
    assert hashlib.sha256(SHARED_ENCODER.read_bytes()).hexdigest() == CARD["sha256"]
    assert SHARED_ENCODER.stat().st_size < 7_000_000
    assert (CARD["look_ahead_ms"], CARD["hop_ms"], CARD["n_mels"]) == (80, 10, N_MELS)
    assert tuple(CARD["channels"]) == CHANNELS
    assert tuple(CARD["visemes"]) == VISEMES


def test_one_window_gives_one_mouth(encode: Encode) -> None:
    articulation, visemes = encode(_buzz(WINDOW)[None])
    assert articulation.shape == (1, len(CHANNELS))
    assert visemes.shape == (1, len(VISEMES))
    assert articulation.dtype == np.float32
    assert articulation.min() >= 0
    assert articulation.max() <= 1
    assert np.isfinite(visemes).all()


def test_a_batch_is_the_same_as_its_windows_one_by_one(encode: Encode) -> None:
    windows = _windows(_buzz(WINDOW + 8))
    together = encode(windows)
    single = [encode(window[None]) for window in windows]
    np.testing.assert_allclose(together[0], np.concatenate([one for one, _ in single]), atol=1e-4)
    np.testing.assert_allclose(together[1], np.concatenate([one for _, one in single]), atol=1e-3)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_in_silence_the_mouth_rests(encode: Encode, level: int) -> None:
    sound = np.random.default_rng(0).integers(-level, level + 1, 48_000).astype(np.int16)
    articulation, visemes = encode(_windows(log_mel(sound, 16_000)))
    assert articulation.max() < 0.1
    assert set(visemes.argmax(axis=1)) == {VISEMES.index("SIL")}


def test_the_window_of_a_session_that_has_heard_nothing_rests(encode: Encode) -> None:
    articulation, _ = encode(np.full((1, WINDOW, N_MELS), SILENCE, np.float32))
    assert articulation.max() < 0.1


def test_a_voice_opens_the_mouth(encode: Encode) -> None:
    speech = resampled(*read_speech(SAMPLE), 16_000)
    articulation, _ = encode(_windows(log_mel(speech, 16_000)))
    assert articulation[:, CHANNELS.index("jaw")].max() > 0.5
    assert np.mean(aperture(articulation) > 0.1) > 0.3


def test_a_buzz_that_says_nothing_does_not(encode: Encode) -> None:
    articulation, _ = encode(_windows(_buzz(200)))
    assert np.median(articulation.max(axis=1)) < 0.1


def test_what_is_older_than_the_window_does_not_matter(encode: Encode) -> None:
    mel = _buzz(WINDOW + 40)
    changed = mel.copy()
    changed[:40] = SILENCE
    np.testing.assert_array_equal(encode(_windows(mel)[-1:])[0], encode(_windows(changed)[-1:])[0])


def test_a_long_stretch_through_the_network_equals_its_windows() -> None:
    torch = pytest.importorskip("torch")
    from models.nets import speech_encoder

    torch.manual_seed(0)
    network = speech_encoder.SpeechEncoder().eval()
    mel = torch.randn(1, speech_encoder.WINDOW + 5 * speech_encoder.STRIDE, N_MELS)
    with torch.no_grad():
        logits, channels = network(mel)
        assert logits.shape == (1, 6, len(VISEMES))
        for answer in range(6):
            first = answer * speech_encoder.STRIDE
            alone = network(mel[:, first : first + speech_encoder.WINDOW])
            torch.testing.assert_close(logits[:, answer], alone[0][:, 0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(channels[:, answer], alone[1][:, 0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["silence", "breath", "music", "noise"])
def test_where_nobody_speaks_the_lips_stay_together(encode: Encode, name: str) -> None:
    articulation, _ = encode(_windows(log_mel(np.asarray(SOUNDS[name](), np.float32), 16_000)))
    assert np.mean(aperture(articulation) < 0.12) >= 0.98
