from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.start_request import StartRequest
from tests.server.running import KEY, START, Listener, calling, running

pytestmark = pytest.mark.anyio

BASES = ["/session", "/sessions", "/v1/session", "/v1/sessions"]


@pytest.mark.parametrize("base", BASES)
async def test_start_and_stop_answer_under_every_spelling(base: str) -> None:
    async with running() as server:
        answer = (await server.http.post(f"{base}/start", json=START)).json()
        stopped = await server.http.request("DELETE", f"{base}/stop", json={"session_id": answer["session_id"]})
        assert stopped.status_code == 200


async def test_a_prefix_that_begins_one_of_our_paths_hides_none() -> None:
    async with running(path_prefix="/session") as server:
        for path in ("/session/start", "/session/session/start"):
            assert (await server.http.post(path, json=START)).status_code == 200


async def test_a_prefix_of_the_operator_is_served_too() -> None:
    async with running(path_prefix="/provider") as server:
        assert (await server.http.post("/provider/session/start", json=START)).status_code == 200
        assert (await server.http.post("/session/start", json=START)).status_code == 200


async def test_a_wrong_key_is_unauthorized() -> None:
    async with running() as server:
        response = await server.http.post("/session/start", json=START, headers={"x-api-key": "guessed"})
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/json"
        assert response.json() == {
            "error": "Unauthorized",
            "message": "The API key in the x-api-key header is not one of this server's",
            "code": "INVALID_API_KEY",
        }


@pytest.mark.parametrize(("method", "path"), [("POST", "/session/start"), ("DELETE", "/session/stop")])
async def test_no_key_is_forbidden(method: str, path: str) -> None:
    async with running() as server:
        del server.http.headers["x-api-key"]
        response = await server.http.request(method, path, json=START)
        assert response.status_code == 403
        assert response.json()["error"] == "Forbidden"
        assert response.json()["code"] == "MISSING_API_KEY"


@pytest.mark.parametrize("body", [b"", b"{", b"not json", b"\xff\xfe", b"[" * 50_000])
async def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    async with running() as server:
        response = await server.http.post("/session/start", content=body)
        assert response.status_code == 400
        assert response.json()["error"] == "Invalid request"
        assert response.json()["code"] == "INVALID_JSON"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (["avatar_id"], "Missing required field: avatar_id"),
        (["avatar_id", "quality"], "Missing required field(s): avatar_id, quality"),
    ],
)
async def test_missing_fields_are_named(missing: list[str], message: str) -> None:
    async with running() as server:
        body = {name: value for name, value in START.items() if name not in missing}
        response = await server.http.post("/session/start", json=body)
        assert response.status_code == 400
        assert response.json() == {"error": "Invalid request", "message": message, "code": "VALIDATION_ERROR"}


async def test_a_wrong_value_is_refused_with_those_that_are_allowed() -> None:
    async with running() as server:
        response = await server.http.post("/session/start", json={**START, "quality": "ultra"})
        assert response.status_code == 400
        assert response.json()["message"] == "quality must be one of low, medium, high"
        assert response.json()["code"] == "VALIDATION_ERROR"


async def test_an_unknown_avatar_is_not_found() -> None:
    async with running() as server:
        response = await server.http.post("/session/start", json={**START, "avatar_id": "bob"})
        assert response.status_code == 404
        assert response.json() == {
            "error": "Not found",
            "message": "There is no avatar 'bob'; known are: ava",
            "code": "AVATAR_NOT_FOUND",
        }


async def test_an_unknown_path_is_an_unknown_endpoint() -> None:
    async with running() as server:
        response = await server.http.post("/session/begin", json=START)
        assert response.status_code == 404
        assert response.json()["error"] == "Not Found"
        assert response.json()["code"] == "ENDPOINT_NOT_FOUND"
        wrong = await server.http.get("/session/start")
        assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
        assert wrong.headers["allow"] == "POST"


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with running(max_request_bytes=2048) as server:
        response = await server.http.post("/session/start", json={**START, "notes": "x" * 3000})
        assert response.status_code == 413
        assert response.json()["code"] == "PAYLOAD_TOO_LARGE"


async def test_a_full_server_says_when_to_come_back_and_has_room_after_a_stop() -> None:
    async with running(max_sessions=2) as server:
        first = await server.start()
        async with calling(first) as caller:
            await server.start()
            response = await server.http.post("/session/start", json=START)
            assert response.status_code == 503
            assert response.json()["code"] == "CAPACITY_EXCEEDED"
            assert int(response.headers["retry-after"]) > 0
            await caller.speaks()
        await server.stop(first)
        assert (await server.http.post("/session/start", json=START)).status_code == 200


async def test_fields_of_the_vendors_own_are_kept() -> None:
    asked: list[StartRequest] = []

    async def open_session(request: StartRequest, session_id: str) -> Listener:
        asked.append(request)
        return Listener()

    async with running(open_session) as server:
        answer = await server.start(mood={"smile": 0.5}, area="EUROPE")
        async with calling(answer):
            assert asked[0].passthrough == {"mood": {"smile": 0.5}}
            assert asked[0].area == "EUROPE"


async def test_the_websocket_address_is_the_host_that_was_called() -> None:
    async with running() as server:
        answer = await server.start()
        assert answer["websocket_address"] == f"ws://{server.url[7:]}/session/{answer['session_id']}/ws"


async def test_the_operator_sets_the_public_address() -> None:
    async with running(public_url="https://avatars.example.com:8443/eu") as server:
        answer = await server.start()
        address = f"wss://avatars.example.com:8443/eu/session/{answer['session_id']}/ws"
        assert answer["websocket_address"] == address


STOPPED = {"status": "success", "message": "Session terminated successfully"}


def stop_as_documented(answer: dict[str, str]) -> dict[str, Any]:
    return {"json": {"session_id": answer["session_id"], "session_token": answer["session_token"]}}


def stop_by_token_alone(answer: dict[str, str]) -> dict[str, Any]:
    return {"json": {"session_token": answer["session_token"]}}


def stop_with_bearer(answer: dict[str, str]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {answer['session_token']}"}
    return {"json": {"session_id": answer["session_id"]}, "headers": headers}


def stop_by_bearer_without_a_body(answer: dict[str, str]) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {answer['session_token']}"}}


def stop_by_id_alone(answer: dict[str, str]) -> dict[str, Any]:
    return {"json": {"session_id": answer["session_id"]}}


def stop_by_id_with_a_strange_token(answer: dict[str, str]) -> dict[str, Any]:
    return {"json": {"session_id": answer["session_id"], "session_token": "strange"}}


@pytest.mark.parametrize("method", ["DELETE", "POST"])
@pytest.mark.parametrize(
    "request_of",
    [
        stop_as_documented,
        stop_by_token_alone,
        stop_with_bearer,
        stop_by_bearer_without_a_body,
        stop_by_id_alone,
        stop_by_id_with_a_strange_token,
    ],
)
async def test_a_live_session_is_stopped_by_whatever_names_it(method: str, request_of: Any) -> None:
    async with running() as server:
        answer = await server.start()
        response = await server.http.request(method, "/session/stop", **request_of(answer))
        assert (response.status_code, response.json()) == (200, STOPPED)
        assert len(server.sessions) == 0


async def test_a_second_stop_finds_no_session() -> None:
    async with running() as server:
        answer = await server.start()
        assert (await server.stop(answer)).status_code == 200
        for _ in range(2):
            response = await server.stop(answer)
            assert response.status_code == 404
            assert response.json()["code"] == "SESSION_NOT_FOUND"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"session_id": "unknown"}, 400),
        ({"session_token": "strange"}, 400),
        ({"session_id": 7}, 400),
        ({"session_id": "unknown", "session_token": "strange"}, 404),
    ],
)
async def test_a_stop_that_names_no_session_is_refused(body: dict[str, Any], status: int) -> None:
    async with running() as server:
        await server.start()
        response = await server.http.request("DELETE", "/session/stop", json=body)
        assert response.status_code == status
        assert len(server.sessions) == 1


async def test_one_key_cannot_stop_the_session_of_another() -> None:
    async with running(api_keys=(KEY, "another-key")) as server:
        answer = await server.start()
        headers = {"x-api-key": "another-key"}
        response = await server.http.request("DELETE", "/session/stop", json=answer, headers=headers)
        assert response.status_code == 404
        assert len(server.sessions) == 1


async def test_a_browser_of_any_origin_may_call() -> None:
    async with running() as server:
        headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
        response = await server.http.options("/session/start", headers=headers)
        assert response.status_code == 204
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["access-control-allow-methods"] == "POST, DELETE, OPTIONS"
        assert response.headers["access-control-allow-headers"] == "Content-Type, x-api-key, Authorization"
        refused = await server.http.post("/session/start", content=b"{")
        assert refused.headers["access-control-allow-origin"] == "*"


async def test_a_server_is_ready_when_it_has_an_avatar() -> None:
    async with running() as server:
        assert (await server.http.get("/healthz")).json() == {"status": "ok"}
        assert (await server.http.get("/readyz")).json() == {"status": "ready", "avatars": ["ava"], "sessions": 0}
    async with running(known=()) as server:
        assert (await server.http.get("/healthz")).status_code == 200
        assert (await server.http.get("/readyz")).status_code == 503


async def test_metrics_count_sessions_and_refusals_and_name_nobody() -> None:
    async with running() as server:
        answer = await server.start()
        await server.http.post("/session/start", json={**START, "avatar_id": "bob"})
        text = (await server.http.get("/metrics")).text
        assert "avatar_sessions 1.0" in text
        assert 'avatar_refusals_total{code="AVATAR_NOT_FOUND"} 1.0' in text
        assert answer["session_id"] not in text
        assert KEY not in text


async def test_an_avatar_that_cannot_be_opened_ends_its_session_and_no_other() -> None:
    opened: list[str] = []

    async def open_session(request: StartRequest, session_id: str) -> Listener:
        opened.append(session_id)
        if len(opened) == 2:
            raise OSError("the disk is gone")
        return Listener()

    async with running(open_session) as server:
        good = await server.start(agora_settings={**START["agora_settings"], "uid": "1"})
        async with calling(good) as caller:
            bad = await server.start(agora_settings={**START["agora_settings"], "uid": "2"})
            while len(server.sessions) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert (await server.stop(bad)).status_code == 404
            await caller.speaks()
