"""Running the application: one uvicorn server, which lets its sessions end before it closes their sockets."""

from __future__ import annotations

import asyncio
import logging
import socket

import uvicorn
from starlette.applications import Starlette

from avatar.errors import AvatarError
from server.placement import Placement
from server.settings import Settings

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 75
"""For how long an idle connection stays open: longer than in clients' pools (httpx 5 s, aiohttp 15 s, nginx 60 s),
because a request that is sent while we close is lost."""


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
                # Its information lines hold the addresses of WebSockets, and those may hold tokens.
                log_level="warning",
                access_log=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
            )
        )
        self.listening = asyncio.Event()
        """Set when connections are taken."""
        self._placement: Placement = app.state.placement

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on, once it is ``listening``; the port that was taken if the settings say 0."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return host, port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes connections. The port is taken first, before anything is loaded that would have been for nothing.

        Raises:
            AvatarError: the address or port cannot be had, or what the server needs could not be made ready.
        """
        sockets = sockets or [listening(self.config.host, self.config.port)]
        try:
            await super().startup(sockets)
        except SystemExit:
            raise AvatarError("the server could not start; the log says why") from None
        finally:
            if not self.started:
                for taken in sockets:
                    taken.close()
        host, port = self.address
        log.info("listening", extra={"host": host, "port": port})
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._placement.drain()
        await super().shutdown(sockets)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; what it accepts sends at once, however small, instead of waiting for the other side's
    acknowledgement (Nagle's algorithm), which made an event up to 40 ms late.

    Raises:
        AvatarError: the address or port cannot be had.
    """
    try:
        taken = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AvatarError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    # asyncio sets this by itself, but only on sockets that know their protocol, and those of create_server do not.
    taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return taken
