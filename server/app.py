"""The web application: routes, what they share, and who ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from server import http
from server.errors import ApiError
from server.metrics import Metrics
from server.sessions import OpenSession, Sessions
from server.settings import Settings
from server.speech_socket import speech_socket
from server.start_request import StartRequest
from server.tokens import ApiKeys, SessionTokens, new_token_secret


def create_app(
    settings: Settings,
    open_session: OpenSession,
    known_avatars: Callable[[], Collection[str]],
    *,
    resources: Sequence[AbstractAsyncContextManager[object]] = (),
    extra_routes: Sequence[BaseRoute] = (),
    metrics: Metrics | None = None,
    may_start: Callable[[StartRequest], None] = lambda request: None,
) -> Starlette:
    """The application; it can be run once.

    Args:
        open_session: makes an avatar ready for one session.
        known_avatars: ids that a start may ask for.
        resources: entered before the first session and left after the last one.
        extra_routes: served beside the protocol. They find the sessions at ``request.app.state.sessions``.
        metrics: where figures go; new ones by default.
        may_start: see ``Sessions``.
    """
    tokens = SessionTokens(settings.token_secret or new_token_secret(), settings.longest_session_s)
    sessions = Sessions(settings, tokens, open_session, known_avatars, metrics or Metrics(), may_start=may_start)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for resource in resources:
                await stack.enter_async_context(resource)
            async with sessions:
                yield

    routes = [*_routes(), *extra_routes]
    prefixed = [Mount(settings.path_prefix, routes=routes)] if settings.path_prefix else []
    app = Starlette(
        routes=[*routes, *prefixed],
        middleware=[Middleware(http.CrossOrigin)],
        exception_handlers={ApiError: http.refused, HTTPException: http.not_served, Exception: http.broken},
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.sessions = sessions
    app.state.api_keys = ApiKeys(settings.api_keys)
    return app


def _routes() -> list[BaseRoute]:
    """The protocol's, in every spelling that its clients use."""
    routes: list[BaseRoute] = []
    for start in ("/session", "/sessions", "/v1/session", "/v1/sessions"):
        routes.append(Route(f"{start}/start", http.start, methods=["POST"]))
        routes.append(Route(f"{start}/stop", http.stop, methods=["DELETE", "POST"]))
    return [
        *routes,
        WebSocketRoute("/session/{session_id}/ws", speech_socket),
        Route("/healthz", http.healthz),
        Route("/readyz", http.readyz),
        Route("/metrics", http.metrics),
    ]
