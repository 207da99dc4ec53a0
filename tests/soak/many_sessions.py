"""Bar d: thousands of sessions leave nothing behind, whether they are stopped or forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, connect

from server.settings import Settings
from server.wiring import build_server
from tests.server.running import KEY, SETTINGS, START
from tests.soak.emulated_client import SAMPLE_RATE, UTTERANCE
from tests.soak.figures import Figure, Held, Memory, Progress, becomes, no_progress

AT_ONCE = 4
ABANDONED_AT_ONCE = 6

PATIENCE_S = 3.0
"""For how long a server of these runs waits for ``init``, or for a client to come back."""

Visit = Callable[["_Visitor", int], Awaitable[None]]


async def many_sessions(
    avatars: Path,
    folder: Path,
    n_stopped: int = 10_000,
    n_abandoned: int = 1_000,
    progress: Progress = no_progress,
) -> list[Figure]:
    """Starts sessions on a server in this process; every one speaks, records, and could be watched.

    Figures count what the process holds after them and did not hold before, once a few had warmed it up.
    """
    settings = Settings(
        host=SETTINGS.host,
        port=0,
        api_keys=(KEY,),
        avatar_dirs=(str(avatars),),
        publishers=("webrtc", "recording"),
        record_dir=str(folder),
        max_sessions=4 * ABANDONED_AT_ONCE,
        max_starts_per_minute=0,
        never_initialised_s=PATIENCE_S,
        grace_s=PATIENCE_S,
        overload="ignored",
    )
    memory = Memory(psutil.Process())
    n, n_all = 0, n_stopped + n_abandoned

    def step() -> None:
        nonlocal n
        n += 1
        progress(n / n_all)
        if n % max(1, n_all // 200) == 0:
            memory.read()

    async with _running(settings) as url:
        await _visits(url, folder, _leave, ABANDONED_AT_ONCE, ABANDONED_AT_ONCE)
        before = Held.here()
        await _visits(url, folder, _stop, n_stopped, AT_ONCE, step)
        await _visits(url, folder, _leave, n_abandoned, ABANDONED_AT_ONCE, step)
        n_left = await _n_sessions(url)
        await becomes(lambda: not Held.here().exceeds(before))
        after = Held.here()
    return [
        Figure("sessions started and stopped", n_stopped),
        Figure("sessions abandoned without a stop", n_abandoned),
        Figure("sessions left over", n_left, most=0),
        *after.figures(before),
        *memory.figures("server and clients, in one process"),
    ]


class _Visitor:
    """A client of the server."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def start(self, channel: str) -> dict[str, str]:
        agora = {**START["agora_settings"], "channel": channel}
        response = await self.http.post("/session/start", json={**START, "avatar_id": "tiny", "agora_settings": agora})
        assert response.status_code == 200, response.text
        answer: dict[str, str] = response.json()
        return answer

    @asynccontextmanager
    async def connected(self, answer: Mapping[str, str]) -> AsyncIterator[ClientConnection]:
        headers = {"Authorization": f"Bearer {answer['session_token']}"}
        async with connect(answer["websocket_address"], additional_headers=headers) as socket:
            yield socket

    async def speak(self, socket: ClientConnection) -> None:
        """Returns when the avatar has begun to speak."""
        await socket.send(json.dumps({"command": "init", **START, "avatar_id": "tiny"}))
        voice = {"audio": UTTERANCE, "sampleRate": SAMPLE_RATE, "encoding": "PCM16"}
        await socket.send(json.dumps({"command": "voice", **voice}))
        while await _event(socket) != "speak_started":
            pass

    async def stop(self, answer: Mapping[str, str]) -> None:
        response = await self.http.request("DELETE", "/session/stop", json={"session_id": answer["session_id"]})
        assert response.status_code == 200, response.text


async def _stop(visitor: _Visitor, number: int) -> None:
    """As it should be."""
    answer = await visitor.start(f"room {number}")
    async with visitor.connected(answer) as socket:
        await visitor.speak(socket)
        await visitor.stop(answer)


async def _leave(visitor: _Visitor, number: int) -> None:
    """In one of the ways in which clients forget a session; returns when the server has noticed."""
    answer = await visitor.start(f"room {number}")
    way = number % 4
    if way == 0:
        await asyncio.sleep(0)  # never seen again
    elif way == 1:
        async with visitor.connected(answer) as socket:
            socket.transport.abort()
    elif way == 2:
        async with visitor.connected(answer) as socket:
            await visitor.speak(socket)
            socket.transport.abort()
    else:
        async with visitor.connected(answer) as socket:
            await visitor.speak(socket)
            await visitor.stop(await visitor.start(f"room {number}"))
    await asyncio.sleep(PATIENCE_S)


async def _event(socket: ClientConnection) -> str:
    async with asyncio.timeout(30):
        event: dict[str, Any] = json.loads(await socket.recv())
    return str(event.get("event"))


async def _visits(
    url: str, folder: Path, visit: Visit, n: int, at_once: int, step: Callable[[], None] = lambda: None
) -> None:
    """``n`` visits, some at a time; returns when the last session is gone."""
    numbers = iter(range(n))
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": KEY}, timeout=30) as http:

        async def visit_on() -> None:
            visitor = _Visitor(http)
            for number in numbers:
                await visit(visitor, number)
                step()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(visit_on())
    for _ in range(600):
        if await _n_sessions(url) == 0:
            break
        await asyncio.sleep(0.05)
    await asyncio.to_thread(_clear, folder)


def _clear(folder: Path) -> None:
    for recording in folder.glob("*.mp4"):
        recording.unlink()


async def _n_sessions(url: str) -> int:
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": KEY}, timeout=30) as http:
        return int((await http.get("/readyz")).json()["sessions"])


@asynccontextmanager
async def _running(settings: Settings) -> AsyncIterator[str]:
    server = build_server(settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        await server.listening.wait()
        host, port = server.address
        try:
            yield f"http://{host}:{port}"
        finally:
            server.should_exit = True
