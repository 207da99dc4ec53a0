"""Which avatars there are, for those who have a key."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from models.loading import AvatarSummary, Catalogue
from server.tokens import ApiKeys


def avatar_routes(catalogue: Catalogue) -> list[BaseRoute]:
    """``GET /avatars``"""

    async def avatars(request: Request) -> Response:
        keys: ApiKeys = request.app.state.api_keys
        keys.owner(request.headers.get("x-api-key"))
        summaries = await asyncio.to_thread(catalogue.summaries)
        return JSONResponse({"avatars": [as_json(summary) for summary in summaries]})

    return [Route("/avatars", avatars)]


def as_json(summary: AvatarSummary) -> dict[str, object]:
    """An avatar as clients and ``avatar list --json`` show it."""
    return {
        "id": summary.id,
        "name": summary.name,
        "version": summary.version,
        "width": summary.size.width,
        "height": summary.size.height,
        "fps": float(summary.fps),
        "states": list(summary.states),
        "gestures": list(summary.gestures),
        "model": summary.model_kind,
        "licences": list(summary.licences),
    }
