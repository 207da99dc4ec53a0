"""The studio: a page on which one sees and hears an avatar and makes it speak. Strangers get a sign-in page.

Signing in exchanges the API key for a pass in a cookie, which opens the page's files and nothing else: every other call
brings the key or a session's token.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from server.callers import owner_of
from server.errors import InvalidToken
from server.tokens import StudioPasses

FOLDER = Path(__file__).parent / "studio"
SIGN_IN = FOLDER / "sign-in.html"

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
}
"""What is served, and as what; anything else in the folder is not for browsers."""

COOKIE = "studio"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; "
        "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
"""The page loads nothing from elsewhere; only a session's WebSocket may live on another host."""


def studio_routes() -> list[BaseRoute]:
    """``GET /studio`` and what the page loads; ``POST /studio`` signs in."""
    text = SIGN_IN.read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {_hash_of('script', text)}; style-src {_hash_of('style', text)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    sign_in_headers = {**HEADERS, "Content-Security-Policy": policy, "Cache-Control": "no-store"}

    async def page(request: Request) -> Response:
        if not _may_see(request):
            return HTMLResponse(text, 401, sign_in_headers)
        return _served("index.html")

    return [
        Route("/studio", page, methods=["GET"]),
        Route("/studio", sign_in, methods=["POST"]),
        Route("/studio/{name}", file, methods=["GET"]),
    ]


async def sign_in(request: Request) -> Response:
    """Gives whoever has a key a pass. The cookie has no path of its own, so that it also works behind a proxy."""
    owner_of(request)
    passes: StudioPasses = request.app.state.studio_passes
    signed_in = Response(status_code=204, headers={"Cache-Control": "no-store"})
    is_secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
    signed_in.set_cookie(COOKIE, passes.issue(), path=None, httponly=True, samesite="strict", secure=is_secure)
    return signed_in


async def file(request: Request) -> Response:
    if not _may_see(request):
        raise InvalidToken("The studio is opened with an API key, at /studio")
    return _served(request.path_params["name"])


def _may_see(request: Request) -> bool:
    """Whether a request brings a pass, or a key.

    Raises:
        InvalidApiKey: it brings a wrong key.
    """
    passes: StudioPasses = request.app.state.studio_passes
    if passes.is_valid(request.cookies.get(COOKIE, "")):
        return True
    return "x-api-key" in request.headers and bool(owner_of(request))


def _served(name: str) -> Response:
    path = FOLDER / name
    if path.suffix not in MEDIA_TYPES or path not in FOLDER.iterdir():
        raise HTTPException(404)
    return FileResponse(path, headers=HEADERS, media_type=MEDIA_TYPES[path.suffix])


def _hash_of(element: str, page: str) -> str:
    """What a content security policy calls the page's own script or style."""
    found = re.search(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
    content = found[1] if found else ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
