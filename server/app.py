"""The web application: routes, what they share, and who ends it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from avatar.errors import AvatarError
from server import http
from server.cross_origin import CrossOrigin
from server.metrics import Metrics
from server.openapi import openapi_operation
from server.operations import PROTOCOL, Operation, routes
from server.sessions import OpenSession, Room, Sessions
from server.settings import Settings
from server.speech_socket import speech_socket
from server.start_request import StartRequest
from server.tokens import ApiKeys, SessionTokens, StudioPasses, new_token_secret


def create_app(
    settings: Settings,
    open_session: OpenSession,
    known_avatars: Callable[[], Collection[str]],
    *,
    resources: Sequence[AbstractAsyncContextManager[object]] = (),
    operations: Sequence[Operation] = (),
    extra_routes: Sequence[BaseRoute] = (),
    metrics: Metrics | None = None,
    may_start: Callable[[StartRequest], None] = lambda request: None,
    room: Room | None = None,
) -> Starlette:
    """The application; it can be run once.

    Args:
        open_session: makes an avatar ready for one session.
        known_avatars: ids that a start may ask for.
        resources: entered before the first session and left after the last one.
        operations: REST calls besides the protocol's own.
        extra_routes: served beside the protocol. They find the sessions at ``request.app.state.sessions``.
        metrics: where figures go; new ones by default.
        may_start, room: see ``Sessions``.
    """
    keys = ApiKeys(settings.api_keys)
    secret = settings.token_secret or new_token_secret()
    tokens = SessionTokens(secret, settings.longest_session_s)
    settings = dataclasses.replace(settings, api_keys=(), token_secret="")
    sessions = Sessions(
        settings, tokens, open_session, known_avatars, metrics or Metrics(), may_start=may_start, room=room
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for resource in resources:
                await stack.enter_async_context(resource)
            async with sessions:
                yield

    table = [*PROTOCOL, *operations]
    served: list[BaseRoute] = [
        *routes([*table, openapi_operation(table)]),
        WebSocketRoute("/session/{session_id}/ws", speech_socket),
        *extra_routes,
    ]
    prefixed = [Mount(settings.path_prefix, routes=served)] if settings.path_prefix else []
    app = Starlette(
        routes=[*served, *prefixed],  # our own paths first: a prefix may be the beginning of one
        middleware=[Middleware(CrossOrigin)],
        exception_handlers={AvatarError: http.refused, HTTPException: http.not_served, Exception: http.broken},
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.sessions = sessions
    app.state.api_keys = keys
    app.state.studio_passes = StudioPasses(secret)
    return app
