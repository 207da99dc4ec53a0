"""The process that clients come to first where there are workers: it places sessions, and performs none."""

from __future__ import annotations

import socket
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from models.loading import EMBEDDED, Catalogue
from server.app import api, assembled, opens, with_secret
from server.avatar_routes import avatar_operations
from server.errors import InvalidToken, SessionNotFound, SettingsError
from server.serving import AvatarServer
from server.settings import Settings
from server.speech_socket import deny, presented_token
from server.studio_routes import studio_routes
from server.tokens import SessionTokens
from server.whep import whep_routes
from server.wiring import folders_of
from server.workers.figures import FrontMetrics
from server.workers.placement import Workers

LAST_PORT = 65_535


async def not_here(websocket: WebSocket) -> None:
    """Sockets are the workers', at the addresses that starts return; who comes here is told what a worker would say."""
    tokens: SessionTokens = websocket.app.state.tokens
    token = presented_token(websocket)
    try:
        is_right = token is not None and tokens.session_id(token) == websocket.path_params["session_id"]
    except InvalidToken:
        is_right = False
    await deny(websocket, SessionNotFound() if is_right else InvalidToken())


class FrontServer(AvatarServer):
    """The front's own server, which takes the workers' ports together with its own."""

    def __init__(self, app: Starlette, settings: Settings, workers: Workers) -> None:
        super().__init__(app, settings)
        self._workers = workers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Raises AvatarError: also where a worker's port cannot be had."""
        self._workers.listen()
        try:
            await super().startup(sockets)
        except BaseException:
            self._workers.close()
            raise


def build_front(settings: Settings, embedded: Path = EMBEDDED) -> AvatarServer:
    """A server that is ready to run, with its sessions in ``settings.workers`` processes.

    Args:
        embedded: the avatars that are there besides those of the settings.

    Raises:
        SettingsError: there are not so many ports after the front's.
        RuntimeUnavailable: no library for the networks is installed.
    """
    if settings.port + settings.workers > LAST_PORT:
        raise SettingsError(f"{settings.workers} workers need as many ports after {settings.port}, up to {LAST_PORT}")
    settings, metrics = with_secret(settings), FrontMetrics()
    catalogue = Catalogue(folders_of(settings, embedded), settings.runtime)
    workers = Workers(settings, embedded, lambda: [one.id for one in catalogue.summaries()], metrics)
    served = [
        *api(avatar_operations(catalogue)),
        *whep_routes(workers.watchable, lambda *access: opens(app, *access)),
        *studio_routes(),
        WebSocketRoute("/session/{session_id}/ws", not_here),
    ]
    app = assembled(settings, workers, metrics.refusals, served, [workers])
    return FrontServer(app, settings, workers)
