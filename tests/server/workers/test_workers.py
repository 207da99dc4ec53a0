"""Real workers behind a real front, which runs in the test's own process."""

from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from avatar.errors import AvatarError
from server.errors import SettingsError
from server.workers.front import build_front
from server.workers.worker import pause_after
from tests.server.player import Player
from tests.server.running import SETTINGS, START, Front, calling, running_workers

pytestmark = pytest.mark.anyio

SPEECH = (9000 * np.sin(np.arange(12_000) / 20)).astype("<i2").tobytes()
"""Half a second at 24 kHz."""


@pytest.fixture(scope="module")
async def front(tiny_avatar: Path) -> AsyncIterator[Front]:
    async with running_workers(tiny_avatar) as front:
        yield front


def port_of(answer: dict[str, str]) -> int:
    return urlsplit(answer["websocket_address"]).port or 0


async def readiness(front: Front) -> dict[str, Any]:
    found: dict[str, Any] = (await front.http.get("/readyz")).json()
    return found


def worker_processes() -> dict[int, psutil.Process]:
    """By the port that they listen on."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.Process().children():
        if "server.workers.child" in process.cmdline():
            ports = [one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
            found |= {port: process for port in ports}
    return found


async def test_sessions_are_spread_and_each_speaks_at_the_address_that_was_returned(front: Front) -> None:
    answers = [await front.start(avatar_id="tiny") for _ in range(4)]
    ports = [worker["port"] for worker in (await readiness(front))["workers"]]
    assert {port_of(answer) for answer in answers[:2]} == {port_of(answer) for answer in answers} == set(ports)
    for answer in answers[:2]:
        async with calling(answer) as caller:
            await caller.voice(SPEECH)
            await caller.send("voice_end", event_id="end")
            assert (await caller.event("speak_ended", "error"))["played_ms"] == 500
    listed = (await front.http.get("/sessions")).json()["sessions"]
    assert [one["session_id"] for one in listed] == [answer["session_id"] for answer in answers]
    shown = await front.http.get(f"/sessions/{answers[3]['session_id']}")
    assert shown.json()["state"] == "waiting for init"
    for answer in answers:
        assert (await front.stop(answer)).status_code == 200
        assert (await front.stop(answer)).status_code == 404
        with pytest.raises(InvalidStatus) as refusal:
            await connect(
                answer["websocket_address"], additional_headers={"Authorization": f"Bearer {answer['session_token']}"}
            )
        assert refusal.value.response.status_code == 404
    assert (await readiness(front))["sessions"] == 0


async def test_a_worker_serves_sockets_and_nothing_that_starts_or_shows_sessions(front: Front) -> None:
    worker = (await readiness(front))["workers"][0]
    url = f"http://127.0.0.1:{worker['port']}"
    assert (await front.http.get(f"{url}/healthz")).status_code == 200
    for path in ("/session/start", "/sessions", "/metrics", "/readyz", "/avatars", "/openapi.json", "/whep/x"):
        assert (await front.http.post(f"{url}{path}", json=START)).status_code == 404


async def test_who_comes_to_a_place_sends_its_session_away_from_whichever_worker(front: Front) -> None:
    place = {**START["agora_settings"], "channel": "one place"}
    others = [await front.start(avatar_id="tiny")]
    first = await front.start(avatar_id="tiny", agora_settings=place)
    others += [await front.start(avatar_id="tiny") for _ in range(2)]
    async with calling(first) as caller:
        second = await front.start(avatar_id="tiny", agora_settings=place)
        assert (await caller.event("session_closing"))["reason"] == "evicted"
    assert port_of(second) == port_of(first)
    async with calling(second):
        pass
    for answer in (second, *others):
        await front.stop(answer)


async def test_what_a_worker_refuses_is_refused_as_by_a_single_process(front: Front) -> None:
    refused = await front.http.post("/session/start", json={**START, "avatar_id": "nobody"})
    assert (refused.status_code, refused.json()["code"]) == (404, "AVATAR_NOT_FOUND")
    answer = await front.start(avatar_id="tiny")
    headers = {"Authorization": f"Bearer {answer['session_token']}", "Content-Type": "application/sdp"}
    offered = await front.http.post(f"/whep/{answer['session_id']}", content="no SDP", headers=headers)
    assert (offered.status_code, offered.json()["code"]) == (400, "INVALID_OFFER")
    guessed = await front.http.post(f"/whep/{answer['session_id']}", content="", headers={"Authorization": "Bearer x"})
    assert guessed.status_code == 401
    await front.stop(answer)


async def test_figures_are_those_of_all_workers_by_number(front: Front) -> None:
    answers = [await front.start(avatar_id="tiny") for _ in range(2)]
    text = (await front.http.get("/metrics")).text
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    sessions = {one.labels["worker"]: one.value for one in samples if one.name == "avatar_sessions"}
    assert sessions == {"1": 1, "2": 1}, "the second goes where nobody is"
    assert [(one.labels, one.value) for one in samples if one.name == "avatar_workers"] == [({"worker": "front"}, 2)]
    for answer in answers:
        await front.stop(answer)


async def test_a_session_is_watched_through_the_front_wherever_it_lives(front: Front) -> None:
    answers = [await front.start(avatar_id="tiny") for _ in range(2)]
    assert len({port_of(answer) for answer in answers}) == 2
    for answer in answers:
        headers = {"Authorization": f"Bearer {answer['session_token']}"}
        async with Player(f"{front.url}/whep/{answer['session_id']}", headers) as player:
            await player.until(n_pictures=2)
        await front.stop(answer)


async def test_a_worker_that_is_killed_is_replaced_and_the_others_sessions_go_on(front: Front) -> None:
    lost, kept = [await front.start(avatar_id="tiny") for _ in range(2)]
    before = await asyncio.to_thread(worker_processes)
    async with calling(kept) as staying, calling(lost) as leaving:
        before[port_of(lost)].kill()
        with pytest.raises(ConnectionClosed):
            await leaving.event("nothing more")
        await staying.voice(SPEECH)
        await staying.send("voice_end", event_id="end")
        assert (await staying.event("speak_ended", "error"))["played_ms"] == 500
        found = await readiness(front)
        assert (found["status"], found["sessions"]) == ("ready", 1)
        meanwhile = await front.start(avatar_id="tiny")
        assert port_of(meanwhile) == port_of(kept)
        # Who comes back to the same port waits until there is somebody, and learns that the session is gone.
        with pytest.raises(InvalidStatus) as refusal:
            await connect(
                lost["websocket_address"], additional_headers={"Authorization": f"Bearer {lost['session_token']}"}
            )
        assert refusal.value.response.status_code == 404
        assert (await front.stop(lost)).status_code == 404
        again = await front.start(avatar_id="tiny")
        assert port_of(again) == port_of(lost)
        async with calling(again):
            pass
        for answer in (kept, meanwhile, again):
            await front.stop(answer)


async def test_limits_hold_for_all_workers_together_and_the_end_of_the_front_is_theirs(tiny_body: Path) -> None:
    async with running_workers(tiny_body, max_sessions=2, worker_url="wss://a.example/{worker}/{port}") as front:
        first = await front.start(avatar_id="body")
        await front.start(avatar_id="body")
        refused = await front.http.post("/session/start", json={**START, "avatar_id": "body"})
        assert (refused.status_code, refused.json()["code"]) == (503, "CAPACITY_EXCEEDED")
        assert int(refused.headers["Retry-After"]) > 0
        ports = [worker["port"] for worker in (await readiness(front))["workers"]]
        workers = [process for port, process in (await asyncio.to_thread(worker_processes)).items() if port in ports]
        url = f"ws://127.0.0.1:{ports[0]}/session/{first['session_id']}/ws"
        assert first["websocket_address"] == f"wss://a.example/1/{ports[0]}/session/{first['session_id']}/ws"
        async with calling({**first, "websocket_address": url}) as caller:
            front.server.should_exit = True
            assert (await caller.event("session_closing"))["reason"] == "draining"
            with pytest.raises(ConnectionClosed):
                await caller.event()
            assert caller.socket.close_code == 1012
    assert len(workers) == 2
    assert not any(process.is_running() for process in workers)


def test_pauses_grow_while_processes_die_early() -> None:
    pauses = list(itertools.accumulate([1.0] * 8, lambda before, lived: pause_after(lived, before), initial=0.0))
    assert pauses == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pause_after(3600, 30) == 0


async def test_a_workers_port_that_is_taken_is_refused_in_one_sentence(tiny_body: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = replace(SETTINGS, workers=2, port=port - 1)
        with pytest.raises(AvatarError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            await build_front(settings, tiny_body).serve()
    with pytest.raises(SettingsError, match="300 workers need as many ports after 65400, up to 65535"):
        build_front(replace(SETTINGS, workers=300, port=65_400), tiny_body)


ALONE = """
import sys
from pathlib import Path
from server.settings import Settings
from server.workers.front import build_front
build_front(Settings(port=0, workers=2), Path(sys.argv[1])).run()
"""


def test_a_front_that_is_killed_takes_its_workers_with_it(tiny_body: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ALONE, str(tiny_body)]) as process:
        front, began = psutil.Process(process.pid), time.monotonic()
        while len(workers := front.children()) < 2:
            assert process.poll() is None
            assert time.monotonic() < began + 30
            time.sleep(0.02)
        process.kill()
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert len(gone) == 2
    assert not alive
