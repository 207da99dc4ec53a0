"""Events say what is heard and seen, when it is: judged by the recording and by the published pictures."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from avatar.audio import Pcm
from avatar.cues import Behaviour, Block, Moment, Perform
from avatar.timeline import Timeline
from models.loading import Catalogue, LoadedAvatar
from server.inference import Inference
from server.pacing import NEVER_NS
from server.publisher import Publisher
from server.publishers.recorder import Recorder
from server.publishers.recording import RecordingPublisher
from server.session import SAMPLE_RATE, Event, Session, SessionOptions
from tests.server.clocks import JumpingClock
from tests.server.show import watch
from tests.server.test_session import Collector, jaw, on_air, voice

pytestmark = pytest.mark.anyio

MS = 1_000_000
FRAME_MS = 40


@pytest.fixture(scope="module")
def loaded(tiny_avatar: Path) -> LoadedAvatar:
    return Catalogue([tiny_avatar]).load("tiny")


@dataclass
class Told:
    """Events with the moment at which each came, milliseconds of the recording."""

    clock: JumpingClock
    events: list[tuple[float, Event]] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append((self.clock.now_ns() / MS - SessionOptions().lead_ms, event))

    def named(self, *names: str) -> list[tuple[float, Event]]:
        return [(at, event) for at, event in self.events if event["event"] in names]


def stretches(sound: np.ndarray[tuple[int], np.dtype[np.float32]], gap_ms: int = 100) -> list[tuple[float, float]]:
    """Where something is heard, start and end in milliseconds; silence shorter than ``gap_ms`` does not divide it.

    Half a millisecond of it is heard when its mean level is above -40 dB: AAC spreads loud sound a little, at less.
    """
    n = SAMPLE_RATE // 2000
    blocks = np.sqrt(np.mean(np.square(sound[: len(sound) // n * n].reshape(-1, n)), axis=1))
    loud = np.flatnonzero(blocks > 0.01) / 2
    breaks = np.flatnonzero(np.diff(loud) > gap_ms)
    starts = [loud[0], *loud[breaks + 1]]
    ends = [*loud[breaks], loud[-1]]
    return [(float(start), float(end) + 0.5) for start, end in zip(starts, ends, strict=True)]


async def test_speech_is_told_within_a_frame_of_what_the_recording_sounds(
    loaded: LoadedAvatar, recorder: Recorder, tmp_path: Path
) -> None:
    rng, film = random.Random(5), tmp_path / "film.mp4"
    timeline = Timeline(loaded.bundle.fps, SAMPLE_RATE)
    publishers: list[Publisher] = [
        RecordingPublisher(film, loaded.bundle.size, timeline, recorder, pictures_held_s=1000)
    ]
    with Inference(comfort_ns=NEVER_NS) as inference:
        clock = JumpingClock(lambda: not (inference.idle and session.is_on_air))
        told = Told(clock)
        session = Session("s", loaded.bundle, loaded.model, inference, publishers, clock, emit=told)
        async with asyncio.TaskGroup() as tasks:
            time = tasks.create_task(clock.run())
            running = tasks.create_task(session.run())

            async def wait_ms(ms: float) -> None:
                await clock.sleep_until(clock.now_ns() + int(ms * MS))

            for number in range(16):
                await wait_ms(rng.uniform(400, 700))
                session.hear(voice(2 if number % 2 else rng.uniform(0.3, 1.5), seed=number), f"e{number}")
                if number % 2:
                    await wait_ms(rng.uniform(150, 1000))
                    session.interrupt("i")
                    await wait_ms(100)
                else:
                    session.end_speech()
                    await wait_ms(1600)
            session.stop()
            await running
            time.cancel()
    heard = stretches(watch(film).sound)
    started = told.named("speak_started")
    over = told.named("speak_ended", "speak_interrupted")
    assert len(heard) == len(started) == len(over) == 16
    assert {str(event["event"]) for _, event in over} == {"speak_ended", "speak_interrupted"}
    off = []
    for (start, end), (at, _), (over_at, event) in zip(heard, started, over, strict=True):
        played_ms = event["played_ms"]
        assert isinstance(played_ms, int)
        off.append((at - start, over_at - end, start + played_ms - end))
    worst = np.abs(np.array(off)).max(axis=0)
    assert worst[0] <= FRAME_MS, "speak_started"
    assert worst[1] <= FRAME_MS, "speak_ended and speak_interrupted"
    assert worst[2] <= FRAME_MS, "played_ms"


class Watching(Collector):
    """Knows the last frame that was published."""

    @property
    def last(self) -> int:
        return self.frames[-1].tick.index


async def test_gestures_are_told_with_the_first_picture_that_shows_them(loaded: LoadedAvatar) -> None:
    collector = Watching()
    seen: list[tuple[int, Event]] = []
    async with on_air(loaded, collector) as show:
        show.session.emit = lambda event: seen.append((collector.last, event))
        await show.wait_ms(1000)
        for start_s in (0.4, 3.0, 5.72):
            show.session.perform(Block((Behaviour(Perform("nod"), "n", Moment(start_s)),), "MERGE", "e9"))
        asked = collector.last + 1
        await show.wait_ms(8000)
    started = [index for index, event in seen if event["event"] == "action_started"]
    assert [
        abs(index - asked - round(start_s * 25)) <= 1 for index, start_s in zip(started, (0.4, 3.0, 5.72), strict=True)
    ]
    loop = loaded.bundle.clips["idle"].frames
    for index in started:
        shown = [np.shares_memory(frame.picture, loop) for frame in collector.frames[index - 2 : index + 2]]
        assert shown == [True, True, False, False]
    events = [event for _, event in seen if str(event["event"]).startswith("action")]
    told: list[Event] = [
        {"event": "action_started", "name": "NOD", "id": "n", "event_id": "e9"},
        {"event": "action_ended", "name": "NOD", "id": "n", "event_id": "e9"},
    ]
    assert events == told * 3


async def test_lips_go_on_while_a_gesture_is_played(loaded: LoadedAvatar) -> None:
    """The tiny avatar's jaw follows the loudness, on whatever clip it is drawn."""
    jaws: list[list[float]] = []
    speech: Pcm = voice(3)
    for gestures in (False, True):
        collector = Collector()
        async with on_air(loaded, collector) as show:
            await show.wait_ms(500)
            if gestures:
                show.session.perform(Block((Behaviour(Perform("nod"), "", Moment(0.4, "speech"), None, 3),)))
            show.session.hear(speech, "e")
            show.session.end_speech()
            await show.until(lambda names=show.names: "speak_ended" in names())  # type: ignore[misc]
            nodded = "action_started" in show.names()
        assert nodded == gestures
        spoken = [frame for frame in collector.frames if frame.sound.any()]
        jaws.append([jaw(frame, loaded) for frame in spoken])
        assert np.array_equal(np.concatenate([frame.sound for frame in spoken])[: len(speech)], speech)
    assert np.corrcoef(jaws[0], jaws[1])[0, 1] > 0.9
