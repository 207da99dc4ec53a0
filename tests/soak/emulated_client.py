"""A client that speaks, and reconnects as the most complete of the protocol's open clients was seen to do."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.server.running import START

NOTICED_LATE = (1000, 1001)
"""Close codes that the client does not act upon before its next heartbeat."""

RECONNECTS_WITHIN_S = 1.0
"""After any other end of a socket: with the same URL, token and ``init``."""

FAILURES_BEFORE_NEW_START = 3
"""From this failure of a handshake in a row on, every retry starts a new session; the old one is never stopped."""

GIVES_UP_AT = 15

SAMPLE_RATE = 24_000
UTTERANCE_S = 0.2
PAUSE_S = 0.7
"""Between utterances: longer than the half second within which speech goes on with the utterance before."""


def delay_s(n_failures: int) -> float:
    """How long the client waits after so many failures in a row: 1 s four times, then doubled up to 10 s."""
    return 1.0 if n_failures <= 4 else min(10.0, 2.0 ** (n_failures - 4))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One handshake or one ``POST /session/start``, and what came of it."""

    at: float
    what: str
    outcome: str


class GaveUp(Exception):
    """The client has failed as often in a row as it bears."""


class EmulatedClient:
    """One client in a channel of its own. ``async with`` starts its session and speaks until the block ends.

    Leaving stops the session that it knows last, and no other, as the real one does.

    Args:
        seed: of how long it takes to reconnect.
        heartbeat_s: seconds between heartbeats.
    """

    def __init__(
        self, url: str, api_key: str, channel: str, *, avatar_id: str, seed: int, heartbeat_s: float = 10
    ) -> None:
        agora = {**START["agora_settings"], "channel": channel}
        self.body: Mapping[str, Any] = {**START, "avatar_id": avatar_id, "agora_settings": agora}
        self.attempts: list[Attempt] = []
        self.n_lost = 0
        """Sockets that ended otherwise than by ``abort``."""
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"x-api-key": api_key},
            timeout=30,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._heartbeat_s = heartbeat_s
        self._random = random.Random(seed)
        self._answer: dict[str, str] = {}
        self._socket: ClientConnection | None = None
        self._is_aborting = False
        self._n_said = 0
        self._n_spoken = 0
        self._news = asyncio.Condition()
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._start()
        self._life = asyncio.create_task(self._live())
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._life
        self._life.cancel()
        (ended,) = await asyncio.gather(self._life, return_exceptions=True)
        headers = {"Authorization": f"Bearer {self._answer['session_token']}"}
        await self._http.request(
            "DELETE", "/session/stop", json={"session_id": self._answer["session_id"]}, headers=headers
        )
        await self._http.aclose()
        if not isinstance(ended, asyncio.CancelledError):
            raise ended or AssertionError("the client ended by itself")

    async def speaks_again(self, within_s: float) -> float:
        """Seconds until something is spoken (heard by whoever is in the channel) that is not said yet.

        Raises:
            TimeoutError: nothing was.
        """
        loop, n_said = asyncio.get_running_loop(), self._n_said
        began = loop.time()
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: self._n_spoken > n_said or (self._life is not None and self._life.done()))
        if self._life and self._life.done():
            await self._life
        return loop.time() - began

    def abort(self) -> None:
        """The connection is gone, without a word to either side."""
        assert self._socket
        self._is_aborting = True
        self._socket.transport.abort()

    def spoil_token(self) -> None:
        """From now on the client has a token that nobody issued."""
        self._answer["session_token"] = "not.a.token"

    async def _live(self) -> None:
        """Connects and speaks, for ever.

        Raises:
            GaveUp: the server was not there for too long.
        """
        n_failures = 0
        while True:
            try:
                if n_failures >= FAILURES_BEFORE_NEW_START:
                    await self._start()
                async with self._connected() as socket:
                    n_failures = 0
                    await self._converse(socket)
            except (OSError, InvalidHandshake, httpx.HTTPError, TimeoutError):
                n_failures += 1
                if n_failures >= GIVES_UP_AT:
                    raise GaveUp(f"{n_failures} failures in a row; the last: {self.attempts[-1]}") from None
                await asyncio.sleep(delay_s(n_failures))

    async def _start(self) -> None:
        """Raises httpx.HTTPError."""
        outcome = "refused"
        try:
            response = await self._http.post("/session/start", json=self.body)
            outcome = str(response.status_code)
            self._answer = response.raise_for_status().json()
        finally:
            self._note("start", outcome)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[ClientConnection]:
        headers = {"Authorization": f"Bearer {self._answer['session_token']}"}
        outcome = "refused"
        try:
            socket = await connect(self._answer["websocket_address"], additional_headers=headers)
            outcome = "open"
        except InvalidStatus as refused:
            outcome = str(refused.response.status_code)
            raise
        finally:
            self._note("connect", outcome)
        self._socket, self._is_aborting = socket, False
        try:
            yield socket
        finally:
            self._socket = None
            await socket.close()

    async def _converse(self, socket: ClientConnection) -> None:
        """Until the socket is gone and the client has noticed."""
        loop = asyncio.get_running_loop()
        talking = asyncio.create_task(self._talk(socket))
        try:
            async for message in socket:
                if not isinstance(message, str):
                    raise AssertionError("the server sent binary, which breaks the client")
                await self._read(json.loads(message))
        except ConnectionClosed:
            pass
        finally:
            talking.cancel()
            (ended,) = await asyncio.gather(talking, return_exceptions=True)
        if not isinstance(ended, asyncio.CancelledError | ConnectionClosed):
            raise ended or AssertionError("the client fell silent")
        self.n_lost += not self._is_aborting
        if socket.close_code in NOTICED_LATE:
            await asyncio.sleep(self._next_heartbeat - loop.time())
        else:
            await asyncio.sleep(self._random.uniform(0, RECONNECTS_WITHIN_S))

    async def _read(self, event: Mapping[str, Any]) -> None:
        if event.get("event") == "speak_started":
            async with self._news:
                self._n_spoken = max(self._n_spoken, int(event["event_id"]))
                self._news.notify_all()

    async def _talk(self, socket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        await self._send(socket, "init", session_id=self._answer["session_id"], **self.body)
        self._next_heartbeat = loop.time() + self._heartbeat_s
        while True:
            self._n_said += 1
            await self._send(socket, "voice", audio=UTTERANCE, sampleRate=SAMPLE_RATE, encoding="PCM16")
            await self._send(socket, "voice_end")
            await asyncio.sleep(PAUSE_S)
            if loop.time() >= self._next_heartbeat:
                await self._send(socket, "heartbeat", timestamp=round(1000 * loop.time()))
                self._next_heartbeat += self._heartbeat_s

    async def _send(self, socket: ClientConnection, command: str, **fields: Any) -> None:
        await socket.send(json.dumps({"command": command, "event_id": str(self._n_said), **fields}))

    def _note(self, what: str, outcome: str) -> None:
        self.attempts.append(Attempt(asyncio.get_running_loop().time(), what, outcome))


def _hum() -> str:
    t = np.arange(int(UTTERANCE_S * SAMPLE_RATE)) / SAMPLE_RATE
    return base64.b64encode((9000 * np.sin(2 * np.pi * 180 * t)).astype("<i2").tobytes()).decode()


UTTERANCE = _hum()
