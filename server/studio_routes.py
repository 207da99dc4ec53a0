"""The studio: a page on which one sees and hears an avatar and makes it speak."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).parent / "studio"

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
}
"""What is served, and as what; anything else in the folder is not for browsers."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
        "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
"""The page loads nothing from elsewhere; only a session's WebSocket may live on another host."""


def studio_routes() -> list[BaseRoute]:
    """``GET /studio`` and what the page loads."""
    return [Route("/studio", _page), Route("/studio/{name}", _file)]


async def _page(request: Request) -> Response:
    return _served("index.html")


async def _file(request: Request) -> Response:
    return _served(request.path_params["name"])


def _served(name: str) -> Response:
    path = FOLDER / name
    if path.suffix not in MEDIA_TYPES or path not in FOLDER.iterdir():
        raise HTTPException(404)
    return FileResponse(path, headers=HEADERS, media_type=MEDIA_TYPES[path.suffix])
