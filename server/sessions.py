"""Every session that lives: who may start one, how many there are, and that each is ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Collection
from types import TracebackType
from typing import Protocol, Self

from avatar.errors import AvatarError, AvatarNotFound
from server.errors import Draining, InvalidToken, SessionNotFound, Unavailable
from server.live_session import Ending, LiveSession, Performing
from server.load.capacity import seconds
from server.load.turnover import Turnover
from server.metrics import Metrics
from server.quotas import Quotas
from server.settings import Settings
from server.start_request import StartRequest
from server.tokens import SessionTokens

log = logging.getLogger(__name__)

OpenSession = Callable[[StartRequest, str], Awaitable[Performing]]
"""Makes an avatar ready to perform, for a request, as the session of this id."""

TELL_S = 4.0
"""How long a session that failed waits for its first client, to tell it why."""

PATIENCE_S = 5.0
"""How long a session may take to leave its publishers before it is cancelled."""


class Room(Protocol):
    """What knows by measure how many sessions fit."""

    @property
    def level(self) -> str:
        """How much is drawn of their pictures."""
        ...

    @property
    def fits(self) -> int: ...

    def check(self, n_sessions: int, next_end_s: float | None, /) -> None:
        """Raises CapacityExceeded: one more than ``n_sessions`` does not fit; one of them may end in ``next_end_s``."""
        ...


class Sessions:
    """The sessions of one server, whose tasks it owns: entering it takes them on, leaving it ends them all.

    Args:
        open_session: makes an avatar ready; runs in the session's own task, so that ``start`` answers at once.
        known_avatars: the ids that may be asked for, at the moment.
        may_start: raises an ``ApiError`` for a request that cannot be fulfilled here.
        room: is asked whether one more session fits; None if nobody measures.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: SessionTokens,
        open_session: OpenSession,
        known_avatars: Callable[[], Collection[str]],
        metrics: Metrics,
        now: Callable[[], float] = time.monotonic,
        may_start: Callable[[StartRequest], None] = lambda request: None,
        room: Room | None = None,
    ) -> None:
        self.tokens = tokens
        self.metrics = metrics
        self.known_avatars = known_avatars
        self.room = room
        self._settings = settings
        self._open_session = open_session
        self._now = now
        self._may_start = may_start
        self._live: dict[str, LiveSession] = {}
        self._work: dict[str, asyncio.Task[None]] = {}
        self._turnover = Turnover()
        self._quotas = Quotas(settings, now)
        self._tasks = asyncio.TaskGroup()
        self.is_draining = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.drain()
        finally:
            await self._tasks.__aexit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._present())

    async def start(self, request: StartRequest, owner: str, session_id: str | None = None) -> LiveSession:
        """Begins a session. A session of this owner in the same place (app, channel, uid) has to leave it first.

        Args:
            session_id: what it is called; a new name by default.

        Raises:
            Draining, AvatarNotFound, TooManyStarts, CapacityExceeded, and what ``may_start`` raises
        """
        self._check_room(request, owner)  # at once: reading what avatars there are may take a while
        known = await asyncio.to_thread(self.known_avatars)
        if request.avatar_id not in known:
            raise AvatarNotFound(request.avatar_id, tuple(sorted(known)))
        self._may_start(request)
        before = self._check_room(request, owner)
        self._quotas.count_start(owner)
        for old in before:
            old.end(Ending.EVICTED)

        live = LiveSession(session_id or new_session_id(), owner, request, self._settings, self._now)
        self._live[live.id] = live
        self._work[live.id] = self._tasks.create_task(self._live_through(live, before), name=f"session {live.id}")
        log.info("session started", extra={"session": live.id, "avatar": request.avatar_id})
        return live

    def _check_room(self, request: StartRequest, owner: str) -> list[LiveSession]:
        """The sessions of this owner that have to leave the request's place for it.

        Raises:
            Draining, CapacityExceeded
        """
        if self.is_draining:
            raise Draining
        before = [live for live in self.of_owner(owner) if place(live.request) == place(request)]
        others = [live.owner for live in self._present() if live not in before]
        next_end_s = self._turnover.next_end_s(self._now())
        self._quotas.check(others, owner, Unavailable.retry_after_s if next_end_s is None else seconds(next_end_s))
        if self.room:
            self.room.check(len(others), next_end_s)
        return before

    def of_owner(self, owner: str) -> list[LiveSession]:
        """The sessions that a key started, the oldest first."""
        return [live for live in self._present() if live.owner == owner]

    def get(self, session_id: str) -> LiveSession:
        """A session that lives.

        Raises:
            SessionNotFound: there is none of this id, or it is ending.
        """
        live = self._live.get(session_id)
        if live is None or live.ending:
            raise SessionNotFound
        return live

    async def settled(self, session_id: str) -> None:
        """Waits until a session performs, or never will: its start is answered before its avatar has been read.

        Raises:
            SessionNotFound: as ``get``.
        """
        await self.get(session_id).settled.wait()

    def admit(self, session_id: str, token: str | None) -> LiveSession:
        """The session that a WebSocket is for; None as its token: it has not come yet.

        Raises:
            InvalidToken: the token is not this session's, or there is none and no such session.
            SessionNotFound: the token is right, but its session has ended. Only who has it learns this.
        """
        if token is None:
            try:
                return self.get(session_id)
            except SessionNotFound:
                raise InvalidToken from None
        if self.tokens.session_id(token) != session_id:
            raise InvalidToken
        return self.get(session_id)

    async def stop(self, live: LiveSession, why: Ending = Ending.STOPPED) -> None:
        """Ends a session; returns when it has left its publishers."""
        live.end(why)
        await live.gone.wait()

    async def drain(self) -> None:
        """Starts no more sessions, and ends those that live, within the time that the settings give them."""
        self.is_draining = True
        for live in self._live.values():
            live.end(Ending.DRAINING)
        if self._work:
            _, late = await asyncio.wait(self._work.values(), timeout=self._settings.drain_s)
            for task in late:
                log.error("session was cancelled: it did not end in time", extra={"task": task.get_name()})
                task.cancel()

    def _present(self) -> list[LiveSession]:
        return [live for live in self._live.values() if live.ending is None]

    async def _live_through(self, live: LiveSession, before: Collection[LiveSession]) -> None:
        self.metrics.sessions.inc()
        try:
            async with asyncio.TaskGroup() as tasks:
                performance = tasks.create_task(self._perform(live, before))
                performance.add_done_callback(lambda _: live.end(Ending.FINISHED))
                await live.over()
                live.hang_up()
                if live.performing:
                    live.performing.stop()
                else:
                    performance.cancel()
                _, late = await asyncio.wait([performance], timeout=PATIENCE_S)
                if late:
                    log.error("session was cancelled: it did not leave its publishers", extra={"session": live.id})
                    performance.cancel()
        except* Exception as errors:
            # One session's failure is its own: it is logged and told to its client, and the others go on.
            live.ending = Ending.FAILED
            log.error("session failed", exc_info=errors, extra={"session": live.id})
        finally:
            live.end(Ending.DRAINING)
            live.hang_up()
            del self._live[live.id], self._work[live.id]
            # It knows the session, too. What it held (encoders, minutes of speech) need not wait for the collector.
            live.performing = None
            live.gone.set()
            self._turnover.ended(self._now())
            self.metrics.sessions.dec()
            self.metrics.sessions_ended.labels(str(live.ending)).inc()
            log.info("session ended", extra={"session": live.id, "reason": str(live.ending)})

    async def _perform(self, live: LiveSession, before: Collection[LiveSession]) -> None:
        for old in before:
            await old.gone.wait()
        performing = await self._open_session(live.request, live.id)
        live.begin(performing)
        try:
            await performing.run()
        except AvatarError:
            # Its client may just be about to connect, and shall learn why.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TELL_S):
                    await live.attended.wait()
            raise


def new_session_id() -> str:
    return uuid.uuid4().hex


def place(request: StartRequest) -> tuple[str, str, str]:
    """Where a session publishes; there is one of an owner at a time."""
    return request.agora.app_id, request.agora.channel, request.agora.uid
