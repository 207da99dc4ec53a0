"""Bar b: whatever becomes of a socket or of the server, its clients soon speak again, and nothing is left over."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.server.agora.sdk import NoSdk, sdk_folder
from tests.server.running import KEY
from tests.soak.emulated_client import EmulatedClient
from tests.soak.figures import Figure, Held, Progress, becomes, no_progress, settled
from tests.soak.server_process import ServerProcess

AGAIN_WITHIN_S = 5.0
PATIENCE_S = 60.0
"""After which a client that is not heard is given up."""

LONGEST_DOWN_S = 2.0
"""How long a dead server stays away before it is started, at most. Starting takes its time, too."""

MOST_PER_S = 3
"""Attempts of one client in any second. It reconnects once per cut, but may be cut again as soon as it speaks."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each thing happens, and to how many clients at a time."""

    n_clients: int = 4
    n_aborts: int = 100
    n_bad_tokens: int = 8
    n_kills: int = 5
    n_drains: int = 5


async def reconnecting(
    avatars: Path, folder: Path, counts: Counts = Counts(), progress: Progress = no_progress, seed: int = 1
) -> list[Figure]:
    """Everything that clients have to survive, one thing after another.

    Sessions record, and publish into a channel from child processes where the Agora SDK's stand-in can be had.
    """
    try:
        channels = folder / "channels"
        environment = {"PYTHONPATH": str(sdk_folder()), "STANDIN_FOLDER": str(channels)}
        channels.mkdir()
        settings = {"publishers": "agora,recording"}
    except NoSdk:
        environment, settings = {}, {"publishers": "recording"}
    server = ServerProcess(avatars, folder, settings, environment)
    run = _Run(server, counts, progress, random.Random(seed))
    async with server:
        figures = [
            *await run.cuts("a socket was aborted", counts.n_aborts, EmulatedClient.abort),
            *await run.cuts("a token went bad", counts.n_bad_tokens, _spoil),
            *await run.deaths("the server was killed", counts.n_kills, server.kill),
            *await run.deaths("the server was drained", counts.n_drains, server.drain),
        ]
    return [*figures, Figure("errors in the server's log", len(server.errors()), most=0)]


def _spoil(client: EmulatedClient) -> None:
    client.spoil_token()
    client.abort()


class _Run:
    """The scenarios, and how far they are."""

    def __init__(self, server: ServerProcess, counts: Counts, progress: Progress, chance: random.Random) -> None:
        self._server = server
        self._counts = counts
        self._progress = progress
        self._random = chance
        self._n_done = 0

    async def cuts(self, what: str, n: int, cut: Callable[[EmulatedClient], None]) -> list[Figure]:
        """Cuts clients off, ``n`` times in all, each at a random moment after it spoke."""
        async with self._speaking():
            pass  # whatever the server keeps for good, it has from now on
        before = await settled(lambda: Held.by(self._server.process))

        async def suffer(client: EmulatedClient, n: int) -> list[float]:
            took = []
            for _ in range(n):
                await asyncio.sleep(self._random.random())
                cut(client)
                took.append(await client.speaks_again(PATIENCE_S))
                self._step()
            return took

        async with self._speaking() as clients:
            shares = [n // len(clients) + (i < n % len(clients)) for i in range(len(clients))]
            took = await asyncio.gather(*(suffer(*one) for one in zip(clients, shares, strict=True)))
            n_sessions = await self._server.n_sessions()
        await becomes(lambda: not Held.by(self._server.process).exceeds(before))
        held = Held.by(self._server.process)  # before it is asked once more: that is a socket, too
        return [
            *_again(what, [one for some in took for one in some]),
            *_attempts(clients, n_closed=0),
            Figure("· sessions beside those of the clients", n_sessions - len(clients), most=0),
            Figure("· sessions left over", await self._server.n_sessions(), most=0),
            *held.figures(before),
        ]

    async def deaths(self, what: str, n: int, end: Callable[[], Awaitable[None]]) -> list[Figure]:
        """Ends the server while all speak, ``n`` times, and starts it again."""
        took, orphans = [], 0
        async with self._speaking() as clients:
            for _ in range(n):
                publishers = self._server.process.children(recursive=True)
                await end()
                await asyncio.sleep(self._random.uniform(0, LONGEST_DOWN_S))
                await self._server.start()
                took += await asyncio.gather(*(client.speaks_again(PATIENCE_S) for client in clients))
                orphans += len(psutil.wait_procs(publishers, timeout=0)[1])
                self._step()
            n_sessions = await self._server.n_sessions()
        return [
            *_again(what, took),
            *_attempts(clients, n_closed=n),
            Figure("· sessions beside those of the clients", n_sessions - len(clients), most=0),
            Figure("· sessions left over", await self._server.n_sessions(), most=0),
            Figure("· publishers that outlived their server", orphans, most=0),
        ]

    @asynccontextmanager
    async def _speaking(self) -> AsyncIterator[list[EmulatedClient]]:
        """Clients that have been heard."""
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    EmulatedClient(
                        self._server.url, KEY, f"room {number}", avatar_id="tiny", seed=self._random.getrandbits(32)
                    )
                )
                for number in range(self._counts.n_clients)
            ]
            await asyncio.gather(*(client.speaks_again(PATIENCE_S) for client in clients))
            yield clients

    def _step(self) -> None:
        self._n_done += 1
        counts = self._counts
        self._progress(self._n_done / (counts.n_aborts + counts.n_bad_tokens + counts.n_kills + counts.n_drains))


def _again(what: str, took: list[float]) -> list[Figure]:
    return [
        Figure(f"{what}: clients that were cut off", len(took)),
        Figure("· speaking again after, median", statistics.median(took), "s"),
        Figure("· speaking again after, at most", max(took), "s", most=AGAIN_WITHIN_S),
    ]


def _attempts(clients: list[EmulatedClient], n_closed: int) -> list[Figure]:
    closed = max(client.n_lost for client in clients)
    return [
        Figure("· most attempts of one client in any second", max(map(_most_in_a_second, clients)), most=MOST_PER_S),
        Figure("· sockets of one client that the server closed", closed, most=n_closed),
    ]


def _most_in_a_second(client: EmulatedClient) -> int:
    times = [attempt.at for attempt in client.attempts]
    return max(sum(begin <= at < begin + 1 for at in times) for begin in times)
