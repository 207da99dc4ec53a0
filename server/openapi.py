"""The OpenAPI document, made of the table of operations and of the types that validate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.callers import owner_of
from server.operations import Operation
from server.rest_types import Refusal

REFERENCE = "#/components/schemas/{name}"


def openapi_operation(operations: Sequence[Operation]) -> Operation:
    """``GET /openapi.json``, which describes ``operations`` and itself."""

    async def openapi(request: Request) -> Response:
        owner_of(request)
        return JSONResponse(document)

    own = Operation("GET", ("/openapi.json",), openapi, "This document.")
    document = describe([*operations, own])
    return own


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """An OpenAPI 3.1 document."""
    types = {kind for one in operations for kind in (one.body, one.answer) if kind} | {Refusal}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.paths[0], {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Avatar provider",
            "version": version("open-avatar"),
            "description": "Start a session, open its WebSocket, send speech; see docs/conformance.md.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    others = ", ".join(f"`{path}`" for path in one.paths[1:])
    content = {one.produces: {"schema": _reference(one.answer) if one.answer else {}}}
    found: dict[str, Any] = {
        "operationId": f"{one.method.lower()}{re.sub('[^a-z]+', '_', one.paths[0].lower()).rstrip('_')}",
        "summary": one.summary,
        "description": f"Also served as {others}." if others else "",
        "responses": {"200": {"description": "Done", "content": content}} | _refusals(one),
    }
    if one.body:
        content = {"application/json": {"schema": _reference(one.body)}}
        found["requestBody"] = {"required": True, "content": content}
    if one.key:
        found["security"] = [{"key": []}, *([{}] if one.key == "body" else [])]
    if names := re.findall(r"{(\w+)}", one.paths[0]):
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    return found


def _refusals(one: Operation) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(Refusal)}}
    return {
        str(status): {"description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}", "content": content}
        for status, codes in sorted(one.statuses.items())
    }


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(name=kind.__name__)}
