"""The REST calls that start, stop and show sessions, and how refusals are answered."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from avatar.errors import AvatarError
from server.callers import owner_and_body, owner_of
from server.errors import (
    ApiError,
    EndpointNotFound,
    InvalidToken,
    MethodNotAllowed,
    SessionNotFound,
    ValidationFailed,
    api_error,
)
from server.placement import Placed, Placement
from server.rest_types import FirstDialectStarted, SessionList, Started, StopBody, Stopped
from server.settings import Settings, of_worker
from server.start_request import first_dialect_request, start_request
from server.tokens import SessionTokens, bearer
from server.validation import checked

WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss"}


async def start(request: Request) -> Response:
    placement: Placement = request.app.state.placement
    tokens: SessionTokens = request.app.state.tokens
    owner, given = await owner_and_body(request)
    placed = await placement.start(start_request(given), owner)
    return answer(Started(placed.session_id, _address(request, placed), tokens.issue(placed.session_id)))


async def start_first_dialect(request: Request) -> Response:
    """This dialect sends its WebSocket no header: the address holds the token."""
    placement: Placement = request.app.state.placement
    tokens: SessionTokens = request.app.state.tokens
    settings: Settings = request.app.state.settings
    owner, given = await owner_and_body(request)
    asked = first_dialect_request(given, settings.default_app_id)
    if "agora" in settings.publishers and not settings.default_app_id:
        raise ValidationFailed("This dialect names no Agora project, and this server has no AVATAR_DEFAULT_APP_ID")
    placed = await placement.start(asked, owner)
    address = f"{_address(request, placed)}?session_token={tokens.issue(placed.session_id)}"
    return answer(FirstDialectStarted(placed.session_id, address))


async def stop(request: Request) -> Response:
    placement: Placement = request.app.state.placement
    tokens: SessionTokens = request.app.state.tokens
    owner, given = await owner_and_body(request, may_be_empty=True)
    body = checked(given, StopBody)
    token = body.session_token or bearer(request.headers.get("authorization"))
    await placement.stop(_to_stop(placement, tokens, owner, body.session_id or None, token))
    return answer(Stopped())


async def list_sessions(request: Request) -> Response:
    placement: Placement = request.app.state.placement
    return answer(SessionList(await placement.infos(owner_of(request))))


async def show_session(request: Request) -> Response:
    placement: Placement = request.app.state.placement
    owner, session_id = owner_of(request), request.path_params["session_id"]
    if placement.owner(session_id) != owner:
        raise SessionNotFound
    return answer(await placement.info(session_id))


def answer(value: msgspec.Struct, status: int = 200) -> Response:
    """An answer of one of the protocol's types; it may hold a token, and is not to be kept on the way."""
    return Response(msgspec.json.encode(value), status, {"Cache-Control": "no-store"}, "application/json")


async def refused(request: Request, error: Exception) -> Response:
    """The answer to what was refused on purpose."""
    assert isinstance(error, AvatarError)  # noqa: S101
    refusals: Counter = request.app.state.refusals
    refusal = api_error(error)
    refusals.labels(refusal.code).inc()
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


async def not_served(request: Request, error: Exception) -> Response:
    """The answer where nothing is served: an unknown path, or a method that it does not have."""
    assert isinstance(error, HTTPException)  # noqa: S101
    path = request.url.path[:256]
    if error.status_code == 404:
        return await refused(request, EndpointNotFound(f"There is nothing at {request.method} {path}"))
    if error.status_code == 405:
        refusal = MethodNotAllowed(f"{path} does not take {request.method}", (error.headers or {}).get("Allow", ""))
        return await refused(request, refusal)
    body = {"error": error.detail, "message": error.detail, "code": f"HTTP_{error.status_code}"}
    return JSONResponse(body, error.status_code, error.headers)


async def broken(request: Request, error: Exception) -> Response:
    """The answer to our own mistakes; what happened goes to the log only."""
    return JSONResponse(ApiError("Something went wrong on this server").body, ApiError.status)


def _to_stop(placement: Placement, tokens: SessionTokens, owner: str, session_id: str | None, token: str | None) -> str:
    """The session that a stop means. Clients differ in what they send, so the id decides and a token may help.

    Raises:
        ValidationFailed: neither an id nor a token that names a session; or an unknown id alone.
        SessionNotFound: an id or token whose session is not there (any more), or is somebody else's.
    """
    if session_id is None:
        if token is None:
            raise ValidationFailed.missing(["session_id"])
        try:
            session_id = tokens.session_id(token)
        except InvalidToken:
            raise ValidationFailed("session_token names no session, and session_id is missing") from None
    try:
        if placement.owner(session_id) != owner:
            raise SessionNotFound
    except SessionNotFound:
        if token is None:
            raise ValidationFailed("There is no session of this session_id, and session_token is missing") from None
        raise
    return session_id


def _address(request: Request, placed: Placed) -> str:
    """Where a session's WebSocket is, as the operator says or as the request came."""
    settings: Settings = request.app.state.settings
    public = urlsplit(settings.public_url or f"{request.url.scheme}://{request.url.netloc}")
    if placed.worker and settings.worker_url:
        public = urlsplit(of_worker(settings.worker_url, placed.worker, placed.port))
    elif placed.worker:
        host = f"[{public.hostname}]" if ":" in (public.hostname or "") else public.hostname
        public = public._replace(netloc=f"{host}:{placed.port}")
    scheme = WEBSOCKET_SCHEMES.get(public.scheme, public.scheme)
    return f"{scheme}://{public.netloc}{public.path}/session/{placed.session_id}/ws"
