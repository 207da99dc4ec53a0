"""The web application: routes, what they share, and who ends it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from avatar.errors import AvatarError
from server import http
from server.cross_origin import CrossOrigin
from server.errors import InvalidToken, SessionNotFound
from server.metrics import Metrics
from server.openapi import openapi_operation
from server.operations import PROTOCOL, Operation, routes
from server.placement import InProcess, Placement
from server.sessions import OpenSession, Room, Sessions
from server.settings import Settings
from server.speech_socket import speech_socket
from server.start_request import StartRequest
from server.tokens import ApiKeys, SessionTokens, StudioPasses, new_token_secret

SPEECH = WebSocketRoute("/session/{session_id}/ws", speech_socket)
"""It finds the sessions at ``app.state.sessions``."""


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
    """The application of a server whose sessions live in this process; it can be run once.

    Args:
        open_session: makes an avatar ready for one session.
        known_avatars: ids that a start may ask for.
        resources: entered before the first session and left after the last one.
        operations: REST calls besides the protocol's own.
        extra_routes: served beside the protocol. They find the sessions at ``request.app.state.sessions``.
        metrics: where figures go; new ones by default.
        may_start, room: see ``Sessions``.
    """
    settings, metrics = with_secret(settings), metrics or Metrics()
    sessions = Sessions(
        bare(settings), tokens_of(settings), open_session, known_avatars, metrics, may_start=may_start, room=room
    )
    served = [*api(operations), SPEECH, *extra_routes]
    app = assembled(settings, InProcess(sessions), metrics.refusals, served, [*resources, sessions])
    app.state.sessions = sessions
    return app


def api(operations: Sequence[Operation]) -> list[BaseRoute]:
    """The routes of the protocol's REST calls and of further ones, and of the document that describes them."""
    table = [*PROTOCOL, *operations]
    return routes([*table, openapi_operation(table)])


def assembled(
    settings: Settings,
    placement: Placement,
    refusals: Counter,
    served: Sequence[BaseRoute],
    resources: Sequence[AbstractAsyncContextManager[object]],
) -> Starlette:
    """Routes, with what they share.

    Args:
        settings: with a ``token_secret``.
        refusals: counts them by code.
        resources: entered in this order before anything is served, and left in the opposite one.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for resource in resources:
                await stack.enter_async_context(resource)
            yield

    prefixed = [Mount(settings.path_prefix, routes=list(served))] if settings.path_prefix else []
    app = Starlette(
        routes=[*served, *prefixed],  # our own paths first: a prefix may be the beginning of one
        middleware=[Middleware(CrossOrigin)],
        exception_handlers={AvatarError: http.refused, HTTPException: http.not_served, Exception: http.broken},
        lifespan=lifespan,
    )
    app.state.settings = bare(settings)
    app.state.placement = placement
    app.state.refusals = refusals
    app.state.api_keys = ApiKeys(settings.api_keys)
    app.state.tokens = tokens_of(settings)
    app.state.studio_passes = StudioPasses(settings.token_secret)
    return app


def opens(app: Starlette, session_id: str, token: str | None) -> bool:
    """Whether a token is that of a session of this application, and the session lives."""
    tokens: SessionTokens = app.state.tokens
    placement: Placement = app.state.placement
    try:
        return token is not None and tokens.session_id(token) == session_id and bool(placement.owner(session_id))
    except (InvalidToken, SessionNotFound):
        return False


def with_secret(settings: Settings) -> Settings:
    """Settings that have a ``token_secret``: a new one where the operator set none."""
    return dataclasses.replace(settings, token_secret=settings.token_secret or new_token_secret())


def tokens_of(settings: Settings) -> SessionTokens:
    return SessionTokens(settings.token_secret, settings.longest_session_s)


def bare(settings: Settings) -> Settings:
    """Settings without what is a secret of this server's own."""
    return dataclasses.replace(settings, api_keys=(), token_secret="")
