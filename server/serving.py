"""Running the application: one uvicorn server, which lets its sessions end before it closes their sockets."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette

from server.sessions import Sessions
from server.settings import Settings


class AvatarServer(uvicorn.Server):
    """``await serve()`` runs it until SIGTERM, SIGINT or ``should_exit``.

    Shutting down starts no more sessions (503), tells every client (close code 1012), ends the sessions, at the latest
    after the settings' ``drain_s``, and only then closes the listening socket.
    """

    def __init__(self, app: Starlette, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                ws_max_size=settings.max_message_bytes,
                # Speech does not shrink when it is deflated, and a deflated message may grow beyond its limit.
                ws_per_message_deflate=False,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        self.listening = asyncio.Event()
        """Set when connections are taken."""
        self._sessions: Sessions = app.state.sessions

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on, once it is ``listening``; the port that was taken if the settings say 0."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return host, port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._sessions.drain()
        await super().shutdown(sockets)
