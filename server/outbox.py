"""Events on their way to one client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.errors import CloseCode

SIZE = 256
"""Events that may wait for a client that reads slowly. Nobody waits for it: the oldest is dropped, and it is told."""


class Outbox:
    """Takes events at any time and without waiting; one task, ``deliver``, sends them and closes the socket."""

    def __init__(self) -> None:
        self._events: deque[Mapping[str, object]] = deque()
        self._n_dropped = 0
        self._closing: tuple[CloseCode, str] | None = None
        self._news = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        return self._closing is not None

    def put(self, event: Mapping[str, object]) -> None:
        """Sends an event when its turn comes; after ``close`` it is dropped."""
        if self.is_closed:
            return
        if len(self._events) == SIZE:
            self._events.popleft()
            self._n_dropped += 1
        self._events.append(event)
        self._news.set()

    def close(self, code: CloseCode, reason: str) -> None:
        """Closes the socket once everything before has been sent; the first call counts."""
        self._closing = self._closing or (code, reason)
        self._news.set()

    async def deliver(self, websocket: WebSocket) -> None:
        """Sends until ``close``, or until the client is gone."""
        try:
            while True:
                while self._events:
                    if self._n_dropped:
                        await websocket.send_text(_text(self._dropped()))
                    await websocket.send_text(_text(self._events.popleft()))
                if self._closing:
                    code, reason = self._closing
                    await websocket.close(code, reason)
                    return
                self._news.clear()
                await self._news.wait()
        except (WebSocketDisconnect, RuntimeError):
            # The client is gone. The server says so by a RuntimeError where it closed the socket itself, for a
            # message that was too large or a ping without an answer, and the reader has not been told yet.
            self._closing = self._closing or (CloseCode.NORMAL, "")

    def _dropped(self) -> dict[str, object]:
        n, self._n_dropped = self._n_dropped, 0
        return {
            "event": "warning",
            "code": "EVENTS_DROPPED",
            "message": f"{n} events were dropped, because more than {SIZE} waited to be read",
        }


def _text(event: Mapping[str, object]) -> str:
    return msgspec.json.encode(event).decode()
