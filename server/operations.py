"""Every REST call in one table: it makes the routes, and the OpenAPI document that describes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from server import errors, http, probes
from server.rest_types import (
    FirstDialectBody,
    FirstDialectStarted,
    SessionInfo,
    SessionList,
    StartBody,
    Started,
    StopBody,
    Stopped,
)

Handler = Callable[[Request], Awaitable[Response]]
Refusals = tuple[type[errors.ApiError], ...]

KEY: Refusals = (errors.InvalidApiKey, errors.MissingApiKey)
BODY: Refusals = (errors.ValidationFailed, errors.InvalidJson, errors.PayloadTooLarge)
START: Refusals = (
    errors.AvatarUnknown,
    errors.TooManyStarts,
    errors.CapacityExceeded,
    errors.PublisherUnavailable,
    errors.Draining,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One REST call.

    Attributes:
        paths: all its spellings; the first is the one that is documented.
        body: of the request; None where it has none.
        answer: of the answer with status 200; None where it is no JSON of ours.
        refusals: what it may be refused for, besides what any call may be.
        key: where the API key may come: "header", "body" too, or "" for a call that anybody may make.
        produces: the content type of the answer.
    """

    method: str
    paths: tuple[str, ...]
    handler: Handler
    summary: str
    body: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    refusals: Refusals = ()
    key: str = "header"
    produces: str = "application/json"

    @property
    def statuses(self) -> dict[int, list[str]]:
        """The codes of its refusals, by HTTP status."""
        found: dict[int, list[str]] = {}
        for refusal in (*self.refusals, *(KEY if self.key else ())):
            found.setdefault(refusal.status, []).append(refusal.code)
        return found


def spelled(path: str, *others: str) -> tuple[str, ...]:
    """A path and its other spellings, each also under ``/v1``."""
    paths = (path, *others)
    return (*paths, *(f"/v1{one}" for one in paths))


HEALTH = Operation("GET", ("/healthz",), probes.healthz, "Whether the process is alive.", key="")

PROTOCOL: Sequence[Operation] = (
    Operation(
        "POST",
        spelled("/session/start", "/sessions/start"),
        http.start,
        "Starts a session; its avatar is made ready meanwhile.",
        StartBody,
        Started,
        (*BODY, *START),
        "body",
    ),
    Operation(
        "DELETE",
        spelled("/session/stop", "/sessions/stop"),
        http.stop,
        "Ends a session; answers when it has left its channel.",
        StopBody,
        Stopped,
        (*BODY, errors.SessionNotFound),
        "body",
    ),
    Operation(
        "POST",
        spelled("/session/stop", "/sessions/stop"),
        http.stop,
        "The same, for clients that cannot send DELETE with a body.",
        StopBody,
        Stopped,
        (*BODY, errors.SessionNotFound),
        "body",
    ),
    Operation(
        "POST",
        ("/endpoint",),
        http.start_first_dialect,
        "Starts a session in the protocol's first dialect: the WebSocket's address holds its token.",
        FirstDialectBody,
        FirstDialectStarted,
        (*BODY, *START),
        "body",
    ),
    Operation(
        "GET", spelled("/sessions"), http.list_sessions, "This key's sessions, the oldest first.", None, SessionList
    ),
    Operation(
        "GET",
        spelled("/sessions/{session_id}"),
        http.show_session,
        "One session of this key.",
        None,
        SessionInfo,
        (errors.SessionNotFound,),
    ),
    HEALTH,
    Operation("GET", ("/readyz",), probes.readyz, "Whether a session could be started now (else 503).", key=""),
    Operation(
        "GET",
        ("/metrics",),
        probes.metrics,
        "Figures for Prometheus; the key may be a bearer token.",
        produces="text/plain",
    ),
)
"""What every server has."""


def routes(operations: Sequence[Operation]) -> list[BaseRoute]:
    """A route for each path and method; for a path with several methods, one that knows them all."""
    handlers: dict[str, dict[str, Handler]] = {}
    for operation in operations:
        for path in operation.paths:
            handlers.setdefault(path, {})[operation.method] = operation.handler
    return [Route(path, _by_method(methods), methods=list(methods)) for path, methods in handlers.items()]


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def handle(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return handle
