"""Who has no key reads and hears nothing: every route of the whole server is tried."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conformance.rows import row
from tests.server.running import START, Running, calling, running_whole

pytestmark = pytest.mark.anyio

STRANGERS = "Strangers"
OPEN = {"/healthz", "/readyz"}
"""What tells anybody one word: whether the server lives, and whether it takes sessions."""


@pytest.fixture(scope="module")
async def server(tiny_avatar: Path) -> AsyncIterator[Running]:
    async with running_whole(tiny_avatar.parent, path_prefix="/provider") as server:
        yield server


def every_route(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, Route | WebSocketRoute]]:
    for one in routes:
        if isinstance(one, Mount):
            yield from every_route(one.routes, prefix + one.path)
        elif isinstance(one, Route | WebSocketRoute):
            yield prefix + one.path, one
        else:
            raise AssertionError(f"a route of a kind that this test does not know: {one}")


def app_of(server: Running) -> Starlette:
    app = server.server.config.app
    assert isinstance(app, Starlette)
    return app


@row(
    STRANGERS,
    "every method of every route, without a key or with a wrong one",
    "401 or 403, and nothing of any session",
)
async def test_every_route_is_closed(server: Running) -> None:
    answer = await server.start(avatar_id="tiny")
    n_tried = 0
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as stranger, calling(answer):
        for path, route in every_route(app_of(server).routes):
            if not isinstance(route, Route):
                continue
            for key, value in {"session_id": answer["session_id"], "avatar_id": "tiny", "name": "studio.js"}.items():
                path = path.replace(f"{{{key}}}", value)
            path = path.replace("{viewer_id}", "guessed")
            for method in sorted(route.methods or ()):
                for headers in ({}, {"x-api-key": "guessed"}, {"Authorization": "Bearer guessed"}):
                    body = json.dumps({**START, "session_id": answer["session_id"]})
                    response = await stranger.request(method, path, content=body, headers=headers)
                    n_tried += 1
                    if path.removeprefix("/provider") in OPEN:
                        assert response.text in ("", '{"status":"ok"}', '{"status":"ready"}')
                        continue
                    assert response.status_code in (401, 403), f"{method} {path}: {response.status_code}"
                    assert answer["session_id"] not in response.text
                    assert "tiny" not in response.text
        assert len(server.sessions) == 1, "nobody stopped or started anything"
    assert n_tried > 100
    await server.stop(answer)


@row(STRANGERS, "the WebSocket of a session that lives, with a token that is guessed", "HTTP 401 at the handshake")
async def test_the_socket_is_closed(server: Running) -> None:
    answer = await server.start(avatar_id="tiny")
    sockets = [path for path, route in every_route(app_of(server).routes) if isinstance(route, WebSocketRoute)]
    assert len(sockets) == 2
    for path in sockets:
        address = f"ws://{server.url[7:]}{path.replace('{session_id}', answer['session_id'])}"
        for how in ("?token=guessed", "?session_token=a.b.c"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(address + how):
                    pass
            assert refused.value.response.status_code == 401
    await server.stop(answer)


@row(STRANGERS, "that WebSocket without any token", "nothing is said before `init` brings one; closed with 1008")
async def test_a_socket_without_a_token_hears_nothing(server: Running) -> None:
    answer = await server.start(avatar_id="tiny")
    async with calling(answer) as caller, connect(answer["websocket_address"]) as stranger:
        await caller.send("state", value="listen")
        await caller.event("state_changed")
        await stranger.send(json.dumps({"command": "voice", "audio": "AAAA", "sampleRate": 8000, "encoding": "PCM16"}))
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(stranger.recv(), 20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        await caller.speaks()
    await server.stop(answer)


@row(STRANGERS, "WHEP with another session's token", "401 `INVALID_TOKEN`")
async def test_a_token_shows_its_own_session_only(server: Running) -> None:
    one, other = await server.start(avatar_id="tiny"), await server.start(avatar_id="tiny")
    headers = {"Authorization": f"Bearer {other['session_token']}", "Content-Type": "application/sdp"}
    response = await server.http.post(f"/whep/{one['session_id']}", content="v=0", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "INVALID_TOKEN")
    await server.stop(one)
    await server.stop(other)


@row(STRANGERS, "another key's sessions", "they are neither listed, shown nor stopped")
async def test_keys_do_not_see_each_other(tiny_avatar: Path) -> None:
    async with running_whole(tiny_avatar.parent, api_keys=("a-key-for-tests", "another-key")) as server:
        answer = await server.start(avatar_id="tiny")
        other = {"x-api-key": "another-key"}
        assert (await server.http.get("/sessions", headers=other)).json() == {"sessions": []}
        assert (await server.http.get(f"/sessions/{answer['session_id']}", headers=other)).status_code == 404
        stop = {"session_id": answer["session_id"], "session_token": answer["session_token"]}
        assert (await server.http.request("DELETE", "/session/stop", json=stop, headers=other)).status_code == 404
        (shown,) = (await server.http.get("/sessions")).json()["sessions"]
        assert shown["session_id"] == answer["session_id"]
