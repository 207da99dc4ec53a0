"""The REST calls: start and stop a session, and what watches over a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import (
    ApiError,
    EndpointNotFound,
    InvalidToken,
    MethodNotAllowed,
    PayloadTooLarge,
    SessionNotFound,
    ValidationFailed,
)
from server.live_session import LiveSession
from server.sessions import Sessions
from server.settings import Settings
from server.start_request import json_object, start_request
from server.tokens import ApiKeys, bearer

STOPPED = {"status": "success", "message": "Session terminated successfully"}

WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss"}


async def start(request: Request) -> Response:
    """``POST /session/start``"""
    sessions: Sessions = request.app.state.sessions
    owner = _owner(request)
    live = sessions.start(start_request(await _body(request)), owner)
    return JSONResponse(
        {
            "session_id": live.id,
            "websocket_address": f"{_websocket_base(request)}/session/{live.id}/ws",
            "session_token": sessions.tokens.issue(live.id),
        }
    )


async def stop(request: Request) -> Response:
    """``DELETE /session/stop``"""
    sessions: Sessions = request.app.state.sessions
    owner = _owner(request)
    body = await _body(request)
    given = json_object(body) if body.strip() else {}
    token = _optional_text(given, "session_token") or bearer(request.headers.get("authorization"))
    await sessions.stop(_to_stop(sessions, owner, _optional_text(given, "session_id"), token))
    return JSONResponse(STOPPED)


async def healthz(request: Request) -> Response:
    """Whether the process is alive."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether a session could be started now."""
    sessions: Sessions = request.app.state.sessions
    known = sorted(sessions.known_avatars())
    ready = bool(known) and not sessions.is_draining
    status = "draining" if sessions.is_draining else "ready" if known else "no avatars"
    return JSONResponse({"status": status, "avatars": known, "sessions": len(sessions)}, 200 if ready else 503)


async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    sessions: Sessions = request.app.state.sessions
    return Response(sessions.metrics.text(), media_type="text/plain; version=0.0.4")


async def refused(request: Request, error: Exception) -> Response:
    """The answer to what was refused on purpose."""
    assert isinstance(error, ApiError)  # noqa: S101
    sessions: Sessions = request.app.state.sessions
    sessions.metrics.refusals.labels(error.code).inc()
    return JSONResponse(error.body, error.status, error.headers)


async def not_served(request: Request, error: Exception) -> Response:
    """The answer where nothing is served: an unknown path, or a method that it does not have."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 404:
        return await refused(request, EndpointNotFound(f"There is nothing at {request.method} {request.url.path}"))
    if error.status_code == 405:
        return await refused(request, MethodNotAllowed(f"{request.url.path} does not take {request.method}"))
    body = {"error": error.detail, "message": error.detail, "code": f"HTTP_{error.status_code}"}
    return JSONResponse(body, error.status_code, error.headers)


async def broken(request: Request, error: Exception) -> Response:
    """The answer to our own mistakes; what happened goes to the log only."""
    return JSONResponse(ApiError("Something went wrong on this server").body, ApiError.status)


class CrossOrigin:
    """Lets pages of any origin call, and answers every pre-flight request. Nothing here is allowed by cookies."""

    PREFLIGHT = (
        (b"access-control-allow-methods", b"POST, DELETE, OPTIONS"),
        (b"access-control-allow-headers", b"Content-Type, x-api-key, Authorization"),
        (b"access-control-max-age", b"600"),
    )
    ALWAYS = ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"Location, Retry-After"))

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self.ALWAYS]
            await send(message)

        if scope["method"] == "OPTIONS":
            headers = {name.decode(): value.decode() for name, value in self.PREFLIGHT}
            await Response(status_code=204, headers=headers)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def _to_stop(sessions: Sessions, owner: str, session_id: str | None, token: str | None) -> LiveSession:
    """The session that a stop means. Clients differ in what they send, so the id decides and a token may help.

    Raises:
        ValidationFailed: neither an id nor a token that names a session; or an unknown id alone.
        SessionNotFound: an id or token whose session is not there (any more), or is somebody else's.
    """
    if session_id is None:
        if token is None:
            raise ValidationFailed.missing(["session_id"])
        try:
            session_id = sessions.tokens.session_id(token)
        except InvalidToken:
            raise ValidationFailed("session_token names no session, and session_id is missing") from None
    try:
        live = sessions.get(session_id)
        if live.owner != owner:
            raise SessionNotFound
    except SessionNotFound:
        if token is None:
            raise ValidationFailed("There is no session of this session_id, and session_token is missing") from None
        raise
    return live


def _owner(request: Request) -> str:
    keys: ApiKeys = request.app.state.api_keys
    return keys.owner(request.headers.get("x-api-key"))


async def _body(request: Request) -> bytes:
    settings: Settings = request.app.state.settings
    parts, n_bytes = [], 0
    async for part in request.stream():
        n_bytes += len(part)
        if n_bytes > settings.max_request_bytes:
            raise PayloadTooLarge(f"The body is larger than {settings.max_request_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def _websocket_base(request: Request) -> str:
    settings: Settings = request.app.state.settings
    public = urlsplit(settings.public_url or f"{request.url.scheme}://{request.url.netloc}")
    return f"{WEBSOCKET_SCHEMES.get(public.scheme, public.scheme)}://{public.netloc}{public.path}"


def _optional_text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise ValidationFailed(f"{name} must be a string")
    return value or None
