from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from avatar.geometry import Size
from avatar.lipsync import LipSyncSpec, MouthJob, MouthTuning
from avatar.pictures import Picture, Rgb
from server.inference import TOGETHER_NS, Inference

pytestmark = pytest.mark.anyio


class Counting:
    """A small true model: draws the job's own crop, notes its batches, and can be held up."""

    def __init__(self) -> None:
        self.spec = LipSyncSpec(4, 0, Size(2, 2))
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def draw(self, batch: Sequence[MouthJob]) -> list[Rgb]:
        self.gate.wait(10)
        self.batches.append([int(job.crop[0, 0, 0]) for job in batch])
        self.threads.add(threading.current_thread().name)
        if any(job.openness < 0 for job in batch):
            raise RuntimeError("broken weights")
        return [job.crop for job in batch]


def job(value: int, openness: float = 1.0) -> MouthJob:
    return MouthJob(np.zeros((4, 80), np.float32), np.full((2, 2, 3), value, np.uint8), openness, MouthTuning())


def composed(mouth: Rgb) -> Picture:
    return mouth[..., 0]


async def test_what_waits_is_drawn_together_the_most_urgent_first_in_one_thread() -> None:
    model = Counting()
    with Inference(max_batch=3) as inference:
        model.gate.clear()
        first = inference.draw(model, job(0), composed, 0)
        await asyncio.sleep(0.05)
        answers = [inference.draw(model, job(i), composed, 10 - i) for i in range(1, 6)]
        model.gate.set()
        pictures = await asyncio.gather(first, *answers)
    assert model.batches == [[0], [5, 4, 3], [2, 1]]
    assert [int(picture[0, 0]) for picture in pictures] == [0, 1, 2, 3, 4, 5]
    assert model.threads == {"inference"}


async def test_frames_rendered_ahead_do_not_hold_up_the_next_one() -> None:
    model = Counting()
    model.gate.clear()
    with Inference() as inference:
        first = inference.draw(model, job(0), composed, 0)
        await asyncio.sleep(0.05)
        dues = (0, 1, 2 * TOGETHER_NS, 2 * TOGETHER_NS + 1, 4 * TOGETHER_NS)
        answers = [inference.draw(model, job(i), composed, due) for i, due in enumerate(dues, start=1)]
        model.gate.set()
        await asyncio.gather(first, *answers)
    assert model.batches == [[0], [1, 2], [3, 4], [5]]


async def test_models_do_not_share_a_batch() -> None:
    one, other = Counting(), Counting()
    one.gate.clear()
    with Inference() as inference:
        first = inference.draw(one, job(0), composed, 0)
        await asyncio.sleep(0.05)
        answers = [inference.draw(model, job(i), composed, i) for i, model in enumerate((one, other, one, other))]
        one.gate.set()
        await asyncio.gather(first, *answers)
    assert one.batches == [[0], [0, 2]]
    assert other.batches == [[1, 3]]


async def test_a_cancelled_request_is_not_drawn() -> None:
    model = Counting()
    model.gate.clear()
    with Inference() as inference:
        first = inference.draw(model, job(0), composed, 0)
        await asyncio.sleep(0.05)
        inference.draw(model, job(1), composed, 1).cancel()
        last = inference.draw(model, job(2), composed, 2)
        model.gate.set()
        await asyncio.gather(first, last)
    assert model.batches == [[0], [2]]


async def test_an_error_belongs_to_those_who_asked_and_the_thread_lives_on() -> None:
    model = Counting()
    with Inference() as inference:
        with pytest.raises(RuntimeError, match="broken weights"):
            await inference.draw(model, job(1, openness=-1), composed, 0)
        assert (await inference.draw(model, job(7), composed, 0))[0, 0] == 7
        assert inference.idle


async def test_leaving_ends_the_thread() -> None:
    with Inference():
        assert "inference" in {thread.name for thread in threading.enumerate()}
    assert "inference" not in {thread.name for thread in threading.enumerate()}
