"""What watches over a server: whether it lives, whether it is ready, and its figures."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.callers import owner_of, scraper_of
from server.errors import InvalidApiKey, MissingApiKey
from server.sessions import Sessions


async def healthz(request: Request) -> Response:
    """Whether the process is alive."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Whether a session could be started now. Who has no key learns nothing else."""
    sessions: Sessions = request.app.state.sessions
    known = sorted(await asyncio.to_thread(sessions.known_avatars))
    ready = bool(known) and not sessions.is_draining
    status = "draining" if sessions.is_draining else "ready" if known else "no avatars"
    details: dict[str, object] = {"avatars": known, "sessions": len(sessions)} if _has_key(request) else {}
    if details and sessions.room:
        details |= {"sessions_that_fit": sessions.room.fits, "level": sessions.room.level}
    return JSONResponse({"status": status, **details}, 200 if ready else 503)


async def metrics(request: Request) -> Response:
    """Figures for Prometheus, in its text format."""
    scraper_of(request)
    sessions: Sessions = request.app.state.sessions
    return Response(sessions.metrics.text(), media_type="text/plain; version=0.0.4")


def _has_key(request: Request) -> bool:
    try:
        owner_of(request)
    except (MissingApiKey, InvalidApiKey):
        return False
    return True
