"""A preview shows what would be published, and a budget times every stage of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from avatar.errors import AvatarError
from avatar.lipsync import MouthTuning
from models.loading import Catalogue, LoadedAvatar
from server.budget import STAGES, measure_budget
from server.preview import TILE, preview
from server.session import SAMPLE_RATE

SPEECH = (9000 * np.sin(np.arange(2 * SAMPLE_RATE) * 0.05)).astype(np.int16)
FIRST, N_FRAMES = 10, 6


@pytest.fixture(scope="module")
def avatar(tiny_avatar: Path) -> LoadedAvatar:
    return Catalogue([tiny_avatar], threads=1).load("tiny")


def test_a_preview_shows_the_frames_that_were_asked_for(avatar: LoadedAvatar) -> None:
    seen = preview(avatar, SPEECH, avatar.bundle.tuning, FIRST, N_FRAMES)
    assert seen.strip.shape == (TILE.height, N_FRAMES * TILE.width, 3)
    assert seen.times_s[0] == pytest.approx((FIRST + 0.5) / 25)
    assert len(seen.times_s) == len(seen.aperture) == len(seen.closure) == N_FRAMES
    assert seen.aperture.min() > 0.1


def test_a_knob_is_seen_in_the_preview(avatar: LoadedAvatar) -> None:
    plain = preview(avatar, SPEECH, MouthTuning(), FIRST, N_FRAMES)
    shut = preview(avatar, SPEECH, dataclasses.replace(MouthTuning(), gain=0.0), FIRST, N_FRAMES)
    assert shut.aperture.max() == 0 < plain.aperture.min()
    assert (plain.strip != shut.strip).any()
    assert avatar.bundle.tuning == MouthTuning()


def test_every_stage_of_every_frame_is_timed(avatar: LoadedAvatar) -> None:
    budget = measure_budget(avatar, SPEECH[: SAMPLE_RATE * 3 // 4], SAMPLE_RATE)
    counts = {stage: len(budget.taken_ms[stage]) for stage in STAGES}
    assert list(counts.values())[:3] == [2, 2, 19]
    assert 15 <= counts["speech encoder"] == counts["mouth renderer"] == counts["lay the mouth on"] <= 19
    assert budget.frame_ms > 0


def test_a_body_without_lips_has_no_budget(tiny_body: Path) -> None:
    body = Catalogue([tiny_body]).load("body")
    with pytest.raises(AvatarError, match="'body' draws no mouth"):
        measure_budget(body, SPEECH, SAMPLE_RATE)
