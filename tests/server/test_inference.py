from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.geometry import Size
from avatar.lipsync import Crop, LipSyncSpec, MouthJob, MouthTuning
from avatar.pictures import Picture, Rgb
from server.inference import TOGETHER_NS, Inference

pytestmark = pytest.mark.anyio


class Ear:
    """What some models listen with; notes how many jobs it heard at once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []


class Counting:
    """A small true model: draws the job's own crop, notes its batches, and can be held up."""

    def __init__(self, ear: Ear | None = None) -> None:
        self.spec = LipSyncSpec(4, 0, Size(2, 2))
        self.ear = ear or Ear()
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.n_waiting = 0
        self.gate = threading.Event()
        self.gate.set()

    def hear(self, batch: Sequence[MouthJob]) -> NDArray[np.float32]:
        self.n_waiting += 1
        self.gate.wait(10)
        self.ear.batches.append([value(job) for job in batch])
        if any(job.openness < -1 for job in batch):
            raise RuntimeError("deaf")
        return np.array([[value(job)] for job in batch], np.float32)

    def paint(self, batch: Sequence[MouthJob], mouths: NDArray[np.float32]) -> list[Rgb]:
        assert mouths[:, 0].tolist() == [value(job) for job in batch]
        self.batches.append([value(job) for job in batch])
        self.threads.add(threading.current_thread().name)
        if any(job.openness < 0 for job in batch):
            raise RuntimeError("broken weights")
        return [job.crop.pixels for job in batch]

    def draw(self, batch: Sequence[MouthJob]) -> list[Rgb]:
        return self.paint(batch, self.hear(batch))


def value(job: MouthJob) -> int:
    return int(job.crop.pixels[0, 0, 0])


def job(value: int, openness: float = 1.0) -> MouthJob:
    crop = Crop(np.full((2, 2, 3), value, np.uint8), "talk", value)
    return MouthJob(np.zeros((4, 80), np.float32), crop, openness, MouthTuning())


async def idle(inference: Inference) -> None:
    """The last answer is there a moment before its thread waits again."""
    async with asyncio.timeout(10):
        while not inference.idle:  # noqa: ASYNC110 - a thread tells, not a task
            await asyncio.sleep(0.01)


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
    assert model.threads == {"inference-0"}


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


async def test_what_would_be_late_waits_for_what_can_be_in_time() -> None:
    model = Counting()
    model.gate.clear()
    with Inference(now_ns=lambda: 100) as inference:
        first = inference.draw(model, job(0), composed, 0)
        await asyncio.sleep(0.05)
        held_up_ns = 10 * 10**9  # longer than that first batch takes
        dues = (50, held_up_ns + 2, 60, held_up_ns + 1)
        answers = [inference.draw(model, job(i), composed, due) for i, due in enumerate(dues, start=1)]
        model.gate.set()
        await asyncio.gather(first, *answers)
    assert model.batches == [[0], [4, 2], [1, 3]]


async def test_what_is_not_urgent_waits_until_a_batch_is_full() -> None:
    model, hour_ns = Counting(), 3600 * 10**9
    with Inference(max_batch=3, now_ns=lambda: 0) as inference:
        answers = [inference.draw(model, job(i), composed, hour_ns * i) for i in (1, 2)]
        await asyncio.sleep(0.05)
        assert model.batches == []
        answers.append(inference.draw(model, job(3), composed, hour_ns * 3))
        await asyncio.gather(*answers)
    assert model.batches == [[1, 2, 3]]


async def test_what_is_not_urgent_waits_until_it_is() -> None:
    model, comfort_ns = Counting(), 100_000_000
    began = time.monotonic_ns()
    with Inference(comfort_ns=comfort_ns) as inference:
        await inference.draw(model, job(1), composed, began + comfort_ns + 50_000_000)
    assert time.monotonic_ns() - began >= 50_000_000


async def test_something_urgent_waits_for_nothing_and_leaves_what_is_due_much_later() -> None:
    model, hour_ns = Counting(), 3600 * 10**9
    with Inference(now_ns=lambda: 0) as inference:
        later = inference.draw(model, job(1), composed, hour_ns)
        await asyncio.sleep(0.05)
        await inference.draw(model, job(2), composed, 1)
        assert model.batches == [[2]]
        later.cancel()


async def test_avatars_are_heard_together_and_painted_apart() -> None:
    ear = Ear()
    one, other = Counting(ear), Counting(ear)
    one.gate.clear()
    with Inference(max_batch=8) as inference:
        first = inference.draw(one, job(9), composed, 0)
        await asyncio.sleep(0.05)
        answers = [inference.draw(model, job(i), composed, i) for i, model in enumerate((one, other, one, other))]
        one.gate.set()
        pictures = await asyncio.gather(first, *answers)
    assert ear.batches == [[9], [0, 2, 1, 3]]
    assert one.batches == [[9], [0, 2]]
    assert other.batches == [[1, 3]]
    assert [int(picture[0, 0]) for picture in pictures] == [9, 0, 1, 2, 3]


async def test_models_with_other_ears_hear_for_themselves() -> None:
    one, other = Counting(), Counting()
    one.gate.clear()
    with Inference() as inference:
        first = inference.draw(one, job(9), composed, 0)
        await asyncio.sleep(0.05)
        answers = [inference.draw(model, job(i), composed, i) for i, model in enumerate((one, other))]
        one.gate.set()
        await asyncio.gather(first, *answers)
    assert (one.ear.batches, other.ear.batches) == ([[9], [0]], [[1]])


async def test_the_avatar_of_the_most_urgent_fills_the_batch_before_others() -> None:
    one, other = Counting(), Counting()
    one.gate.clear()
    with Inference(max_batch=2) as inference:
        first = inference.draw(one, job(9), composed, 0)
        await asyncio.sleep(0.05)
        answers = [inference.draw(model, job(i), composed, i) for i, model in enumerate((one, other, other, one))]
        one.gate.set()
        await asyncio.gather(first, *answers)
    assert one.batches == [[9], [0, 3]]
    assert other.batches == [[1, 2]]


async def test_what_is_asked_for_one_after_the_other_is_drawn_together() -> None:
    model = Counting()
    with Inference() as inference:
        answers = []
        for i in range(3):
            answers.append(inference.draw(model, job(i), composed, i))
            await asyncio.sleep(0)
        await asyncio.gather(*answers)
    assert model.batches == [[0, 1, 2]]


async def test_each_thread_draws_a_batch_of_its_own() -> None:
    model = Counting()
    model.gate.clear()
    with Inference(n_threads=2, max_batch=2) as inference:
        answers = [inference.draw(model, job(i), composed, i) for i in range(4)]
        async with asyncio.timeout(10):
            while model.n_waiting < 2:  # noqa: ASYNC110 - threads tell, not tasks
                await asyncio.sleep(0.01)
        model.gate.set()
        await asyncio.gather(*answers)
        await idle(inference)
    assert model.threads == {"inference-0", "inference-1"}
    assert sorted(model.batches) == [[0, 1], [2, 3]]


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
    ear = Ear()
    broken, deaf, sound = Counting(ear), Counting(), Counting(ear)
    broken.gate.clear()
    with Inference(max_batch=8) as inference:
        first = inference.draw(broken, job(9), composed, 0)
        await asyncio.sleep(0.05)
        spoilt = [inference.draw(broken, job(1, openness=-1), composed, 0)]
        spoilt.append(inference.draw(deaf, job(2, openness=-2), composed, 0))
        good = inference.draw(sound, job(3), composed, 0)
        broken.gate.set()
        assert (await first)[0, 0] == 9
        for answer, sentence in zip(spoilt, ("broken weights", "deaf"), strict=True):
            with pytest.raises(RuntimeError, match=sentence):
                await answer
        assert (await good)[0, 0] == 3
        assert (await inference.draw(broken, job(7), composed, 0))[0, 0] == 7
        await idle(inference)


async def test_leaving_ends_the_threads() -> None:
    with Inference(n_threads=3):
        assert {f"inference-{i}" for i in range(3)} <= {thread.name for thread in threading.enumerate()}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("inference")]
