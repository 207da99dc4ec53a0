from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.audio import AudioChunk
from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.lipsync import LipSyncModel, LipSyncSpec, MouthJob
from avatar.performance import Performance, Plan
from avatar.pictures import Picture, Rgb
from avatar.timeline import Timeline
from models.loading import Catalogue, LoadedAvatar
from server.drawing import Drawing
from server.inference import Inference
from server.load.levels import Level
from server.session import SAMPLE_RATE

pytestmark = pytest.mark.anyio


class Counting:
    """The avatar's own model; it keeps what it drew, by what it heard."""

    def __init__(self, model: LipSyncModel) -> None:
        self._model = model
        self.drawn: dict[bytes, Rgb] = {}

    @property
    def spec(self) -> LipSyncSpec:
        return self._model.spec

    @property
    def ear(self) -> object:
        return self._model.ear

    def hear(self, batch: Sequence[MouthJob]) -> NDArray[np.float32]:
        return self._model.hear(batch)

    def paint(self, batch: Sequence[MouthJob], mouths: NDArray[np.float32]) -> list[Rgb]:
        patches = self._model.paint(batch, mouths)
        self.drawn |= {job.features.tobytes(): patch for job, patch in zip(batch, patches, strict=True)}
        return patches

    def draw(self, batch: Sequence[MouthJob]) -> list[Rgb]:
        return self.paint(batch, self.hear(batch))


@pytest.fixture(scope="module")
def loaded(tiny_avatar: Path) -> LoadedAvatar:
    return Catalogue([tiny_avatar]).load("tiny")


def plans_of(loaded: LoadedAvatar, draws_mouth: Callable[[int], bool] = lambda index: True, n: int = 20) -> list[Plan]:
    """Speech whose loudness never stands still, and a mouth in every frame but the first."""
    assert loaded.model
    timeline = Timeline(Fraction(25), SAMPLE_RATE)
    performance = Performance(loaded.bundle, timeline, loaded.model.spec)
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(3).normal(0, 6000, len(t)) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))
    performance.hear(AudioChunk(noise.astype(np.int16), performance.turn))
    plans = []
    for index in range(n):
        performance.draws_mouth = draws_mouth(index)
        plans.append(performance.step(timeline.tick(index)))
    return plans


async def drawn(drawing: Drawing, plans: Sequence[Plan]) -> list[Picture]:
    asked = [drawing.picture(plan, plan.tick.index) for plan in plans]
    return [await one if isinstance(one, asyncio.Future) else one for one in asked]


async def test_at_half_rate_every_second_mouth_is_drawn_and_laid_on_two_frames_of_the_body(
    loaded: LoadedAvatar,
) -> None:
    assert loaded.model
    model, compositor = Counting(loaded.model), Compositor(loaded.bundle)
    plans = [plan for plan in plans_of(loaded) if plan.mouth]
    with Inference() as inference:
        drawing = Drawing(Compositor(loaded.bundle), model, inference)
        drawing.level = Level.HALF_RATE
        pictures = await drawn(drawing, plans)
    assert len(model.drawn) == (len(plans) + 1) // 2
    for n, (plan, picture) in enumerate(zip(plans, pictures, strict=True)):
        heard = plans[n - n % 2].mouth
        assert plan.mouth
        assert heard
        expected = compositor.compose(plan.shot, model.drawn[heard.features.tobytes()], plan.mouth.strength)
        assert np.array_equal(picture, expected)
    assert all(not np.array_equal(one, next_) for one, next_ in zip(pictures, pictures[1:], strict=False))


async def test_clips_are_crossed_before_a_mouth_is_asked_for_that_goes_on_them(loaded: LoadedAvatar) -> None:
    plans = [plan for plan in plans_of(loaded) if plan.mouth and plan.shot.leaving]
    threads = []

    class Watched(Compositor):
        def compose(self, shot: Shot, mouth: Rgb | None = None, strength: float = 1.0) -> Picture:
            threads.append((threading.current_thread().name.rstrip("-_0"), self.is_ready(shot)))
            return super().compose(shot, mouth, strength)

    with Inference() as inference:
        drawing = Drawing(Watched(loaded.bundle), loaded.model, inference)
        pictures = await drawn(drawing, plans)
    compositor = Compositor(loaded.bundle)
    bodies = [compositor.compose(plan.shot) for plan in plans]
    assert plans
    assert not any(np.array_equal(one, body) for one, body in zip(pictures, bodies, strict=True))
    assert sorted(threads) == [("footage", False)] * len(plans) + [("inference", True)] * len(plans)


async def test_a_crossing_is_made_before_it_is_asked_for(loaded: LoadedAvatar) -> None:
    plans, compositor = plans_of(loaded, n=40), Compositor(loaded.bundle)
    coming = [shot for plan in plans for shot in plan.coming]
    crossing = [plan.shot for plan in plans if plan.shot.leaving]
    assert coming
    assert not any(map(compositor.is_ready, crossing))
    with Inference() as inference:
        await Drawing(compositor, loaded.model, inference).prepare(coming)
    assert len([shot for shot in crossing if not compositor.is_ready(shot)]) <= 1  # that of the decision itself


async def test_who_begins_to_speak_at_half_rate_has_its_first_mouth_drawn(loaded: LoadedAvatar) -> None:
    assert loaded.model
    model = Counting(loaded.model)
    plans = [plan for plan in plans_of(loaded) if plan.mouth]
    with Inference() as inference:
        drawing = Drawing(Compositor(loaded.bundle), model, inference)
        drawing.level = Level.HALF_RATE
        await drawn(drawing, plans[:1])
        await drawn(drawing, plans[2:4])
    assert len(model.drawn) == 2


async def test_a_mouth_that_was_withdrawn_takes_the_frame_along_that_was_to_show_it_again(
    loaded: LoadedAvatar,
) -> None:
    first, second = [plan for plan in plans_of(loaded) if plan.mouth][:2]
    with Inference() as inference:
        drawing = Drawing(Compositor(loaded.bundle), loaded.model, inference)
        drawing.level = Level.HALF_RATE
        asked = [drawing.picture(first, 0), drawing.picture(second, 1)]
        for one in asked[:1]:
            assert isinstance(one, asyncio.Future)
            one.cancel()
        ended = await asyncio.gather(*(one for one in asked if isinstance(one, asyncio.Future)), return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError] * 2


def test_mouths_that_are_not_drawn_close_over_three_frames_and_open_again_over_two(loaded: LoadedAvatar) -> None:
    plans = plans_of(loaded, draws_mouth=lambda index: not 6 <= index < 12)
    openness = [plan.mouth.openness if plan.mouth else 0 for plan in plans]
    assert openness[5:16] == pytest.approx([1, 2 / 3, 1 / 3, 0, 0, 0, 0, 0.5, 1, 1, 1])
    sound = np.concatenate([plan.sound for plan in plans])
    assert np.array_equal(sound, np.concatenate([plan.sound for plan in plans_of(loaded)]))
