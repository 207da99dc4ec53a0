"""REST, row by row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from websockets.asyncio.client import connect

from server.load.monitor import CORES, Monitor
from server.metrics import Metrics
from server.start_request import StartRequest
from tests.conformance.rows import Call, row
from tests.server.running import KEY, START, Caller, Front, Listener, Running, calling, running

pytestmark = pytest.mark.anyio

OTHER_KEY = "another-key-for-tests"
AGORA: Mapping[str, Any] = START["agora_settings"]
FIRST = {
    "region": "global",
    "api_key": KEY,
    "avatar_id": "ava",
    "agora_token": "",
    "agora_uid": "7",
    "agora_channel": "first",
}
"""A start in the protocol's first dialect."""

NO_KEY: Mapping[str, str | None] = {"x-api-key": None}


def start(**changes: Any) -> dict[str, Any]:
    return {**START, **changes}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in START.items() if name not in names}


def agora(**changes: Any) -> dict[str, Any]:
    given = {**AGORA, **changes}
    return start(agora_settings={name: value for name, value in given.items() if value is not None})


def calls() -> list[Call]:
    s, e = "Start", "Start: errors"
    path, ok, bad = "/session/start", 200, "VALIDATION_ERROR"
    spellings = ["/session/start", "/sessions/start", "/v1/session/start", "/v1/sessions/start"]
    found = [Call(s, f"`POST {one}`", "POST", one, ok, body=start()) for one in spellings]
    found += [
        Call(
            s,
            f"`POST /provider{one}` where the operator's prefix is `/provider`",
            "POST",
            f"/provider{one}",
            ok,
            body=start(),
        )
        for one in ("/session/start", "/v1/sessions/start")
    ]
    for name, values in (
        ("quality", ["low", "medium", "high"]),
        ("version", ["v1", "1.0"]),
        ("video_encoding", ["H264", "VP8", "AV1"]),
        ("area", ["GLOBAL", "NORTH_AMERICA", "EUROPE", "ASIA", "INDIA", "JAPAN", None]),
        ("activity_idle_timeout", [0, 60, 120, 0.5, None]),
        ("aspect_ratio", ["9:16", "2x3", "2/3", None]),
    ):
        found += [Call(s, f"`{name}` {json.dumps(one)}", "POST", path, ok, body=start(**{name: one})) for one in values]
    found += [
        Call(s, "`video_width` and `video_height`", "POST", path, ok, body=start(video_width=640, video_height=480)),
        Call(s, "`agora_settings.token` is empty", "POST", path, ok, body=agora(token="")),
        Call(s, "`agora_settings.token` is the app id", "POST", path, ok, body=agora(token="app")),
        Call(
            s,
            "`agora_settings.uid` is a name, `enable_string_uid` true",
            "POST",
            path,
            ok,
            body=agora(uid="anna", enable_string_uid=True),
        ),
        Call(s, "top-level fields of the vendor's own", "POST", path, ok, body=start(vendor={"a": [1]}, note="x")),
        Call(s, "`api_key` in the body, no header", "POST", path, ok, body=start(api_key=KEY), headers=NO_KEY),
        Call(e, "no key", "POST", path, 403, "MISSING_API_KEY", start(), NO_KEY),
        Call(e, "no key, and a body that is no JSON", "POST", path, 403, "MISSING_API_KEY", b"{", NO_KEY),
        Call(e, "an unknown key", "POST", path, 401, "INVALID_API_KEY", start(), {"x-api-key": "guessed"}),
        Call(e, "an unknown key in the body", "POST", path, 401, "INVALID_API_KEY", start(api_key="guessed"), NO_KEY),
        *(
            Call(e, f"a body that is {what}", "POST", path, 400, "INVALID_JSON", data)
            for what, data in {
                "empty": b"",
                "cut off": b'{"avatar_id"',
                "no UTF-8": b'{"\xff": 1}',
                "nested without end": b"[" * 50_000,
            }.items()
        ),
        *(
            Call(e, f"a body that is the JSON `{data.decode()}`", "POST", path, 400, bad, data)
            for data in (b"[]", b"7")
        ),
        *(
            Call(
                e, f"`{name}` is missing", "POST", path, 400, bad, without(name), says=f"Missing required field: {name}"
            )
            for name in START
        ),
        *(
            Call(
                e,
                f"`agora_settings.{name}` is missing",
                "POST",
                path,
                400,
                bad,
                agora(**{name: None}),
                says=f"Missing required field: agora_settings.{name}",
            )
            for name in AGORA
        ),
        Call(
            e,
            "several fields are missing",
            "POST",
            path,
            400,
            bad,
            without("avatar_id", "quality"),
            says="Missing required field(s): avatar_id, quality",
        ),
    ]
    for wrong, says in (
        ({"avatar_id": 7}, "avatar_id must be a string"),
        ({"quality": "ultra"}, "quality must be one of low, medium, high"),
        ({"version": "v2"}, "version must be one of v1, 1.0"),
        ({"video_encoding": "H265"}, "video_encoding must be one of H264, VP8, AV1"),
        ({"area": "MOON"}, "area must be one of GLOBAL, NORTH_AMERICA, EUROPE, ASIA, INDIA, JAPAN"),
        ({"activity_idle_timeout": -1}, "activity_idle_timeout must be a number of seconds from 0"),
        ({"activity_idle_timeout": "60"}, "activity_idle_timeout must be a number of seconds from 0"),
        ({"video_width": 640}, "video_width and video_height must be given together"),
        ({"video_width": 0, "video_height": 480}, "video_width must be a whole number from 64 to 1920"),
        ({"aspect_ratio": "wide"}, 'aspect_ratio must be "W:H", such as "9:16"'),
        ({"aspect_ratio": "1:9"}, "aspect_ratio must be from 1:4 to 4:1"),
        ({"agora_settings": "room"}, "agora_settings must be an object"),
        ({"agora_settings": {**AGORA, "uid": 1001}}, "agora_settings.uid must be a string"),
        ({"agora_settings": {**AGORA, "enable_string_uid": "no"}}, "agora_settings.enable_string_uid must be true or"),
    ):
        given = ", ".join(f"`{name}` is `{json.dumps(value)[:60]}`" for name, value in wrong.items())
        found.append(Call(e, given, "POST", path, 400, bad, start(**wrong), says=says))
    found += [
        Call(e, "an avatar that is not there", "POST", path, 404, "AVATAR_NOT_FOUND", start(avatar_id="bob")),
        Call(e, "more than the largest body", "POST", path, 413, "PAYLOAD_TOO_LARGE", start(note="x" * 70_000)),
        Call(e, "a path that is not served", "POST", "/session/begin", 404, "ENDPOINT_NOT_FOUND", start()),
        Call(e, "a method that the path does not take", "GET", path, 405, "METHOD_NOT_ALLOWED"),
    ]
    f, path = "The first dialect", "/endpoint"
    found += [
        Call(f, "`POST /endpoint`, its key in the body", "POST", path, ok, body=FIRST, headers=NO_KEY),
        Call(f, "the key in the header instead", "POST", path, ok, body={**FIRST, "api_key": None}),
        Call(f, "`agora_uid` is a number", "POST", path, ok, body={**FIRST, "agora_uid": 7}),
        Call(f, "no `agora_token`", "POST", path, ok, body={**FIRST, "agora_token": None}),
        Call(f, "no key", "POST", path, 403, "MISSING_API_KEY", {**FIRST, "api_key": None}, NO_KEY),
        Call(f, "an unknown key", "POST", path, 401, "INVALID_API_KEY", {**FIRST, "api_key": "guessed"}, NO_KEY),
        Call(f, "no JSON", "POST", path, 400, "INVALID_JSON", b"{"),
        *(
            Call(
                f,
                f"`{name}` is missing",
                "POST",
                path,
                400,
                bad,
                {**FIRST, name: None},
                says=f"Missing required field: {name}",
            )
            for name in ("avatar_id", "agora_channel", "agora_uid")
        ),
        Call(f, "an avatar that is not there", "POST", path, 404, "AVATAR_NOT_FOUND", {**FIRST, "avatar_id": "bob"}),
    ]
    p = "Stop"
    bearer = {"Authorization": "Bearer {token}"}
    for method in ("DELETE", "POST"):
        for one in ("/session/stop", "/sessions/stop", "/v1/session/stop", "/v1/sessions/stop"):
            found.append(Call(p, f"`{method} {one}`", method, one, ok, body={"session_id": "{session}"}))
    path = "/session/stop"
    found += [
        Call(
            p,
            "id and token in the body",
            "DELETE",
            path,
            ok,
            body={"session_id": "{session}", "session_token": "{token}"},
        ),
        Call(p, "the token alone, in the body", "DELETE", path, ok, body={"session_token": "{token}"}),
        Call(
            p,
            "the id in the body, the token as a bearer",
            "DELETE",
            path,
            ok,
            body={"session_id": "{session}"},
            headers=bearer,
        ),
        Call(p, "no body, the token as a bearer", "DELETE", path, ok, headers=bearer),
        Call(p, "the id alone", "DELETE", path, ok, body={"session_id": "{session}"}),
        Call(
            p,
            "a live session, and a token that is wrong",
            "DELETE",
            path,
            ok,
            body={"session_id": "{session}", "session_token": "strange"},
        ),
        Call(
            p,
            "`api_key` in the body, no header",
            "DELETE",
            path,
            ok,
            body={"session_id": "{session}", "api_key": KEY},
            headers=NO_KEY,
        ),
        Call(p, "no key", "DELETE", path, 403, "MISSING_API_KEY", {"session_id": "{session}"}, NO_KEY),
        Call(
            p,
            "an unknown key",
            "DELETE",
            path,
            401,
            "INVALID_API_KEY",
            {"session_id": "{session}"},
            {"x-api-key": "guessed"},
        ),
        Call(p, "no JSON", "DELETE", path, 400, "INVALID_JSON", b"{"),
        Call(p, "neither id nor token", "DELETE", path, 400, bad, {}, says="Missing required field: session_id"),
        Call(p, "no id, and a token that names no session", "DELETE", path, 400, bad, {"session_token": "strange"}),
        Call(p, "an unknown id, no token", "DELETE", path, 400, bad, {"session_id": "unknown"}),
        Call(
            p,
            "an unknown id and a token",
            "DELETE",
            path,
            404,
            "SESSION_NOT_FOUND",
            {"session_id": "unknown", "session_token": "{token}"},
        ),
        Call(p, "`session_id` is no string", "DELETE", path, 400, bad, {"session_id": 7}, says="session_id must be"),
        Call(
            p,
            "the session of another key",
            "DELETE",
            path,
            404,
            "SESSION_NOT_FOUND",
            {"session_id": "{session}", "session_token": "{token}"},
            {"x-api-key": OTHER_KEY},
        ),
    ]
    q = "What there is"
    found += [
        Call(q, "`GET /sessions`", "GET", "/sessions", ok),
        Call(q, "`GET /sessions/{id}`", "GET", "/sessions/{session}", ok),
        Call(q, "`GET /sessions/{id}` of another key", "GET", "/sessions/{session}", 404, "SESSION_NOT_FOUND",
             headers={"x-api-key": OTHER_KEY}),
        Call(q, "`GET /sessions/{id}` of no session", "GET", "/sessions/unknown", 404, "SESSION_NOT_FOUND"),
        Call(q, "`GET /sessions` without a key", "GET", "/sessions", 403, "MISSING_API_KEY", headers=NO_KEY),
        Call(q, "`GET /openapi.json`", "GET", "/openapi.json", ok),
        Call(q, "`GET /healthz`, without a key", "GET", "/healthz", ok, headers=NO_KEY),
        Call(q, "`GET /readyz`, without a key", "GET", "/readyz", ok, headers=NO_KEY),
        Call(q, "`GET /metrics`", "GET", "/metrics", ok),
        Call(q, "`GET /metrics`, the key as a bearer", "GET", "/metrics", ok,
             headers={"x-api-key": None, "Authorization": f"Bearer {KEY}"}),
        Call(q, "`GET /metrics` without a key", "GET", "/metrics", 403, "MISSING_API_KEY", headers=NO_KEY),
    ]  # fmt: skip
    return found


CALLS = calls()


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Running]:
    settings: dict[str, Any] = {"max_sessions": 1000, "max_starts_per_minute": 0, "max_request_bytes": 65_536}
    async with running(api_keys=(KEY, OTHER_KEY), path_prefix="/provider", **settings) as server:
        yield server


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.section}: {call.given}")
async def test_a_call_is_answered_as_its_row_says(server: Running, call: Call) -> None:
    await check(server, call, await server.start())


async def check(server: Front, call: Call, answer: Mapping[str, str]) -> None:
    """Makes the call of a row.

    Args:
        answer: to the start of the session that lives.
    """

    def filled(text: str) -> str:
        return text.replace("{session}", answer["session_id"]).replace("{token}", answer["session_token"])

    headers = {**server.http.headers, **call.headers}
    sent = {name: filled(value) for name, value in headers.items() if value is not None}
    body = call.body if isinstance(call.body, bytes | None) else filled(json.dumps(call.body)).encode()
    request = server.http.build_request(call.method, filled(call.path), content=body, headers=sent)
    for name in [name for name, value in call.headers.items() if value is None]:
        request.headers.pop(name, None)
    response = await server.http.send(request)

    assert response.status_code == call.status, response.text
    if call.code:
        assert response.headers["content-type"] == "application/json"
        refusal = response.json()
        assert set(refusal) == {"error", "message", "code"}
        assert refusal["code"] == call.code
        assert refusal["error"] == ERRORS[call.code]
        assert call.says in refusal["message"]
    elif call.section == "Stop":
        assert response.json() == {"status": "success", "message": "Session terminated successfully"}
        assert (await server.http.get(f"/sessions/{answer['session_id']}")).status_code == 404
    elif call.section == "Start":
        assert set(response.json()) >= {"session_id", "websocket_address", "session_token"}
        assert all(isinstance(value, str) and value for value in response.json().values())
    elif call.section == "The first dialect":
        assert set(response.json()) == {"session_id", "websocket_address"}


ERRORS = {
    "VALIDATION_ERROR": "Invalid request",
    "INVALID_JSON": "Invalid request",
    "INVALID_API_KEY": "Unauthorized",
    "MISSING_API_KEY": "Forbidden",
    "SESSION_NOT_FOUND": "Not found",
    "AVATAR_NOT_FOUND": "Not found",
    "ENDPOINT_NOT_FOUND": "Not Found",
    "METHOD_NOT_ALLOWED": "Method not allowed",
    "PAYLOAD_TOO_LARGE": "Payload too large",
}
"""What ``error`` says for each code."""


@row(
    "Start",
    "a second start for the same `app_id`, `channel` and `uid`",
    "the older session has left before the new joins",
)
async def test_the_older_session_in_a_place_is_evicted() -> None:
    async with running(max_sessions=1) as server:
        old = await server.start(**START)
        async with calling(old) as caller:
            new = await server.start(**START)
            assert (await caller.event("session_closing"))["reason"] == "evicted"
            async with calling(new) as successor:
                assert server.listeners[0].has_left
                await successor.speaks()


@row("Start", "fields of the vendor's own", "they are kept on the session, the key in the body is not")
async def test_passthrough_is_kept() -> None:
    asked: list[StartRequest] = []

    async def open_session(request: StartRequest, session_id: str) -> Listener:
        asked.append(request)
        return Listener()

    async with running(open_session) as server:
        async with calling(await server.start(mood={"smile": 0.5}, api_key=KEY)):
            assert asked[0].passthrough == {"mood": {"smile": 0.5}}


@row("Start", "the operator's `AVATAR_PUBLIC_URL`", "`websocket_address` begins with it: scheme, host, port and path")
async def test_the_public_url_is_the_operators() -> None:
    async with running(public_url="https://avatars.example.com:8443/eu") as server:
        answer = await server.start()
        assert answer["websocket_address"].startswith("wss://avatars.example.com:8443/eu/session/")


@row("Start: errors", "as many sessions as there may be", "503 `CAPACITY_EXCEEDED` with `Retry-After`")
async def test_a_full_server_refuses() -> None:
    async with running(max_sessions=1) as server:
        await server.start()
        response = await server.http.post("/session/start", json=agora(channel="another"))
        assert (response.status_code, response.json()["code"]) == (503, "CAPACITY_EXCEEDED")
        assert int(response.headers["retry-after"]) > 0


@row("Start: errors", "a machine that has too much to do for one more", "503 `CAPACITY_EXCEEDED` with `Retry-After`")
async def test_a_busy_machine_refuses() -> None:
    room = Monitor(Metrics(), lambda: 0.0)
    room.expect({CORES: 0.5})
    async with running(room=room) as server:
        await server.start()
        response = await server.http.post("/session/start", json=agora(channel="another"))
        assert (response.status_code, response.json()["code"]) == (503, "CAPACITY_EXCEEDED")
        assert "100 % of the cores" in response.json()["message"]
        assert int(response.headers["retry-after"]) > 0
        details = (await server.http.get("/readyz")).json()
        assert (details["sessions_that_fit"], details["level"]) == (1, "full")


@row("Start: errors", "as many sessions as one key may have", "503 `CAPACITY_EXCEEDED`; another key may start")
async def test_a_key_has_a_limit_of_its_own() -> None:
    async with running(api_keys=(KEY, OTHER_KEY), max_sessions_per_key=1) as server:
        await server.start()
        other = agora(channel="another")
        response = await server.http.post("/session/start", json=other)
        assert (response.status_code, response.json()["code"]) == (503, "CAPACITY_EXCEEDED")
        response = await server.http.post("/session/start", json=other, headers={"x-api-key": OTHER_KEY})
        assert response.status_code == 200


@row("Start: errors", "more starts in a minute than one key may make", "429 `RATE_LIMITED` with `Retry-After`")
async def test_a_key_may_start_so_many_in_a_minute() -> None:
    async with running(api_keys=(KEY, OTHER_KEY), max_starts_per_minute=3) as server:
        for _ in range(3):
            await server.stop(await server.start())
        response = await server.http.post("/session/start", json=START)
        assert (response.status_code, response.json()["code"]) == (429, "RATE_LIMITED")
        assert 0 < int(response.headers["retry-after"]) <= 20
        response = await server.http.post("/session/start", json=START, headers={"x-api-key": OTHER_KEY})
        assert response.status_code == 200


@row("Start: errors", "a server that shuts down", "503 `DRAINING` with `Retry-After`")
async def test_a_draining_server_refuses() -> None:
    async with running() as server:
        server.sessions.is_draining = True
        response = await server.http.post("/session/start", json=START)
        assert (response.status_code, response.json()["code"]) == (503, "DRAINING")
        assert int(response.headers["retry-after"]) > 0


@row(
    "The first dialect",
    "its address, opened without any header; a first message without `command`",
    "the session is ready",
)
async def test_the_first_dialect_speaks() -> None:
    asked: list[StartRequest] = []

    async def open_session(request: StartRequest, session_id: str) -> Listener:
        asked.append(request)
        return Listener()

    async with running(open_session, default_app_id="the-operators-project") as server:
        answer = (await server.http.post("/endpoint", json=FIRST)).json()
        async with connect(answer["websocket_address"]) as socket:
            first = {name: FIRST[name] for name in ("avatar_id", "agora_token", "agora_uid", "agora_channel")}
            await socket.send(json.dumps({"session_id": answer["session_id"], **first}))
            caller = Caller(socket)
            await caller.event("session_ready")
            await caller.send("state", value="listen")
            await caller.speaks()
        assert asked[0].agora.app_id == "the-operators-project"


@row(
    "The first dialect",
    "a server that publishes into Agora and has no `AVATAR_DEFAULT_APP_ID`",
    "400 `VALIDATION_ERROR`",
)
async def test_the_first_dialect_needs_a_project() -> None:
    async with running(publishers=("agora",)) as server:
        response = await server.http.post("/endpoint", json=FIRST)
        assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
        assert "AVATAR_DEFAULT_APP_ID" in response.json()["message"]


@row("Stop", "a second stop", "404 `SESSION_NOT_FOUND`, each time")
async def test_a_second_stop_finds_nothing() -> None:
    async with running() as server:
        answer = await server.start()
        assert (await server.stop(answer)).status_code == 200
        for _ in range(2):
            response = await server.stop(answer)
            assert (response.status_code, response.json()["code"]) == (404, "SESSION_NOT_FOUND")


@row(
    "Cross-origin",
    "`OPTIONS` on any path",
    "204, methods `POST, DELETE, OPTIONS`, headers `Content-Type, x-api-key, Authorization`",
)
async def test_preflight() -> None:
    async with running() as server:
        for path in ("/session/start", "/sessions/stop", "/endpoint"):
            response = await server.http.options(path, headers={"Origin": "https://example.com"})
            assert response.status_code == 204
            assert response.headers["access-control-allow-origin"] == "*"
            assert response.headers["access-control-allow-methods"] == "POST, DELETE, OPTIONS"
            assert response.headers["access-control-allow-headers"] == "Content-Type, x-api-key, Authorization"


@row("Cross-origin", "any other request, refused ones too", "`Access-Control-Allow-Origin: *`")
async def test_answers_are_for_any_origin() -> None:
    async with running() as server:
        for response in (
            await server.http.post("/session/start", json=START),
            await server.http.post("/session/start", content=b"{"),
            await server.http.get("/nowhere"),
        ):
            assert response.headers["access-control-allow-origin"] == "*"
