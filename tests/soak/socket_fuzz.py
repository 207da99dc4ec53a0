"""Bar c, WebSocket: whatever a client sends, it is answered in events, and its socket and its session live on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.server.running import KEY, START
from tests.soak.figures import Figure, Memory, Progress, no_progress
from tests.soak.messages import MESSAGES, Message
from tests.soak.server_process import ServerProcess

PER_ROUND = 200
"""Examples of one search; its engine remembers each, so that a search for all would need ever more memory."""

PER_EXAMPLE = 10
"""Messages, at most, between two heartbeats."""

MOST_BYTES = 2**20
HANGS_AFTER_S = 30.0

UNTRUSTED = 1008
NOT_UTF8 = 1007
TOO_LARGE = 1009


@dataclass
class _Seen:
    """What happened so far."""

    n_messages: int = 0
    n_sockets: int = 0
    codes: dict[str, int] = field(default_factory=dict)

    def count(self, code: str) -> None:
        self.codes[code] = self.codes.get(code, 0) + 1


def socket_fuzz(
    avatars: Path, folder: Path, n_messages: int = 100_000, progress: Progress = no_progress
) -> list[Figure]:
    """Sends messages to a server in a process of its own, most of them to one session that speaks what it understands.

    Raises:
        AssertionError: with the smallest messages that were found to break a promise.
    """
    with asyncio.Runner() as runner:
        return runner.run(_fuzz(runner.get_loop(), avatars, folder, n_messages, progress))


async def _fuzz(
    loop: asyncio.AbstractEventLoop, avatars: Path, folder: Path, n_messages: int, progress: Progress
) -> list[Figure]:
    limits = {"publishers": "webrtc", "idle_timeout_s": 0, "max_message_bytes": MOST_BYTES, "max_messages_per_s": 0}
    async with ServerProcess(avatars, folder, limits) as server, _session(server) as answer:
        seen, memory = _Seen(), Memory(server.process)

        def search(number: int) -> None:
            """In a thread of its own, for it is hypothesis that calls us."""

            @seed(number)
            @settings(
                max_examples=PER_ROUND,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )
            @given(st.lists(MESSAGES, min_size=1, max_size=PER_EXAMPLE))
            def converse(messages: list[Message]) -> None:
                asyncio.run_coroutine_threadsafe(client.say(messages), loop).result()

            converse()

        async with _Client.of(answer, seen) as client:
            number = 0
            while seen.n_messages < n_messages:
                await asyncio.to_thread(search, number)
                number += 1
                memory.read()
                progress(min(1.0, seen.n_messages / n_messages))
        await _breaches(answer)
        n_sessions, errors = await server.n_sessions(), server.errors()
    return [
        Figure("WebSocket messages", seen.n_messages, least=n_messages),
        Figure("· of which were refused", sum(seen.codes.values())),
        Figure("· for how many different reasons", len(seen.codes)),
        Figure("· sockets that they cost", seen.n_sockets - 1, most=0),
        Figure("· sessions that they cost", 1 - n_sessions, most=0),
        Figure("· errors in the server's log", len(errors), most=0),
        *memory.figures("the server"),
    ]


class _Client:
    """One socket that everything is sent through."""

    def __init__(self, socket: ClientConnection, seen: _Seen) -> None:
        self._socket = socket
        self._seen = seen
        self._n_asked = 0
        seen.n_sockets += 1

    @classmethod
    @asynccontextmanager
    async def of(cls, answer: dict[str, str], seen: _Seen) -> AsyncIterator[_Client]:
        async with _connected(answer) as socket:
            client = cls(socket, seen)
            await client.say([json.dumps({"command": "init", **START, "avatar_id": "tiny"})])
            yield client

    async def say(self, messages: list[Message]) -> None:
        """Sends these and then a heartbeat, and reads up to its answer: each was dealt with, in time, and politely."""
        self._n_asked += 1
        asked = f"asked {self._n_asked}"
        async with asyncio.timeout(HANGS_AFTER_S):
            for message in messages:
                await self._socket.send(_sendable(message))
            await self._socket.send(json.dumps({"command": "heartbeat", "event_id": asked}))
            while True:
                event = await self._read()
                if event.get("event_id") == asked:
                    break
        assert event["command"] == "heartbeat_ack", event
        self._seen.n_messages += len(messages)

    async def _read(self) -> dict[str, Any]:
        text = await self._socket.recv()
        assert isinstance(text, str), "the server sent binary"
        event = json.loads(text)
        assert isinstance(event, dict), text
        assert "event" in event or event.get("command") == "heartbeat_ack", text
        if event.get("event") == "error":
            assert event["code"] not in ("REFUSED", "INTERNAL_ERROR"), text
            self._seen.count(event["code"])
        return event


def _sendable(message: Message) -> Message:
    """Text with what cannot be in a text frame (lone surrogates) replaced."""
    return message if isinstance(message, bytes) else message.encode("utf-8", "replace").decode()


async def _breaches(answer: dict[str, str]) -> None:
    """What costs a socket by rule, and no session: no token, a message that is too large, text that is not UTF-8."""
    for first in ("{", "[]", b"\x00", '{"command": "init", "session_token": "x"}', '{"command": "voice"}'):
        async with connect(answer["websocket_address"], ping_interval=None) as stranger:
            await stranger.send(first)
            assert await _close_code(stranger) == UNTRUSTED
    for message, code in ((b"x" * (MOST_BYTES + 1), TOO_LARGE), (b'"\xff"', NOT_UTF8)):
        async with _connected(answer) as socket:
            await socket.send(message, text=True)
            assert await _close_code(socket) == code
    async with _Client.of(answer, _Seen()) as client:
        await client.say(["still there"])


async def _close_code(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(HANGS_AFTER_S):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


@asynccontextmanager
async def _connected(answer: dict[str, str]) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {answer['session_token']}"}
    # Without pings, which draw from ``random``: hypothesis watches it.
    async with connect(answer["websocket_address"], additional_headers=headers, ping_interval=None) as socket:
        yield socket


@asynccontextmanager
async def _session(server: ServerProcess) -> AsyncIterator[dict[str, str]]:
    async with httpx.AsyncClient(base_url=server.url, headers={"x-api-key": KEY}, timeout=30) as http:
        answer: dict[str, str] = (await http.post("/session/start", json={**START, "avatar_id": "tiny"})).json()
        yield answer
        await http.request("DELETE", "/session/stop", json={"session_id": answer["session_id"]})
