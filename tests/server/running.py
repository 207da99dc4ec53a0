"""A real server on a free port, and sessions that write down what they are told."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from websockets.asyncio.client import ClientConnection, connect

from avatar.audio import Pcm
from avatar.cues import Block
from avatar.errors import BacklogFull, UnknownState
from server.app import create_app
from server.live_session import Event, Performing
from server.metrics import Metrics
from server.serving import AvatarServer
from server.sessions import OpenSession, Room, Sessions
from server.settings import Settings
from server.start_request import StartRequest
from server.wiring import build_server
from server.workers.front import build_front

KEY = "a-key-for-tests"
SETTINGS = Settings(host="127.0.0.1", port=0, api_keys=(KEY,), drain_s=3, overload="ignored")
"""How busy the machine is that runs the tests must not decide what they see."""

START: Mapping[str, Any] = {
    "avatar_id": "ava",
    "quality": "medium",
    "version": "v1",
    "video_encoding": "H264",
    "agora_settings": {
        "app_id": "app",
        "token": "",
        "channel": "room",
        "uid": "1001",
        "enable_string_uid": False,
    },
}


ROOMS = itertools.count()


class Listener:
    """A small true session: it hears, and speaks by telling that it does."""

    sample_rate = 48_000

    def __init__(self, capacity_s: float = 600) -> None:
        self.emit: Callable[[Event], None] = lambda event: None
        self.heard: list[Pcm] = []
        self.told: list[tuple[str, str]] = []
        self.has_left = False
        self._capacity = int(capacity_s * self.sample_rate)
        self._stopped = asyncio.Event()

    @property
    def speech(self) -> Pcm:
        return np.concatenate([np.zeros(0, np.int16), *self.heard])

    def hear(self, pcm: Pcm, event_id: str, /) -> None:
        if len(self.speech) + len(pcm) > self._capacity:
            raise BacklogFull(f"a session holds {self._capacity} samples")
        self.heard.append(pcm)

    def end_speech(self, event_id: str, /) -> None:
        self.told.append(("end_speech", event_id))
        self.emit({"event": "speak_ended", "utterance": 1, "played_ms": len(self.speech) * 1000 // self.sample_rate})

    def interrupt(self, event_id: str, /) -> None:
        self.told.append(("interrupt", event_id))
        self.emit({"event": "speak_interrupted", "utterance": 1, "played_ms": 0})

    def enter(self, state: str, /) -> None:
        if state == "talk":
            raise UnknownState("this avatar does not talk")
        self.told.append(("enter", state))

    def perform(self, block: Block, /) -> None:
        self.told += [("perform", str(behaviour.action)) for behaviour in block.behaviours]

    def renew_token(self, token: str, /) -> None:
        self.told.append(("renew_token", token))

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        try:
            await self._stopped.wait()
        finally:
            self.has_left = True


@dataclass
class Front:
    """A server that runs, and a client of it."""

    server: AvatarServer
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        host, port = self.server.address
        return f"http://{host}:{port}"

    async def start(self, **changes: Any) -> dict[str, str]:
        """Starts a session; each is in a channel of its own unless it is told otherwise."""
        agora = {**START["agora_settings"], "channel": f"room {next(ROOMS)}"}
        response = await self.http.post("/session/start", json={**START, "agora_settings": agora, **changes})
        assert response.status_code == 200, response.text
        answer: dict[str, str] = response.json()
        return answer

    async def stop(self, answer: Mapping[str, str]) -> httpx.Response:
        body = {"session_id": answer["session_id"], "session_token": answer["session_token"]}
        return await self.http.request("DELETE", "/session/stop", json=body)


@dataclass
class Running(Front):
    """One whose sessions live in this process."""

    sessions: Sessions
    listeners: list[Listener]


class Caller:
    """A client's end of a WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, command: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"command": command, **fields}))

    async def voice(self, audio: bytes, rate: int = 24_000, encoding: str = "PCM16", event_id: str = "v") -> None:
        text = base64.b64encode(audio).decode()
        await self.send("voice", audio=text, sampleRate=rate, encoding=encoding, event_id=event_id)

    async def event(self, *names: str) -> dict[str, Any]:
        """The next event of one of these names; any if none is named."""
        async with asyncio.timeout(10):
            while True:
                event: dict[str, Any] = json.loads(await self.socket.recv())
                if not names or event.get("event") in names:
                    return event

    async def error(self) -> dict[str, Any]:
        return await self.event("error")

    async def speaks(self) -> None:
        """The session is alive: it hears speech, and says when that is over."""
        await self.voice(np.zeros(480, "<i2").tobytes())
        await self.send("voice_end", event_id="end")
        assert (await self.event("speak_ended", "error"))["event"] == "speak_ended"


@asynccontextmanager
async def running(
    open_session: OpenSession | None = None,
    *,
    known: Collection[str] = ("ava",),
    extra_routes: Collection[BaseRoute] = (),
    listener: Callable[[], Listener] = Listener,
    metrics: Metrics | None = None,
    may_start: Callable[[StartRequest], None] = lambda request: None,
    room: Room | None = None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """A server with ``SETTINGS``, some of them changed, whose sessions are ``Listener`` unless told otherwise."""
    chosen = replace(SETTINGS, **settings)
    listeners: list[Listener] = []

    async def listen(request: StartRequest, session_id: str) -> Performing:
        listeners.append(listener())
        return listeners[-1]

    app = create_app(
        chosen,
        open_session or listen,
        lambda: known,
        extra_routes=list(extra_routes),
        metrics=metrics,
        may_start=may_start,
        room=room,
    )
    async with _serving(AvatarServer(app, chosen), listeners) as server:
        yield server


@asynccontextmanager
async def running_whole(avatars: Path, **settings: Any) -> AsyncIterator[Running]:
    """The server as ``avatar serve`` runs it, with the avatars in a folder beside the embedded ones."""
    chosen = replace(SETTINGS, avatar_dirs=(str(avatars),), **settings)
    async with _serving(build_server(chosen), []) as server:
        yield server


@asynccontextmanager
async def running_workers(avatars: Path, n: int = 2, **settings: Any) -> AsyncIterator[Front]:
    """The front of ``n`` workers, which have no other avatars than those of a folder."""
    server = build_front(replace(SETTINGS, workers=n, **settings), embedded=avatars)
    async with _listening(server) as http:
        yield Front(server, http)


def sessions_of(server: AvatarServer) -> Sessions:
    app = server.config.app
    assert isinstance(app, Starlette)
    sessions: Sessions = app.state.sessions
    return sessions


@asynccontextmanager
async def _serving(server: AvatarServer, listeners: list[Listener]) -> AsyncIterator[Running]:
    async with _listening(server) as http:
        yield Running(server, http, sessions_of(server), listeners)


@asynccontextmanager
async def _listening(server: AvatarServer) -> AsyncIterator[httpx.AsyncClient]:
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve())
        await server.listening.wait()
        host, port = server.address
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", headers={"x-api-key": KEY}, timeout=30) as http:
            try:
                yield http
            finally:
                server.should_exit = True
        await serving


@asynccontextmanager
async def calling(answer: Mapping[str, str], *, init: bool = True) -> AsyncIterator[Caller]:
    """A socket to a session that was started, past its ``init``."""
    headers = {"Authorization": f"Bearer {answer['session_token']}"}
    async with connect(answer["websocket_address"], additional_headers=headers) as socket:
        caller = Caller(socket)
        if init:
            await caller.send("init", session_id=answer["session_id"], **START)
            await caller.event("session_ready")
        yield caller
