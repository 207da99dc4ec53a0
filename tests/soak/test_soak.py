"""A tenth of what ``make soak`` runs, judged by everything but how fast it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.soak import many
from tests.soak.figures import Figure
from tests.soak.many_sessions import many_sessions
from tests.soak.reconnecting import Counts, reconnecting
from tests.soak.requests_fuzz import requests_fuzz
from tests.soak.socket_fuzz import socket_fuzz

pytestmark = pytest.mark.soak


def check(figures: Sequence[Figure], *leave_out: str) -> None:
    broken = [f"{one.what}: {one.seen:g} {one.unit}, not {one.bar}" for one in figures if not one.holds]
    assert not [one for one in broken if not one.startswith(leave_out)]


MEASURED = ("· speaking again", "· its growth")
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
