"""Sessions spread over workers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from avatar.errors import AvatarError
from server.errors import ApiError, CapacityExceeded, Draining, SessionNotFound, Unavailable
from server.load.levels import Level
from server.placement import Placed, Readiness
from server.publishers.offers import Answer
from server.quotas import Quotas
from server.rest_types import SessionInfo
from server.serving import listening
from server.sessions import PATIENCE_S, new_session_id, place
from server.settings import Settings
from server.start_request import StartRequest
from server.workers.figures import FRONT, FrontMetrics, merged
from server.workers.link import Relayed, WorkerLost
from server.workers.messages import Begin, HangUp, Show, ShowAll, ShowFigures, Start, Stop, Watch
from server.workers.worker import Worker

T = TypeVar("T")

ASK_S = 5.0
"""How long a worker may take to answer what it can answer at once."""

STOP_S = PATIENCE_S + ASK_S
"""How long a session may take to end."""


@dataclass(slots=True)
class _Entry:
    """A session, as far as the front must know it."""

    worker: Worker
    owner: str
    place: tuple[str, str, str]
    is_leaving: bool = False


class Workers:
    """Entering starts as many processes as the settings say, leaving ends them.

    What the operator allows is counted here, for all of them; whether a session fits, each knows for itself.

    Args:
        settings: with the secret that signs tokens; keys are the front's own business.
        known_avatars: the ids that may be asked for, at the moment.
    """

    def __init__(
        self,
        settings: Settings,
        embedded: Path,
        known_avatars: Callable[[], Collection[str]],
        metrics: FrontMetrics,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._embedded = embedded
        self._known_avatars = known_avatars
        self._metrics = metrics
        self._metrics.workers.set_function(lambda: len(self._ready()))
        self._quotas = Quotas(settings, now)
        self._entries: dict[str, _Entry] = {}
        self._workers: list[Worker] = []
        self._listeners: list[socket.socket] = []
        self._tasks = asyncio.TaskGroup()
        self._is_draining = False

    def listen(self) -> None:
        """Takes the workers' ports, before anything is loaded that would have been for nothing.

        Raises:
            AvatarError: one cannot be had.
        """
        host, port = self._settings.host, self._settings.port
        try:
            for number in range(1, self._settings.workers + 1):
                self._listeners.append(listening(host, port and port + number))
        except AvatarError:
            self.close()
            raise

    def close(self) -> None:
        """Gives the ports back."""
        for listener in self._listeners:
            listener.close()

    async def __aenter__(self) -> Self:
        """Returns when every worker is ready; ``listen`` has been called before.

        Raises:
            AvatarError: a worker did not become ready.
        """
        told = replace(self._settings, api_keys=(), max_sessions=0, max_sessions_per_key=0, max_starts_per_minute=0)
        await self._tasks.__aenter__()
        try:
            for number, listener in enumerate(self._listeners, 1):
                begin = Begin(number, told, str(self._embedded))
                self._workers.append(Worker(begin, listener, self._forget, self._drop_lost))
            for worker in self._workers:
                self._tasks.create_task(worker.run(), name=f"worker {worker.number}")
            for worker in self._workers:
                await worker.tried.wait()
            if failed := [worker.number for worker in self._workers if worker.n_lost]:
                raise AvatarError(f"worker {failed[0]} could not start; the log says why")
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.drain()
        finally:
            await self._tasks.__aexit__(kind, error, trace)
            self.close()

    async def start(self, request: StartRequest, owner: str) -> Placed:
        """Asks the worker first that has the session whose place this one takes, then those that are the least full.

        Raises:
            Draining, TooManyStarts, CapacityExceeded, WorkerLost, Relayed
        """
        if self._is_draining:
            raise Draining
        before = {
            session_id: entry
            for session_id, entry in self._entries.items()
            if entry.owner == owner and entry.place == place(request) and not entry.is_leaving
        }
        others = [
            entry.owner
            for session_id, entry in self._entries.items()
            if session_id not in before and not entry.is_leaving
        ]
        self._quotas.check(others, owner, Unavailable.retry_after_s)
        self._quotas.count_start(owner)
        try:
            placed = await self._start(request, owner, {entry.worker.number for entry in before.values()})
        except ApiError:
            self._quotas.forget_start(owner)
            raise
        for session_id, entry in before.items():
            entry.is_leaving = True
            if entry.worker.number != placed.worker:  # which was full, and this one knows nothing of it
                await self._end(session_id, entry.worker, evicted=True)
        return placed

    def owner(self, session_id: str) -> str:
        return self._entry(session_id).owner

    async def stop(self, session_id: str) -> None:
        entry = self._entry(session_id)
        entry.is_leaving = True
        await self._end(session_id, entry.worker)

    async def info(self, session_id: str) -> SessionInfo:
        return await self._entry(session_id).worker.ask(Show(session_id), SessionInfo, ASK_S)

    async def infos(self, owner: str) -> list[SessionInfo]:
        workers = {entry.worker.number: entry.worker for entry in self._entries.values() if entry.owner == owner}
        asked = [worker.ask(ShowAll(owner), list[SessionInfo], ASK_S) for worker in workers.values()]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = [info for answer in answers for info in _unless_lost(answer, list[SessionInfo]())]
        return sorted(found, key=lambda info: -info.age_s)

    async def readiness(self) -> Readiness:
        """Ready as soon as one worker is: others that are being replaced keep nobody from starting a session."""
        known, ready = sorted(await asyncio.to_thread(self._known_avatars)), self._ready()
        if self._is_draining:
            status = "draining"
        elif not known:
            status = "no avatars"
        else:
            status = "ready" if ready else "no workers"
        states = [(worker, worker.state) for worker in self._workers]
        details = {
            "avatars": known,
            "sessions": sum(1 for entry in self._entries.values() if not entry.is_leaving),
            "sessions_that_fit": sum(state.fits for _, state in states if state),
            "level": Level(max((state.level for _, state in states if state), default=0)).title,
            "workers": [
                {
                    "worker": worker.number,
                    "port": worker.port,
                    "ready": state is not None,
                    "sessions": self._n_sessions(worker),
                    "sessions_that_fit": state.fits if state else 0,
                    "level": Level(state.level).title if state else None,
                }
                for worker, state in states
            ],
        }
        return Readiness(status, details)

    async def figures(self) -> bytes:
        ready = self._ready()
        asked = [worker.ask(ShowFigures(), str, ASK_S) for worker in ready]
        texts = {FRONT: self._metrics.text()}
        for worker, answer in zip(ready, await asyncio.gather(*asked, return_exceptions=True), strict=True):
            texts[str(worker.number)] = _unless_lost(answer, "")
        return await asyncio.to_thread(merged, texts)

    async def drain(self) -> None:
        self._is_draining = True
        await asyncio.gather(*(worker.end() for worker in self._workers))

    async def watchable(self, session_id: str) -> Elsewhere | None:
        """What lets browsers watch a session."""
        entry = self._entries.get(session_id)
        return Elsewhere(entry.worker, session_id) if entry else None

    async def _start(self, request: StartRequest, owner: str, preferred: Collection[int]) -> Placed:
        session_id, refusals = new_session_id(), list[WorkerLost | Relayed]()
        for worker in sorted(self._ready(), key=lambda one: (one.number not in preferred, *self._fullness(one))):
            # It is known before it begins: that it ended may be told before its beginning was answered.
            self._entries[session_id] = _Entry(worker, owner, place(request))
            try:
                await worker.ask(Start(session_id, request, owner), type(None), ASK_S)
            except (WorkerLost, Relayed) as refusal:
                self._forget(session_id)
                if not isinstance(refusal, WorkerLost) and refusal.code not in (CapacityExceeded.code, Draining.code):
                    raise
                refusals.append(refusal)
            else:
                return Placed(session_id, worker.number, worker.port)
        if not refusals:
            raise WorkerLost
        raise min(refusals, key=lambda one: one.retry_after_s)

    async def _end(self, session_id: str, worker: Worker, *, evicted: bool = False) -> None:
        try:
            await worker.ask(Stop(session_id, evicted), type(None), STOP_S)
        except (WorkerLost, Relayed):
            pass  # it is gone, with its worker or by itself
        self._forget(session_id)

    def _entry(self, session_id: str) -> _Entry:
        entry = self._entries.get(session_id)
        if entry is None or entry.is_leaving:
            raise SessionNotFound
        return entry

    def _ready(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.state]

    def _n_sessions(self, worker: Worker) -> int:
        return sum(1 for entry in self._entries.values() if entry.worker is worker)

    def _fullness(self, worker: Worker) -> tuple[int, float, int]:
        """Orders workers by how much is drawn and by which share of what fits is taken.

        Not by how many more fit: where nobody has spoken yet that is a guess, and all would go where it is known.
        """
        fits, level = (worker.state.fits, worker.state.level) if worker.state else (1, Level.FULL)
        n = self._n_sessions(worker)
        return level, n / fits, n

    def _forget(self, session_id: str) -> None:
        self._entries.pop(session_id, None)

    def _drop_lost(self, worker: Worker) -> None:
        self._metrics.workers_lost.inc()
        for session_id in [name for name, entry in self._entries.items() if entry.worker is worker]:
            self._forget(session_id)


def _unless_lost(answer: T | BaseException, default: T) -> T:
    """What a worker answered, or ``default`` if it was lost."""
    if isinstance(answer, WorkerLost):
        return default
    if isinstance(answer, BaseException):
        raise answer
    return answer


class Elsewhere:
    """A session that is watched through its worker."""

    def __init__(self, worker: Worker, session_id: str) -> None:
        self._worker = worker
        self._session_id = session_id

    async def answer(self, offer: str) -> Answer:
        return await self._worker.ask(Watch(self._session_id, offer), Answer, STOP_S)

    async def hang_up(self, viewer_id: str) -> bool:
        return await self._worker.ask(HangUp(self._session_id, viewer_id), bool, STOP_S)
