"""Bodies checked against their types; every refusal names the field and says what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from server.errors import InvalidJson, ValidationFailed

S = TypeVar("S", bound=msgspec.Struct)

PLACE = re.compile(r" - at `\$\.?(.*?)`$")
"""Where in the body msgspec says that something is wrong."""


def json_object(body: bytes) -> dict[str, Any]:
    """A JSON object from a request's body.

    Raises:
        InvalidJson: it is not JSON.
        ValidationFailed: it is JSON, but not an object.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidJson(f"The body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValidationFailed("The body must be a JSON object")
    return value


def checked(given: Mapping[str, Any], kind: type[S]) -> S:
    """The body as its type; null counts as not given.

    Raises:
        ValidationFailed: fields are missing, or have values that are not allowed.
    """
    if missing := missing_fields(given, kind):
        raise ValidationFailed.missing(missing)
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        place = PLACE.search(str(error))
        path = place[1] if place else ""
        raise ValidationFailed(f"{path or 'The body'} must {_must(kind, path)}") from None


def missing_fields(given: Mapping[str, Any], kind: type[msgspec.Struct], where: str = "") -> list[str]:
    """Required fields that are not there, with the path to each."""
    missing = []
    for field in msgspec.structs.fields(kind):
        value = given.get(field.encode_name)
        if value is None and field.required:
            missing.append(where + field.encode_name)
        elif isinstance(value, dict) and isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            missing += missing_fields(value, field.type, f"{where}{field.encode_name}.")
    return missing


def _must(kind: type[msgspec.Struct], path: str) -> str:
    """What is allowed at a place in a body: "be …"."""
    found: Any = kind
    for name in filter(None, path.split(".")):
        found = next(field.type for field in msgspec.structs.fields(found) if field.encode_name == name)
    return _sentence(found)


def _sentence(found: Any) -> str:
    if get_origin(found) is Annotated:
        return str(found.__metadata__[0].extra["must"])
    if get_origin(found) in (Union, UnionType):
        return _sentence(next(kind for kind in get_args(found) if kind is not NoneType))
    if get_origin(found) is Literal:
        return f"be one of {', '.join(get_args(found))}"
    return "be true or false" if found is bool else "be an object"
