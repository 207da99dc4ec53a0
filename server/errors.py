"""What the server refuses, and how each refusal looks: HTTP status and JSON, WebSocket event, or close code."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import IntEnum

from avatar.errors import AudioError, AvatarError, AvatarNotFound, BacklogFull, BundleError, UnknownState


class CloseCode(IntEnum):
    """Why we close a WebSocket. The protocol's clients reconnect at once after any of these but NORMAL."""

    NORMAL = 1000
    POLICY = 1008
    FAILED = 1011
    RESTART = 1012
    REPLACED = 4001
    """A newer connection with the same token took the session over."""


class SettingsError(AvatarError):
    """A setting that cannot be used; the message names the variable or flag, its value, and what is allowed."""


class ApiError(AvatarError):
    """A refused HTTP request, answered as ``{"error", "message", "code"}``."""

    status = 500
    error = "Internal error"
    code = "INTERNAL_ERROR"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def body(self) -> dict[str, str]:
        return {"error": self.error, "message": self.message, "code": self.code}

    @property
    def headers(self) -> Mapping[str, str]:
        return {}


class ValidationFailed(ApiError):
    status, error, code = 400, "Invalid request", "VALIDATION_ERROR"

    @classmethod
    def missing(cls, fields: Collection[str]) -> ValidationFailed:
        return cls(missing_fields(fields))


class InvalidJson(ApiError):
    status, error, code = 400, "Invalid request", "INVALID_JSON"


class InvalidApiKey(ApiError):
    status, error, code = 401, "Unauthorized", "INVALID_API_KEY"

    def __init__(self) -> None:
        super().__init__("The API key in the x-api-key header is not one of this server's")


class MissingApiKey(ApiError):
    status, error, code = 403, "Forbidden", "MISSING_API_KEY"

    def __init__(self) -> None:
        super().__init__("The x-api-key header is missing")


class InvalidToken(ApiError):
    status, error, code = 401, "Unauthorized", "INVALID_TOKEN"

    def __init__(self, message: str = "The session token is wrong, or its session has ended") -> None:
        super().__init__(message)


class SessionNotFound(ApiError):
    status, error, code = 404, "Not found", "SESSION_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("There is no such session, or it has ended")


class AvatarUnknown(ApiError):
    """What ``avatar.errors.AvatarNotFound`` is over HTTP."""

    status, error, code = 404, "Not found", "AVATAR_NOT_FOUND"


class EndpointNotFound(ApiError):
    status, error, code = 404, "Not Found", "ENDPOINT_NOT_FOUND"


class MethodNotAllowed(ApiError):
    status, error, code = 405, "Method not allowed", "METHOD_NOT_ALLOWED"

    def __init__(self, message: str, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Allow": self.allowed}


class PayloadTooLarge(ApiError):
    status, error, code = 413, "Payload too large", "PAYLOAD_TOO_LARGE"


class Unavailable(ApiError):
    """Not now; ``retry_after_s`` says when it is worth another try."""

    status, error = 503, "Service unavailable"
    retry_after_s = 10

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class TooManyStarts(ApiError):
    """Of one key, in a minute."""

    status, error, code = 429, "Too many requests", "RATE_LIMITED"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class CapacityExceeded(Unavailable):
    code = "CAPACITY_EXCEEDED"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PublisherUnavailable(Unavailable):
    """What sessions are published with is not installed."""

    code = "PUBLISHER_UNAVAILABLE"


class Draining(Unavailable):
    code = "DRAINING"

    def __init__(self) -> None:
        super().__init__("This server is shutting down")


class CommandError(AvatarError):
    """A refused WebSocket message: the sender gets an error event, and the socket lives on."""

    def __init__(self, code: str, message: str, event_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.event_id = event_id


def api_error(error: AvatarError) -> ApiError:
    """How a refusal looks over HTTP."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AvatarNotFound):
        return AvatarUnknown(str(error))
    return ApiError("Something went wrong on this server")


EVENT_CODES: Mapping[type[AvatarError], str] = {
    AudioError: "INVALID_AUDIO",
    UnknownState: "UNKNOWN_STATE",
    BundleError: "AVATAR_BROKEN",
}
"""The code of the error event for what the performance refuses."""


def error_event(error: AvatarError, event_id: str = "") -> dict[str, str]:
    """The event that tells a client why its message was refused: a warning where the message itself was right."""
    if isinstance(error, BacklogFull):
        return {"event": "warning", "code": "BACKLOG_FULL", "message": str(error), "event_id": event_id}
    if isinstance(error, CommandError):
        return {
            "event": "error",
            "code": error.code,
            "message": error.message,
            "event_id": error.event_id or event_id,
        }
    code = next((code for kind, code in EVENT_CODES.items() if isinstance(error, kind)), "REFUSED")
    return {"event": "error", "code": code, "message": str(error), "event_id": event_id}


def missing_fields(fields: Collection[str]) -> str:
    """The protocol's sentence for fields that are not there."""
    return f"Missing required field{'' if len(fields) == 1 else '(s)'}: {', '.join(fields)}"
