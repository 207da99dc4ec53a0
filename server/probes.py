"""What watches over a server: whether it lives, whether it is ready, and its figures."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.callers import owner_of, scraper_of
from server.errors import InvalidApiKey, MissingApiKey
from server.placement import Placement


async def healthz(request: Request) -> Response:
    """Whether the process is alive."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether a session could be started now. Who has no key learns nothing else."""
    placement: Placement = request.app.state.placement
    found = await placement.readiness()
    details = found.details if _has_key(request) else {}
    return JSONResponse({"status": found.status, **details}, 200 if found.status == "ready" else 503)


async def metrics(request: Request) -> Response:
    """Figures for Prometheus, in its text format."""
    scraper_of(request)
    placement: Placement = request.app.state.placement
    return Response(await placement.figures(), media_type="text/plain; version=0.0.4")


def _has_key(request: Request) -> bool:
    try:
        owner_of(request)
    except (MissingApiKey, InvalidApiKey):
        return False
    return True
