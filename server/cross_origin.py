"""Cross-origin requests: pages of any origin may call."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class CrossOrigin:
    """Lets pages of any origin call, and answers every pre-flight request. No call is allowed by a cookie."""

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
