"""Where sessions live, as the calls that start and stop them see it: in this process, or in others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from server.rest_types import SessionInfo
from server.sessions import Sessions
from server.start_request import StartRequest


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a session was started.

    Attributes:
        worker, port: the number of the process, and the port that it listens on; 0 is this process.
    """

    session_id: str
    worker: int = 0
    port: int = 0


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a session could be started now: its status is "ready" then.

    Attributes:
        details: for those who have a key.
    """

    status: str
    details: Mapping[str, object] = field(default_factory=dict)


class Placement(Protocol):
    """Sessions, wherever they live. Who is not told otherwise may get any ``ApiError`` in answer."""

    async def start(self, request: StartRequest, owner: str, /) -> Placed:
        """Begins a session; one of this owner in the same place has to leave it first."""
        ...

    def owner(self, session_id: str, /) -> str:
        """Whose a session is. Raises SessionNotFound: there is none of this id, or it is ending."""
        ...

    async def stop(self, session_id: str, /) -> None:
        """Ends a session; returns when it has left its publishers."""
        ...

    async def info(self, session_id: str, /) -> SessionInfo: ...

    async def infos(self, owner: str, /) -> list[SessionInfo]:
        """The sessions of an owner, the oldest first."""
        ...

    async def readiness(self) -> Readiness: ...

    async def figures(self) -> bytes:
        """All figures in Prometheus' text format."""
        ...

    async def drain(self) -> None:
        """Starts no more sessions, and returns when those that lived have ended."""
        ...


class InProcess:
    """Sessions of this process."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def start(self, request: StartRequest, owner: str) -> Placed:
        return Placed((await self._sessions.start(request, owner)).id)

    def owner(self, session_id: str) -> str:
        return self._sessions.get(session_id).owner

    async def stop(self, session_id: str) -> None:
        await self._sessions.stop(self._sessions.get(session_id))

    async def info(self, session_id: str) -> SessionInfo:
        return self._sessions.get(session_id).info()

    async def infos(self, owner: str) -> list[SessionInfo]:
        return [live.info() for live in self._sessions.of_owner(owner)]

    async def readiness(self) -> Readiness:
        sessions = self._sessions
        known = sorted(await asyncio.to_thread(sessions.known_avatars))
        status = "draining" if sessions.is_draining else "ready" if known else "no avatars"
        details: dict[str, object] = {"avatars": known, "sessions": len(sessions)}
        if sessions.room:
            details |= {"sessions_that_fit": sessions.room.fits, "level": sessions.room.level}
        return Readiness(status, details)

    async def figures(self) -> bytes:
        return self._sessions.metrics.text()

    async def drain(self) -> None:
        await self._sessions.drain()
