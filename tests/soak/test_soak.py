"""A tenth of what ``make soak`` runs, judged by everything but how fast it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from server.bench import figures as bench
from server.bench.search import Found
from server.settings import Settings
from server.wiring import build_server
from tests.server.running import KEY
from tests.soak import load, many
from tests.soak.bars import figures_of
from tests.soak.figures import Figure
from tests.soak.many_sessions import many_sessions
from tests.soak.reconnecting import Counts, reconnecting
from tests.soak.requests_fuzz import requests_fuzz
from tests.soak.server_process import ServerProcess
from tests.soak.socket_fuzz import socket_fuzz

pytestmark = pytest.mark.soak


def check(figures: Sequence[Figure], *leave_out: str) -> None:
    broken = [f"{one.what}: {one.seen:g} {one.unit}, not {one.bar}" for one in figures if not one.holds]
    assert not [one for one in broken if not one.startswith(leave_out)]


MEASURED = (
    "· speaking again",
    "· its growth",
    "· late",
    "· the slowest refusal",
    "times that less was drawn",
    "cold start",
    "session start",
)
"""What depends on the machine, or on how long the run is, is judged by ``make soak``."""


@pytest.mark.anyio
async def test_clients_speak_again_whatever_becomes_of_their_sockets_and_of_the_server(
    tiny_avatar: Path, tmp_path: Path
) -> None:
    counts = Counts(n_clients=2, n_aborts=many(100), n_bad_tokens=2, n_kills=1, n_drains=1)
    check(await reconnecting(tiny_avatar, tmp_path, counts), *MEASURED)


@pytest.mark.anyio
async def test_thousands_of_sessions_leave_nothing_behind(tiny_avatar: Path, tmp_path: Path) -> None:
    check(await many_sessions(tiny_avatar, tmp_path, n_stopped=many(10_000), n_abandoned=many(1_000)), *MEASURED)


def test_every_request_is_answered_as_the_document_says(tiny_avatar: Path, tmp_path: Path) -> None:
    check(requests_fuzz(tiny_avatar, tmp_path, n_requests=many(10_000)), *MEASURED)


def test_whatever_comes_through_a_socket_is_answered_and_the_session_lives(tiny_avatar: Path, tmp_path: Path) -> None:
    check(socket_fuzz(tiny_avatar, tmp_path, n_messages=many(100_000)), *MEASURED)


def test_bars_are_judged_by_the_run_that_confirmed_them() -> None:
    def measured(n: int, cost: float) -> bench.Figures:
        figures = bench.Figures(n, "480x480", seconds=60, frames=10_000, late_frames=5, first_frame_ms=[90.0])
        figures.cpu_seconds_per_second, figures.cpu = n * cost, {"event loop": n * 0.02, "encoders": n * (cost - 0.02)}
        return figures

    found = Found(11, measured(11, 0.12), [measured(1, 0.2), measured(11, 0.12)])
    figures = {one.what: one for one in figures_of(found, measured(1, 0.1), least=10)}
    assert figures["sessions at 480x480 for 60 s"].holds
    assert figures["· late frames"].seen == pytest.approx(0.05)
    assert figures["· event loop, CPU per session against one session"].holds
    assert not figures["· encoders, CPU per session against one session"].holds


class Here:
    """A server in this process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.process = psutil.Process()


@asynccontextmanager
async def served(avatars: Path, **settings: Any) -> AsyncIterator[Here]:
    chosen = Settings(host="127.0.0.1", port=0, api_keys=(KEY,), publishers=("recording",), **settings)
    server = build_server(chosen, embedded=avatars)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        await server.listening.wait()
        host, port = server.address
        try:
            yield Here(f"http://{host}:{port}")
        finally:
            server.should_exit = True


@pytest.mark.anyio
async def test_one_more_than_fits_is_refused_while_the_others_speak(tiny_avatar: Path, tmp_path: Path) -> None:
    async with served(tiny_avatar, max_sessions=2, record_dir=str(tmp_path)) as server:
        check(await load.capacity(server, "tiny", most=2, seconds=2), *MEASURED)


@pytest.mark.anyio
async def test_an_avatar_is_replaced_while_another_speaks(tiny_avatar: Path, tmp_path: Path) -> None:
    other = load.copied(tiny_avatar, tmp_path / "avatars" / "other")
    load.copied(tiny_avatar, tmp_path / "avatars" / "tiny")
    async with served(other.parent, overload="ignored", record_dir=str(tmp_path)) as server:
        check(await load.swap(server, "tiny", other, n_sessions=2, n_swaps=2), *MEASURED)


@pytest.mark.anyio
async def test_a_server_runs_on_at_a_share_of_what_fits(tiny_avatar: Path, tmp_path: Path) -> None:
    async with served(tiny_avatar, overload="ignored", record_dir=str(tmp_path)) as server:
        check(await load.steady(server, "tiny", minutes=0.05, most=2, stays_s=1.0), *MEASURED)


@pytest.mark.anyio
async def test_a_server_starts_and_shows_a_first_frame(tiny_avatar: Path, tmp_path: Path) -> None:
    records = {"publishers": "recording"}
    check(await load.startup(lambda: ServerProcess(tiny_avatar, tmp_path, records), "tiny", n=1), *MEASURED)
