from __future__ import annotations

import asyncio
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from avatar.pictures import Picture
from models.loading import Catalogue, LoadedAvatar
from server.errors import CapacityExceeded
from server.inference import Inference
from server.load.guess import guessed_costs
from server.load.levels import Level
from server.load.monitor import CORES, EVENT_LOOP, INFERENCE, Monitor
from server.load.process_time import ProcessTime
from server.metrics import Metrics
from server.pacing import MonotonicClock
from server.publisher import RenderedFrame
from server.session import Event, Session, Shown

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def loaded(tiny_avatar: Path) -> LoadedAvatar:
    return Catalogue([tiny_avatar]).load("tiny")


def shown(session: Session, *, late: bool) -> Shown:
    tick = session.timeline.tick(0)
    picture: Picture = np.zeros((96, 64), np.uint8)
    frame = RenderedFrame(tick, 0, picture, np.zeros(tick.n_samples, np.int16))
    return Shown(frame, 0, repeated=late, late=late, spare=0.0 if late else 1.5, waited_ns=None)


async def test_late_frames_keep_newcomers_out_and_clients_are_told_what_is_drawn(loaded: LoadedAvatar) -> None:
    metrics, events = Metrics(), list[Event]()
    session = Session("s", loaded.bundle, loaded.model, Inference(), [], MonotonicClock(), emit=events.append)
    monitor = Monitor(metrics, lambda: 0.0)
    monitor.join(session)
    async with monitor, asyncio.timeout(10):
        monitor.check(1, None)
        while monitor.level != Level.BODY_ONLY.title:
            for _ in range(10):
                monitor.note(shown(session, late=True))
            await asyncio.sleep(0.01)
        with pytest.raises(CapacityExceeded, match="no mouths are drawn") as refusal:
            monitor.check(1, None)
        assert 0 < refusal.value.retry_after_s <= 10
    assert events == [
        {"event": "level_changed", "from": "full", "to": "half rate"},
        {"event": "level_changed", "from": "half rate", "to": "body only"},
    ]
    text = metrics.text().decode()
    assert "avatar_level 2.0" in text
    assert 'avatar_level_changes_total{to="half rate"} 1.0' in text


async def test_where_overload_is_ignored_it_is_measured_all_the_same(loaded: LoadedAvatar) -> None:
    metrics, events = Metrics(), list[Event]()
    session = Session("s", loaded.bundle, loaded.model, Inference(), [], MonotonicClock(), emit=events.append)
    monitor = Monitor(metrics, lambda: 0.0, is_binding=False)
    monitor.join(session)
    monitor.expect({CORES: 1})
    async with monitor, asyncio.timeout(10):
        while monitor.level == Level.FULL.title:
            for _ in range(10):
                monitor.note(shown(session, late=True))
            await asyncio.sleep(0.01)
        monitor.check(1, None)
    assert not events
    assert "avatar_level 1.0" in metrics.text().decode()


async def test_what_is_in_use_is_measured() -> None:
    metrics, busy = Metrics(), 0.0
    async with Monitor(metrics, lambda: busy), asyncio.timeout(10):
        while metrics.registry.get_sample_value("avatar_used", {"of": CORES}) is None:
            busy = time.monotonic()
            await asyncio.sleep(0.001)  # not 0: the thread that looks for children needs the interpreter, too
    used = {name: metrics.registry.get_sample_value("avatar_used", {"of": name}) for name in (EVENT_LOOP, INFERENCE)}
    assert all(share is not None and share > 0 for share in used.values())


def test_what_a_session_may_use_is_guessed_from_frames_that_are_drawn(loaded: LoadedAvatar, tiny_body: Path) -> None:
    guess = guessed_costs(loaded)
    assert set(guess) == {CORES, EVENT_LOOP, INFERENCE}
    assert all(share > 0 for share in guess.values())
    assert guessed_costs(Catalogue([tiny_body]).load("body")) == {}


def test_children_count() -> None:
    process = ProcessTime()
    child = multiprocessing.get_context("spawn").Process(target=_work)
    child.start()
    process.look_for_children()
    process.used_s()
    end = time.monotonic() + 20
    used = 0.0
    while used < 0.2 and time.monotonic() < end:
        time.sleep(0.05)
        process.look_for_children()
        used += process.used_s()
    child.kill()
    child.join()
    assert used >= 0.2
    assert process.used_s() >= 0


def _work() -> None:
    while True:
        sum(range(10_000))
