from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import psutil
import pytest

from avatar.audio import Pcm
from avatar.compositor import Compositor
from avatar.cues import Behaviour, Block, Perform
from avatar.director import Shot
from avatar.pictures import Picture, Rgb, to_rgb
from avatar.timeline import Timeline
from models.loading import Catalogue, LoadedAvatar
from server.inference import Inference
from server.pacing import NEVER_NS, MonotonicClock
from server.publisher import RenderedFrame
from server.publishers.recorder import Recorder
from server.publishers.recording import RecordingPublisher
from server.session import SAMPLE_RATE, Event, Session, SessionOptions, Shown
from tests.server.clocks import JumpingClock
from tests.tiny_avatar import mouth_rows

pytestmark = pytest.mark.anyio

FRAME = 1920
MS = 1_000_000


@dataclass
class Collector:
    """A publisher that keeps what it is given; ``keep_pictures`` bounds how many pictures."""

    keep_pictures: int = 10**9
    frames: list[RenderedFrame] = field(default_factory=list)
    sound: list[Pcm] = field(default_factory=list)
    entered: int = 0
    left: int = 0
    flushed: int = 0

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left += 1

    def publish(self, frame: RenderedFrame) -> None:
        self.sound.append(frame.sound)
        if len(self.frames) < self.keep_pictures:
            self.frames.append(frame)

    def flush(self) -> None:
        self.flushed += 1

    @property
    def heard(self) -> Pcm:
        return np.concatenate(self.sound)


@dataclass
class Show:
    session: Session
    clock: JumpingClock
    collector: Collector
    events: list[Event]
    shown: list[Shown]

    async def until(self, done: Callable[[], bool]) -> None:
        for _ in range(10**7):
            if done():
                return
            await self.clock.sleep_until(self.clock.now_ns() + 5 * MS)

    async def wait_ms(self, ms: float) -> None:
        await self.clock.sleep_until(self.clock.now_ns() + int(ms * MS))

    def names(self) -> list[object]:
        return [event["event"] for event in self.events]


@asynccontextmanager
async def on_air(
    loaded: LoadedAvatar, collector: Collector | None = None, options: SessionOptions = SessionOptions()
) -> AsyncIterator[Show]:
    collector = collector or Collector()
    events: list[Event] = []
    shown: list[Shown] = []
    with Inference(comfort_ns=NEVER_NS) as inference:
        clock = JumpingClock(lambda: not inference.idle)
        session = Session(
            "s", loaded.bundle, loaded.model, inference, [collector], clock, options, events.append, shown.append
        )
        async with asyncio.TaskGroup() as tasks:
            time = tasks.create_task(clock.run())
            running = tasks.create_task(session.run())
            yield Show(session, clock, collector, events, shown)
            session.stop()
            await running
            time.cancel()


@pytest.fixture(scope="module")
def loaded(tiny_avatar: Path) -> LoadedAvatar:
    return Catalogue([tiny_avatar]).load("tiny")


def voice(seconds: float, seed: int = 7) -> Pcm:
    """Something loud with syllables: noise under a 4 Hz envelope, never silent."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(seed).normal(0, 1, len(t))
    return (6000 * noise * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))).clip(-32000, 32000).astype(np.int16) | 1


def trimmed(pcm: Pcm) -> Pcm:
    loud = np.flatnonzero(pcm)
    return pcm[loud[0] : loud[-1] + 1]


def mouth_of(loaded: LoadedAvatar) -> tuple[int, int]:
    """Where the tiny avatar's mouth is, near enough in all its clips: x, y."""
    bundle = loaded.bundle
    height, width = bundle.mask.shape
    rows = mouth_rows(height)
    middle = bundle.clips["idle"].faces[0] @ np.array([width / 2, (rows.start + rows.stop) / 2, 1])
    x, y = middle.round().astype(int)
    return int(x), int(y)


def unlikeness(picture: Rgb, loaded: LoadedAvatar) -> float:
    """How far the mouth's surroundings are from the most similar frame of all footage, in grey levels."""
    x, y = mouth_of(loaded)
    here = (slice(y - 8, y + 8), slice(x - 8, x + 8))
    footage = [to_rgb(frame)[here].astype(int) for clip in loaded.bundle.clips.values() for frame in clip.frames]
    return min(float(np.abs(frame - picture[here]).mean()) for frame in footage)


def jaw(frame: RenderedFrame, loaded: LoadedAvatar) -> float:
    """How red the tiny avatar's mouth is: its network paints the jaw, 0 to 1."""
    picture, (x, y) = to_rgb(frame.picture), mouth_of(loaded)
    return float(picture[y - 2 : y + 2, x - 2 : x + 2, 0].mean() / 255)


@pytest.mark.parametrize(("piece_ms", "pace"), [(20, 1.0), (500, 5.0), (10**6, 1.0)])
async def test_the_same_sound_is_published_however_it_arrives(loaded: LoadedAvatar, piece_ms: int, pace: float) -> None:
    pcm, n_piece = voice(3.3), piece_ms * SAMPLE_RATE // 1000
    async with on_air(loaded) as show:
        await show.wait_ms(333)
        for start in range(0, len(pcm), n_piece):
            show.session.hear(pcm[start : start + n_piece], "e")
            if start + n_piece < len(pcm):
                await show.wait_ms(piece_ms / pace)
        show.session.end_speech()
        await show.until(lambda: "speak_ended" in show.names())
        await show.wait_ms(200)
    assert np.array_equal(trimmed(show.collector.heard), pcm)
    assert [event for event in show.events if str(event["event"]).startswith("speak")] == [
        {"event": "speak_started", "utterance": 1, "event_id": "e"},
        {"event": "speak_ended", "utterance": 1, "played_ms": 3300},
    ]


async def test_frames_come_in_order_one_a_tick_each_with_its_sound(loaded: LoadedAvatar) -> None:
    async with on_air(loaded) as show:
        show.session.hear(voice(1), "e")
        show.session.end_speech()
        await show.wait_ms(3000)
    frames = show.collector.frames
    assert [frame.tick.index for frame in frames] == list(range(len(frames)))
    assert all(len(frame.sound) == frame.tick.n_samples for frame in frames)
    assert 73 <= len(frames) <= 74
    assert [(one.frame.tick.index, one.repeated, one.lateness_ns) for one in show.shown if one.late] == []


async def test_the_first_sound_is_published_within_80_ms_of_its_arrival(loaded: LoadedAvatar) -> None:
    waits = []
    for offset in range(0, 40, 4):
        async with on_air(loaded) as show:
            await show.wait_ms(1000 + offset)
            show.session.hear(voice(0.5), "e")
            show.session.end_speech()
            await show.until(lambda: "speak_ended" in show.names())
        waits += [shown.waited_ns / MS for shown in show.shown if shown.waited_ns is not None]
    assert len(waits) == 10
    assert max(waits) <= 80


async def test_pictures_are_drawn_further_ahead_while_more_speech_waits(loaded: LoadedAvatar) -> None:
    options = SessionOptions()
    async with on_air(loaded) as show:
        show.session.hear(voice(2), "e")
        show.session.end_speech()
        await show.until(lambda: "speak_ended" in show.names())
    ahead_ms = [40 * shown.spare for shown in show.shown if shown.spare is not None and shown.frame.sound.any()]
    assert max(ahead_ms) == options.most_lead_ms
    assert max(ahead_ms[-2:]) == options.lead_ms


async def test_speech_that_comes_as_it_is_spoken_is_not_drawn_ahead_of_it(loaded: LoadedAvatar) -> None:
    async with on_air(loaded) as show:
        for start in range(0, SAMPLE_RATE, FRAME):
            show.session.hear(voice(1)[start : start + FRAME], "e")
            await show.wait_ms(40)
        show.session.end_speech()
        await show.until(lambda: "speak_ended" in show.names())
    assert max(40 * shown.spare for shown in show.shown if shown.spare is not None) <= SessionOptions().lead_ms


async def test_the_mouth_moves_with_the_speech_and_rests_in_silence(loaded: LoadedAvatar) -> None:
    async with on_air(loaded) as show:
        await show.wait_ms(500)
        show.session.hear(voice(1), "e")
        show.session.end_speech()
        await show.until(lambda: "speak_ended" in show.names())
        await show.wait_ms(1000)
    frames = show.collector.frames
    spoken = [frame for frame in frames if frame.sound.any()]
    assert max(jaw(frame, loaded) for frame in spoken) > 0.5
    rest = [frame for frame in frames if frame.tick.index > spoken[-1].tick.index + 6]
    assert rest
    # Footage and crossings are views; what a mouth was laid on is an array of its own.
    assert any(frame.picture.flags.owndata for frame in spoken)
    assert not any(frame.picture.flags.owndata for frame in rest)


async def test_an_interruption_silences_at_once_closes_the_mouth_and_lets_the_next_speech_through(
    loaded: LoadedAvatar,
) -> None:
    rng = random.Random(3)
    for attempt in range(20):
        first, second = voice(4, seed=attempt), voice(0.7, seed=100 + attempt)
        async with on_air(loaded) as show:
            show.session.hear(first, "first")
            await show.until(lambda: "speak_started" in show.names())
            await show.wait_ms(rng.uniform(0, 3000))
            show.session.interrupt("stop")
            at_ns = show.clock.now_ns()
            await show.wait_ms(rng.uniform(0, 100))
            gap = len(show.collector.sound)
            await show.wait_ms(400)
            show.session.hear(second, "second")
            show.session.end_speech()
            await show.until(lambda: show.names().count("speak_ended") == 1)
            await show.wait_ms(200)
        heard = show.collector.heard
        n_before = int(at_ns / 1e9 * SAMPLE_RATE)
        quiet = heard[n_before + FRAME + SAMPLE_RATE // 100 :][: int(0.2 * SAMPLE_RATE)]
        assert not quiet.any(), "silent within a frame and the fade"
        closed_from = n_before // FRAME + 1 + 4
        resting = [f for f in show.collector.frames if closed_from <= f.tick.index < gap + 9]
        assert resting
        assert not any(frame.picture.flags.owndata for frame in resting), "no mouth is laid on"
        assert np.array_equal(trimmed(heard[n_before + 5 * FRAME :]), second)
        assert "speak_interrupted" in show.names()
        assert show.collector.flushed == 1


async def test_twenty_interruptions_can_be_heard_and_seen_in_the_recording(
    loaded: LoadedAvatar, recorder: Recorder, tmp_path: Path
) -> None:
    rng, cut_at, said, bundle = random.Random(11), [], [], loaded.bundle
    film = tmp_path / "film.mp4"
    timeline = Timeline(bundle.fps, SAMPLE_RATE)
    recording = RecordingPublisher(film, bundle.size, timeline, recorder, crf=12, pictures_held_s=1000)
    with Inference(comfort_ns=NEVER_NS) as inference:
        clock = JumpingClock(lambda: not (inference.idle and session.is_on_air))
        events: list[Event] = []
        session = Session(
            "s", bundle, loaded.model, inference, [recording], clock, SessionOptions(), emit=events.append
        )
        async with asyncio.TaskGroup() as tasks:
            time = tasks.create_task(clock.run())
            running = tasks.create_task(session.run())
            for attempt in range(20):
                session.hear(voice(3, seed=attempt), "long")
                await clock.sleep_until(clock.now_ns() + int(rng.uniform(0.3, 2) * 1e9))
                session.interrupt("stop")
                cut_at.append((clock.now_ns() - SessionOptions().lead_ms * MS) / 1e9)
                await clock.sleep_until(clock.now_ns() + 600 * MS)
                session.hear(voice(0.5, seed=100 + attempt), "short")
                session.end_speech()
                said.append(len(events))
                while not any(event["event"] == "speak_ended" for event in events[said[-1] :]):
                    await clock.sleep_until(clock.now_ns() + 20 * MS)
                await clock.sleep_until(clock.now_ns() + 300 * MS)
            session.stop()
            await running
            time.cancel()
    with av.open(str(film)) as container:
        pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]
        container.seek(0)
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    for attempt, second in enumerate(cut_at):
        quiet = sound[int((second + 0.120) * SAMPLE_RATE) : int((second + 0.55) * SAMPLE_RATE)]
        assert np.abs(quiet).max() < 0.01
        closed_from = int((second + 0.120) * 25) + 4
        closed = pictures[closed_from : int((second + 0.45) * 25)]
        assert len(closed) >= 3
        assert max(unlikeness(picture, loaded) for picture in closed) < 4
        assert (
            max(unlikeness(picture, loaded) for picture in pictures[int((second - 0.2) * 25) : int(second * 25)]) > 15
        )
        after = sound[int((second + 0.55) * SAMPLE_RATE) :][: int(1.2 * SAMPLE_RATE)]
        pcm = voice(0.5, seed=100 + attempt) / 32768
        n = 1 << 17
        match = np.fft.irfft(np.fft.rfft(after, n) * np.conj(np.fft.rfft(pcm, n)), n)
        start = int(np.argmax(match))
        assert np.corrcoef(after[start : start + len(pcm)], pcm)[0, 1] > 0.85, "noise, after AAC"


async def test_a_fade_ends_the_interrupted_sound_without_a_click(loaded: LoadedAvatar) -> None:
    pcm = np.full(SAMPLE_RATE * 2, 8000, np.int16)
    async with on_air(loaded) as show:
        show.session.hear(pcm, "e")
        await show.until(lambda: "speak_started" in show.names())
        await show.wait_ms(500)
        show.session.interrupt("stop")
        await show.wait_ms(300)
    steps = np.abs(np.diff(trimmed(show.collector.heard).astype(int)))
    assert steps.max() < 100
    assert np.any(show.collector.heard[:-1] > 0)


async def test_an_interruption_in_silence_changes_nothing(loaded: LoadedAvatar) -> None:
    async with on_air(loaded) as show:
        await show.wait_ms(300)
        show.session.interrupt("stop")
        await show.wait_ms(300)
        show.session.hear(voice(0.5), "e")
        show.session.end_speech()
        await show.until(lambda: "speak_ended" in show.names())
    assert "speak_interrupted" not in show.names()
    assert [frame.tick.index for frame in show.collector.frames] == list(range(len(show.collector.frames)))


async def test_states_and_gestures_are_told_when_they_are_shown(loaded: LoadedAvatar) -> None:
    async with on_air(loaded) as show:
        show.session.enter("listen")
        show.session.perform(Block((Behaviour(Perform("nod")),)))
        show.session.perform(Block((Behaviour(Perform("wave")),)))
        await show.wait_ms(3000)
    assert {"event": "state_changed", "from": "idle", "to": "listen"} in show.events
    named = [(event["event"], event["name"]) for event in show.events if "name" in event]
    assert named == [("action_ignored", "wave"), ("action_started", "NOD"), ("action_ended", "NOD")]


class StuckModel:
    """The tiny avatar's own network, behind a gate that holds every batch back until it is opened."""

    def __init__(self, loaded: LoadedAvatar) -> None:
        assert loaded.model
        self.spec = loaded.model.spec
        self.gate = threading.Event()
        self.ear = loaded.model.ear
        self.hear, self.draw = loaded.model.hear, loaded.model.draw
        self._paint = loaded.model.paint

    def paint(self, batch, mouths):  # type: ignore[no-untyped-def]
        self.gate.wait(10)
        return self._paint(batch, mouths)


async def test_who_was_held_up_catches_up_with_sound_and_draws_nothing_that_is_over(loaded: LoadedAvatar) -> None:
    speech = voice(4.0)
    async with on_air(loaded) as show:
        show.session.hear(speech)
        show.session.end_speech()
        await show.wait_ms(500)
        n_repeated = sum(shown.repeated for shown in show.shown)
        show.clock.hold_up(60_000 * MS)
        await show.until(lambda: len(show.shown) >= 63 * 25)
    assert [frame.tick.index for frame in show.collector.frames] == list(range(len(show.collector.frames)))
    assert not show.shown[-1].late
    assert np.array_equal(trimmed(show.collector.heard), speech)
    assert 1490 <= sum(shown.repeated for shown in show.shown) - n_repeated <= 1540


async def test_who_was_held_up_can_be_interrupted(loaded: LoadedAvatar) -> None:
    async with on_air(loaded) as show:
        show.session.hear(voice(90.0))
        await show.wait_ms(500)
        show.clock.hold_up(60_000 * MS)
        show.session.interrupt()
        await show.until(lambda: len(show.shown) >= 63 * 25)
    assert "speak_interrupted" in show.names()
    assert not show.collector.heard[-SAMPLE_RATE:].any()


async def test_a_late_picture_is_repeated_and_the_sound_goes_out_in_time(loaded: LoadedAvatar) -> None:
    model, pcm = StuckModel(loaded), voice(1)
    collector, shown = Collector(), list[Shown]()
    with Inference(comfort_ns=NEVER_NS) as inference:
        clock = JumpingClock()
        session = Session("s", loaded.bundle, model, inference, [collector], clock, on_shown=shown.append)
        async with asyncio.TaskGroup() as tasks:
            time = tasks.create_task(clock.run())
            running = tasks.create_task(session.run())
            session.hear(pcm, "e")
            session.end_speech()
            await clock.sleep_until(2000 * MS)
            model.gate.set()
            session.stop()
            await running
            time.cancel()
    assert np.array_equal(trimmed(collector.heard), pcm)
    assert sum(one.repeated for one in shown) >= 24
    assert not any(one.lateness_ns for one in shown)
    repeated = [one.frame for one in shown if one.repeated and one.frame.sound.any()]
    assert all(one.picture is repeated[0].picture for one in repeated)


class SlowModel(StuckModel):
    """The tiny avatar's own network, as slow as the test says: each time the gate opens one batch gets through."""

    def __init__(self, loaded: LoadedAvatar) -> None:
        super().__init__(loaded)
        self.drawn = threading.Event()

    def paint(self, batch, mouths):  # type: ignore[no-untyped-def]
        self.gate.wait(10)
        self.gate.clear()
        patches = self._paint(batch, mouths)
        self.drawn.set()
        return patches


async def test_an_interruption_shows_the_next_picture_if_it_has_been_drawn(loaded: LoadedAvatar) -> None:
    model = StuckModel(loaded)
    collector, shown = Collector(), list[Shown]()
    model.gate.set()
    with Inference(comfort_ns=NEVER_NS) as inference:
        clock = JumpingClock(lambda: model.gate.is_set() and not inference.idle)
        session = Session("s", loaded.bundle, model, inference, [collector], clock, on_shown=shown.append)
        async with asyncio.TaskGroup() as tasks:
            time = tasks.create_task(clock.run())
            running = tasks.create_task(session.run())
            session.hear(voice(2), "e")
            await clock.sleep_until(1000 * MS)
            model.gate.clear()  # from now on there is no time to draw anything
            n_before = len(shown)
            session.interrupt("stop")
            await clock.sleep_until(1200 * MS)
            model.gate.set()
            session.stop()
            await running
            time.cancel()
    first, *others = shown[n_before:]
    assert first.frame.sound.any(), "it fades"
    assert first.frame.turn == others[0].frame.turn == 1
    assert not first.repeated
    assert [one.repeated for one in others[:2]] == [True, True]


async def test_pictures_that_are_always_late_are_still_shown(loaded: LoadedAvatar) -> None:
    model = SlowModel(loaded)
    collector, shown = Collector(), list[Shown]()
    with Inference(comfort_ns=NEVER_NS) as inference:
        drawing = threading.Event()
        clock = JumpingClock(drawing.is_set)
        session = Session("s", loaded.bundle, model, inference, [collector], clock, on_shown=shown.append)
        async with asyncio.TaskGroup() as tasks:
            time = tasks.create_task(clock.run())
            running = tasks.create_task(session.run())
            session.hear(voice(2), "e")
            session.end_speech()
            for step in range(1, 40):
                await clock.sleep_until(step * 60 * MS)
                if not inference.idle:
                    drawing.set()
                    model.drawn.clear()
                    model.gate.set()
                    await asyncio.to_thread(model.drawn.wait, 10)
                    await asyncio.sleep(0.01)
                    drawing.clear()
            model.gate.set()
            session.stop()
            await running
            time.cancel()
    speaking = [one.frame for one in shown if one.frame.sound.any()]
    assert len({id(frame.picture) for frame in speaking}) >= len(speaking) // 5
    assert sum(one.repeated for one in shown) >= len(speaking) // 2


async def test_a_session_whose_publishers_are_still_joining_can_be_interrupted_and_told(loaded: LoadedAvatar) -> None:
    with Inference(comfort_ns=NEVER_NS) as inference:
        session = Session("s", loaded.bundle, loaded.model, inference, [], MonotonicClock())
        session.hear(voice(0.5), "e")
        session.interrupt("stop")
        session.enter("listen")
        assert inference.idle


async def test_publishers_are_left_when_a_session_is_cancelled(loaded: LoadedAvatar) -> None:
    collector = Collector()
    with Inference(comfort_ns=NEVER_NS) as inference:
        clock = JumpingClock()
        session = Session("s", loaded.bundle, loaded.model, inference, [collector], clock)
        async with asyncio.TaskGroup() as tasks:
            time = tasks.create_task(clock.run())
            running = tasks.create_task(session.run())
            await clock.sleep_until(500 * MS)
            running.cancel()
            await asyncio.wait([running])
            time.cancel()
    assert (collector.entered, collector.left) == (1, 1)


@pytest.mark.parametrize(("avatar", "minutes"), [("body", 60), ("tiny", 3)])
async def test_after_an_hour_of_speech_nothing_has_drifted_and_memory_is_flat(
    avatar: str, minutes: int, tiny_avatar: Path, tiny_body: Path
) -> None:
    performer = Catalogue([tiny_avatar, tiny_body]).load(avatar)
    minute, counter, process = voice(60), Counter(), psutil.Process()
    async with on_air(performer, counter) as show:
        sizes = []
        for _ in range(minutes * 2):
            show.session.hear(minute[: len(minute) // 2], "e")
            await show.wait_ms(30_000)
            show.shown.clear()
            show.events.clear()
            sizes.append(process.memory_info().rss)
        show.session.end_speech()
        await show.wait_ms(1000)
    assert counter.n_heard >= minutes * len(minute)
    last = show.session.timeline.tick(counter.n_frames - 1)
    assert last.first_sample + last.n_samples == counter.n_heard
    assert sizes[-1] <= sizes[len(sizes) // 2] + 4 * 2**20


class Counter(Collector):
    """Counts, and sees that every frame begins where the sound before it ended."""

    n_heard = 0
    n_frames = 0

    def publish(self, frame: RenderedFrame) -> None:
        assert frame.tick.first_sample == self.n_heard
        self.n_heard += len(frame.sound)
        self.n_frames += 1


async def test_sessions_keep_a_common_beat_whenever_they_begin(loaded: LoadedAvatar) -> None:
    moments: set[int] = set()
    with Inference(comfort_ns=NEVER_NS) as inference:
        clock = JumpingClock(lambda: not inference.idle)

        def note(shown: Shown) -> None:
            moments.add(clock.now_ns() % (40 * MS))
            assert shown.lateness_ns == 0

        async with asyncio.TaskGroup() as tasks:
            time, sessions = tasks.create_task(clock.run()), []
            for begin_ms in (3, 7, 12, 61):
                await clock.sleep_until(begin_ms * MS)
                sessions.append(Session("s", loaded.bundle, loaded.model, inference, [], clock, on_shown=note))
                tasks.create_task(sessions[-1].run())
            await clock.sleep_until(500 * MS)
            for session in sessions:
                session.stop()
            time.cancel()
    assert moments == {10 * MS, 20 * MS, 30 * MS}


class SlowlyPlanned(Compositor):
    """Time passes whenever a frame is planned."""

    clock: JumpingClock
    n_planned = 0

    def at_hand(self, shot: Shot) -> Picture | None:
        self.n_planned += 1
        self.clock.hold_up(6 * MS)
        return super().at_hand(shot)


async def test_of_sessions_that_share_a_beat_all_show_before_any_plans(loaded: LoadedAvatar) -> None:
    shown: list[Shown] = []
    compositor = SlowlyPlanned(loaded.bundle)
    with Inference(comfort_ns=NEVER_NS) as inference:
        clock = compositor.clock = JumpingClock(lambda: not inference.idle)
        sessions = [
            Session(
                "s", loaded.bundle, loaded.model, inference, [], clock, on_shown=shown.append, compositor=compositor
            )
            for _ in range(4)
        ]
        async with asyncio.TaskGroup() as tasks:
            time = tasks.create_task(clock.run())
            for session in sessions:
                tasks.create_task(session.run())
            await clock.sleep_until(2000 * MS)
            for session in sessions:
                session.stop()
            time.cancel()
    assert len(shown) > 150
    assert compositor.n_planned > 150
    assert {one.lateness_ns for one in shown[40:]} == {0}
