"""Lips that follow speech: what is heard becomes articulation, is tuned, and is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.articulation import CHANNELS
from avatar.audio import silence
from avatar.errors import BundleError
from avatar.features import LogMel
from avatar.geometry import Size
from avatar.lipsync import Crop, MouthJob, MouthTuning
from models.loading import Catalogue
from models.renderers import WholeRenderer
from models.runtimes.network import Shape
from models.speech_lips import EncoderCard, SpeechLips, read_card
from tests.tiny_avatar import LOOK_AHEAD_MS, LOUD, QUIET, WINDOW, mouth_rows

JAW, CLOSE = CHANNELS.index("jaw"), CHANNELS.index("close")
BF16 = 4e-3
"""What rounding to it moves a number up to 1 by, at most."""


@pytest.fixture(scope="module")
def lips(tiny_avatar: Path) -> SpeechLips:
    model = Catalogue([tiny_avatar], threads=1).load("tiny").model
    assert isinstance(model, SpeechLips)
    return model


def job(loudness: float, openness: float = 1.0, tuning: MouthTuning | None = None) -> MouthJob:
    """A job whose speech opens the jaw this far, 0 to 1, on a crop of its own."""
    features = np.full((WINDOW, 80), QUIET + loudness * (LOUD - QUIET), np.float32)
    pixels = np.random.default_rng(int(loudness * 1000)).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    return MouthJob(features, Crop(pixels, "talk", int(loudness * 1000)), openness, tuning or MouthTuning())


def colour(patch: NDArray[np.uint8]) -> tuple[int, int, int]:
    """What the tiny avatar's mouth is painted with: 255 times jaw, 255 times close, and 0."""
    red, green, blue = patch[mouth_rows(48)].reshape(-1, 3).max(axis=0)
    return int(red), int(green), int(blue)


def test_the_spec_comes_from_the_networks(lips: SpeechLips) -> None:
    assert (lips.spec.window, lips.spec.look_ahead_ms, lips.spec.patch) == (WINDOW, LOOK_AHEAD_MS, Size(48, 48))


def test_louder_speech_opens_the_mouth_wider(lips: SpeechLips) -> None:
    jaws = [colour(lips.draw([job(loudness)])[0])[0] for loudness in (0.0, 0.25, 0.5, 1.0)]
    assert jaws == [0, 64, 128, 255]


def test_real_speech_levels_move_the_jaw(lips: SpeechLips) -> None:
    time_s = np.arange(16000) / 16000
    voice = np.round(8000 * np.sign(np.sin(2 * np.pi * 120 * time_s)) * np.exp(-time_s)).astype(np.int16)
    loud = LogMel(16000).push(voice)[-WINDOW:]
    quiet = LogMel(16000).push(silence(16000))[-WINDOW:]
    jaws = lips.articulations(np.stack([quiet, loud]).astype(np.float32))[:, JAW]
    assert jaws[0] == 0
    assert jaws[1] > 0.3


def test_pixels_around_the_mouth_are_the_crops(lips: SpeechLips) -> None:
    asked = job(0.5)
    patch = lips.draw([asked])[0]
    around = np.ones(48, bool)
    around[mouth_rows(48)] = False
    assert np.array_equal(patch[around], asked.crop.pixels[around])


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_a_batch_is_drawn_as_its_jobs_alone(lips: SpeechLips, n: int) -> None:
    jobs = [job(i / 16, openness=1 - i / 32, tuning=MouthTuning(gain=1 + i / 8)) for i in range(n)]
    together = lips.draw(jobs)
    assert len(together) == n
    for alone, patch in zip(jobs, together, strict=True):
        assert np.array_equal(lips.draw([alone])[0], patch)


def test_no_jobs_give_no_patches(lips: SpeechLips) -> None:
    assert lips.draw([]) == []


@pytest.mark.parametrize(
    ("openness", "tuning", "painted"),
    [
        (1.0, MouthTuning(), (102, 26, 0)),
        (0.5, MouthTuning(), (51, 13, 0)),
        (0.0, MouthTuning(), (0, 0, 0)),
        (1.0, MouthTuning(gain=2.0), (204, 26, 0)),
        (1.0, MouthTuning(closure=2.0), (91, 51, 0)),
        (1.0, MouthTuning(gain=4.0, closure=4.0), (255, 102, 0)),
        (0.5, MouthTuning(gain=4.0), (204, 13, 0)),
    ],
)
def test_gain_closure_and_openness_scale_what_is_drawn(
    lips: SpeechLips, openness: float, tuning: MouthTuning, painted: tuple[int, int, int]
) -> None:
    drawn = colour(lips.draw([job(0.4, openness, tuning)])[0])
    assert np.abs(np.array(drawn) - painted).max() <= 1


def test_smoothing_shows_the_mean_of_the_moments_before_but_the_newest_closure(lips: SpeechLips) -> None:
    loudness = np.array([0.0] * 8 + [1.0] * 4)  # of the newest hops; the tiny encoder hears the last four
    features = np.full((WINDOW + 8, 80), QUIET, np.float32)
    features[-len(loudness) :] += (loudness * (LOUD - QUIET))[:, None].astype(np.float32)
    crop = job(0).crop
    sharp = lips.draw([MouthJob(features[8:], crop, 1.0, MouthTuning())])[0]
    smooth = lips.draw([MouthJob(features, crop, 1.0, MouthTuning(smoothing_ms=80))])[0]
    moments = np.array([0, 0, 0, 0.5, 1.0])  # 80, 60, 40, 20 and 0 ms before
    assert np.abs(np.array(colour(sharp)) - (255, 64, 0)).max() <= 1
    assert np.abs(np.array(colour(smooth)) - (255 * moments.mean(), 64, 0)).max() <= 1


def test_jobs_with_and_without_smoothing_share_a_batch(lips: SpeechLips) -> None:
    long = np.repeat(job(0.7).features[:1], WINDOW + 4, axis=0)
    jobs = [job(0.2), MouthJob(long, job(0.5).crop, 1.0, MouthTuning(smoothing_ms=40)), job(0.9)]
    for alone, patch in zip(jobs, lips.draw(jobs), strict=True):
        assert np.array_equal(lips.draw([alone])[0], patch)


def test_articulations_are_what_the_encoder_hears_untuned(lips: SpeechLips) -> None:
    heard = lips.articulations(np.stack([job(0.2).features, job(0.8).features]))
    assert heard.shape == (2, 7)
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard[:, JAW], [0.2, 0.8], atol=BF16)
    np.testing.assert_allclose(heard[:, CLOSE], [0.05, 0.2], atol=BF16)


class Shapes:
    """A network of which only the shapes matter."""

    def __init__(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> None:
        self.inputs, self.outputs, self.n_bytes = inputs, outputs, 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        raise NotImplementedError


ENCODER = Shapes({"mel": (None, 16, 80)}, {"articulation": (None, 7)})
RENDERER = Shapes({"crop": (None, 48, 48, 3), "articulation": (None, 7)}, {"patch": (None, 48, 48, 3)})


@pytest.mark.parametrize(
    ("encoder", "renderer", "sentence"),
    [
        (
            Shapes({"mel": (None, 20, 80)}, ENCODER.outputs),
            RENDERER,
            r"speech encoder takes 'mel' of shape \(any, 20, 80\), needed is \(any, 16, 80\)",
        ),
        (Shapes({"audio": (None, 1)}, ENCODER.outputs), RENDERER, "speech encoder takes audio, but not 'mel'"),
        (
            Shapes(ENCODER.inputs, {"articulation": (None, 8)}),
            RENDERER,
            r"speech encoder gives 'articulation' of shape \(any, 8\), needed is \(any, 7\)",
        ),
        (
            ENCODER,
            Shapes({"crop": (None, None, 48, 3), "articulation": (None, 7)}, RENDERER.outputs),
            r"crops of shape \(any, any, 48, 3\); height and width must be fixed",
        ),
        (
            ENCODER,
            Shapes({"crop": (None, 3, 48, 48), "articulation": (None, 7)}, RENDERER.outputs),
            r"mouth renderer takes 'crop' of shape \(any, 3, 48, 48\), needed is \(any, any, any, 3\)",
        ),
        (
            ENCODER,
            Shapes(RENDERER.inputs, {"patch": (None, 24, 48, 3)}),
            r"mouth renderer gives 'patch' of shape \(any, 24, 48, 3\), needed is \(any, 48, 48, 3\)",
        ),
    ],
)
def test_networks_that_do_not_fit_together_are_refused(encoder: Shapes, renderer: Shapes, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        SpeechLips(encoder, WholeRenderer(renderer), EncoderCard(16, 80))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "window = 16",
            "card.toml does not say what its speech encoder hears: .*missing required field `look_ahead_ms`",
        ),
        ("window = ", "card.toml does not say what its speech encoder hears: Invalid value"),
        ("window = 4\nlook_ahead_ms = 80", "has a window of 4 frames of 10 ms and looks 80 ms ahead"),
    ],
)
def test_a_card_that_does_not_say_what_is_heard_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "card.toml").write_text(text)
    with pytest.raises(BundleError, match=sentence):
        read_card(tmp_path / "card.toml")


def test_a_card_may_say_more(tmp_path: Path) -> None:
    (tmp_path / "card.toml").write_text('window = 16\nlook_ahead_ms = 80\ntrained = "on much speech"\n')
    assert read_card(tmp_path / "card.toml") == EncoderCard(16, 80)


def test_an_encoder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="card.toml does not say what its speech encoder hears"):
        read_card(tmp_path / "card.toml")
