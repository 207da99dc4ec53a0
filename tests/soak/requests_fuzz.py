"""Bar c, REST: what the OpenAPI document allows, and what it forbids, is answered as the document says."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server.running import KEY
from tests.soak.figures import Figure, Memory, Progress, no_progress
from tests.soak.server_process import ServerProcess

PER_ROUND = 200
"""Requests of one search; its engine remembers each, so that a search for all would need ever more memory."""

ANSWERS_WITHIN_S = 30.0

CONFORMS = [status_code_conformance, content_type_conformance, response_schema_conformance]

KEYS = [KEY, KEY, KEY, "a stranger's", None]

Case = schemathesis.Case[Any]


def requests_fuzz(
    avatars: Path, folder: Path, n_requests: int = 10_000, progress: Progress = no_progress
) -> list[Figure]:
    """Sends requests to a server in a process of its own.

    Raises:
        AssertionError: with the smallest request that was answered as it must not be.
    """
    return asyncio.run(_fuzz(avatars, folder, n_requests, progress))


async def _fuzz(avatars: Path, folder: Path, n_requests: int, progress: Progress) -> list[Figure]:
    limits = {"publishers": "webrtc", "never_initialised_s": 1, "max_starts_per_minute": 0, "max_sessions": 4}
    async with ServerProcess(avatars, folder, limits) as server:
        async with httpx.AsyncClient(base_url=server.url, headers={"x-api-key": KEY}, timeout=30) as http:
            cases = _cases((await http.get("/openapi.json")).json())
        statuses, memory, number = Counter[int](), Memory(server.process), 0
        while statuses.total() < n_requests:
            await asyncio.to_thread(_search, cases, number, server.url, statuses)
            number += 1
            memory.read()
            progress(min(1.0, statuses.total() / n_requests))
        errors = server.errors()
    return [
        Figure("requests", statuses.total(), least=n_requests),
        *(Figure(f"· answered with {status}", n) for status, n in sorted(statuses.items())),
        Figure("· errors in the server's log", len(errors), most=0),
        *memory.figures("the server"),
    ]


def _cases(document: dict[str, Any]) -> st.SearchStrategy[Case]:
    """Calls of every operation, good and bad."""
    schema = schemathesis.openapi.from_dict(document)
    strategies: list[st.SearchStrategy[Case]] = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        strategies += [found.ok().as_strategy(mode) for mode in GenerationMode]
    return st.one_of(strategies)


def _search(cases: st.SearchStrategy[Case], number: int, url: str, statuses: Counter[int]) -> None:
    with requests.Session() as session:

        @seed(number)
        @settings(
            max_examples=PER_ROUND,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(cases, st.sampled_from(KEYS), st.booleans())
        def call(case: Case, key: str | None, known: bool) -> None:
            if known and isinstance(case.body, dict) and "avatar_id" in case.body:
                case.body["avatar_id"] = "tiny"
            headers = {} if key is None else {"x-api-key": key}
            response = case.call(base_url=url, session=session, headers=headers, timeout=ANSWERS_WITHIN_S)
            statuses[response.status_code] += 1
            assert response.status_code < 500 or response.status_code == 503, response.text
            if response.status_code >= 400:
                assert set(response.json()) == {"error", "message", "code"}
            case.validate_response(response, checks=CONFORMS)

        call()
