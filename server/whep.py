"""WHEP: how any player watches a session. ``POST`` an SDP offer, get the answer; ``DELETE`` its ``Location`` to end.

After draft-ietf-wish-whep. Candidates come complete with the answer, so there is no ``PATCH``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.errors import ApiError, InvalidToken, PayloadTooLarge, SessionNotFound, Unavailable
from server.publishers.offers import Answer, NoCommonCodec, NotOnAir, OfferRefused, TooManyViewers
from server.tokens import bearer

MAX_OFFER_BYTES = 64 * 1024


class Watchable(Protocol):
    """What answers offers; see ``WebRtcPublisher``."""

    async def answer(self, offer: str) -> Answer: ...

    async def hang_up(self, viewer_id: str) -> bool: ...


class InvalidOffer(ApiError):
    status, error, code = 400, "Invalid request", "INVALID_OFFER"


class OfferNotAcceptable(ApiError):
    status, error, code = 406, "Not acceptable", "NO_COMMON_CODEC"


class UnsupportedMediaType(ApiError):
    status, error, code = 415, "Unsupported media type", "UNSUPPORTED_MEDIA_TYPE"


class StreamNotThere(ApiError):
    status, error, code = 409, "Conflict", "NOT_ON_AIR"

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": "1"}


class ViewersFull(Unavailable):
    code = "TOO_MANY_VIEWERS"


class ViewerNotFound(ApiError):
    status, error, code = 404, "Not found", "VIEWER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("There is no such viewer, or it has hung up")


async def answered(watchable: Watchable, offer: str) -> Answer:
    """The answer to an offer.

    Raises:
        ApiError: it was refused.
    """
    try:
        return await watchable.answer(offer)
    except NoCommonCodec as error:
        raise OfferNotAcceptable(str(error)) from error
    except OfferRefused as error:
        raise InvalidOffer(str(error)) from error
    except NotOnAir as error:
        raise StreamNotThere(str(error)) from error
    except TooManyViewers as error:
        raise ViewersFull(str(error)) from error


def whep_routes(
    find: Callable[[str], Awaitable[Watchable | None]], allowed: Callable[[str, str | None], bool]
) -> list[Route]:
    """The routes ``/whep/{session_id}`` and ``/whep/{session_id}/{viewer_id}``.

    Args:
        find: what to watch, by session id; None where there is no such session or it is not to be watched.
        allowed: whether a token (None: none was sent) lets one watch the session of an id.
    """

    async def watch(request: Request) -> Response:
        session_id = request.path_params["session_id"]
        if not allowed(session_id, _token(request)):
            raise InvalidToken
        watchable = await find(session_id)
        if watchable is None:
            raise SessionNotFound
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/sdp":
            raise UnsupportedMediaType(f"An offer is application/sdp, not '{kind}'")
        answer = await answered(watchable, await _offer(request))
        location = f"{request.url.path.rstrip('/')}/{answer.viewer_id}"
        return Response(answer.sdp, 201, {"Location": location}, "application/sdp")

    async def hang_up(request: Request) -> Response:
        """The path itself is the permission: it holds the viewer's secret, and players send it without their token."""
        session_id = request.path_params["session_id"]
        watchable = await find(session_id)
        if watchable is None or not await watchable.hang_up(request.path_params["viewer_id"]):
            # Who has no token learns nothing: neither sessions nor viewers can be guessed at.
            raise ViewerNotFound if allowed(session_id, _token(request)) else InvalidToken
        return Response()

    return [
        Route("/whep/{session_id}", watch, methods=["POST"]),
        Route("/whep/{session_id}/{viewer_id}", hang_up, methods=["DELETE"]),
    ]


def _token(request: Request) -> str | None:
    return bearer(request.headers.get("authorization")) or request.query_params.get("token")


async def _offer(request: Request) -> str:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_OFFER_BYTES:
            raise PayloadTooLarge(f"An offer may have {MAX_OFFER_BYTES} bytes, not more")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidOffer("the offer is not text in UTF-8") from error
