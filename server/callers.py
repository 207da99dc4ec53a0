"""Who calls: the API key that a request brings, in its header or, in older dialects, in its body."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from server.errors import InvalidJson, MissingApiKey, PayloadTooLarge, ValidationFailed
from server.settings import Settings
from server.tokens import ApiKeys, bearer
from server.validation import json_object


def owner_of(request: Request) -> str:
    """Whose key the header of a request holds.

    Raises:
        MissingApiKey, InvalidApiKey
    """
    keys: ApiKeys = request.app.state.api_keys
    return keys.owner(request.headers.get("x-api-key"))


def scraper_of(request: Request) -> str:
    """Like ``owner_of``; the key may also be a bearer token, which is what Prometheus can send."""
    keys: ApiKeys = request.app.state.api_keys
    return keys.owner(request.headers.get("x-api-key") or bearer(request.headers.get("authorization")))


async def owner_and_body(request: Request, *, may_be_empty: bool = False) -> tuple[str, dict[str, Any]]:
    """Whose key a request brings, and its JSON object.

    Raises:
        MissingApiKey, InvalidApiKey, PayloadTooLarge, InvalidJson, ValidationFailed
    """
    keys: ApiKeys = request.app.state.api_keys
    header = request.headers.get("x-api-key")
    owner = keys.owner(header) if header else None
    body = await _read(request)
    try:
        given = {} if may_be_empty and not body.strip() else json_object(body)
    except (InvalidJson, ValidationFailed):
        if owner is None:
            raise MissingApiKey from None
        raise
    if owner is None:
        key = given.get("api_key")
        owner = keys.owner(key if isinstance(key, str) else None)
    return owner, given


async def _read(request: Request) -> bytes:
    settings: Settings = request.app.state.settings
    parts, n_bytes = [], 0
    async for part in request.stream():
        n_bytes += len(part)
        if n_bytes > settings.max_request_bytes:
            raise PayloadTooLarge(f"The body is larger than {settings.max_request_bytes} bytes")
        parts.append(part)
    return b"".join(parts)
