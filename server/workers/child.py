"""A worker: performs the sessions that its front places here, and serves their sockets on a port of its own.

Started by ``worker.py`` with two inherited sockets: the link with its front, and the one that listens. It drains on
SIGTERM, when the link ends, and when its front dies.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from avatar.errors import AvatarError
from models.parent import end_with_parent
from server import logs
from server.app import SPEECH, assembled, bare, tokens_of
from server.errors import ApiError, SessionNotFound, api_error
from server.live_session import Ending, LiveSession
from server.operations import HEALTH, routes
from server.placement import InProcess
from server.serving import AvatarServer
from server.sessions import Sessions
from server.whep import Watchable, answered
from server.wiring import Stage, build_stage
from server.workers.link import Link, connected
from server.workers.messages import (
    Begin,
    Done,
    Ended,
    HangUp,
    Order,
    Refused,
    Show,
    ShowAll,
    ShowFigures,
    Start,
    State,
    Stop,
    Watch,
)

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
"""How often it is looked whether the front must be told how many sessions fit; as often as that is measured."""

TELL_EVERY_S = 1.0
"""How often the front is told in any case, and knows by it that this process does not hang."""


class Desk:
    """Does what the front asks."""

    def __init__(self, link: Link, sessions: Sessions, stage: Stage, tasks: asyncio.TaskGroup) -> None:
        self._link = link
        self._sessions = sessions
        self._stage = stage
        self._tasks = tasks

    async def answer(self, call: int, order: bytes) -> None:
        try:
            value = await self._done(msgspec.json.decode(order, type=Order))
        except AvatarError as error:
            self._refuse(call, api_error(error))
        except Exception as error:  # our own mistake: it is answered as over HTTP, and the other sessions go on
            log.error("an order failed", exc_info=error)
            self._refuse(call, ApiError("Something went wrong on this server"))
        else:
            self._link.send(Done(msgspec.Raw(msgspec.json.encode(value))), call)

    async def report(self) -> None:
        told, monitor = None, self._stage.monitor
        while True:
            state, now = State(monitor.fits, monitor.capacity.level), time.monotonic()
            if told is None or state != told[0] or now - told[1] >= TELL_EVERY_S:
                self._link.send(state)
                told = state, now
            await asyncio.sleep(LOOK_EVERY_S)

    async def _done(self, order: Order) -> object:
        sessions = self._sessions
        match order:
            case Start():
                live = await sessions.start(order.request, order.owner, order.session_id)
                self._tasks.create_task(self._tell_end(live))
                return None
            case Stop():
                why = Ending.EVICTED if order.evicted else Ending.STOPPED
                await sessions.stop(sessions.get(order.session_id), why)
                return None
            case Show():
                return sessions.get(order.session_id).info()
            case ShowAll():
                return [live.info() for live in sessions.of_owner(order.owner)]
            case Watch():
                return await answered(await self._watchable(order.session_id), order.offer)
            case HangUp():
                return await (await self._watchable(order.session_id)).hang_up(order.viewer_id)
            case ShowFigures():
                return sessions.metrics.text().decode()

    async def _watchable(self, session_id: str) -> Watchable:
        await self._sessions.settled(session_id)
        watchable = self._stage.watchable(session_id)
        if watchable is None:
            raise SessionNotFound
        return watchable

    def _refuse(self, call: int, refusal: ApiError) -> None:
        headers = dict(refusal.headers)
        self._link.send(Refused(refusal.status, refusal.error, refusal.code, refusal.message, headers), call)

    async def _tell_end(self, live: LiveSession) -> None:
        await live.gone.wait()
        self._link.send(Ended(live.id))


async def work(front: socket.socket, listener: socket.socket) -> None:
    link = await connected(front)
    first = await link.receive()
    if first is None:
        return  # the front is gone already
    begin = msgspec.json.decode(first[1], type=Begin)
    settings = begin.settings
    logs.configure(settings.log_level, (settings.token_secret,), {"worker": begin.number})
    stage = build_stage(settings, Path(begin.embedded))
    sessions = Sessions(
        bare(settings),
        tokens_of(settings),
        stage.open,
        stage.known_avatars,
        stage.metrics,
        may_start=stage.may_start,
        room=stage.monitor,
    )
    served = [*routes([HEALTH]), SPEECH]
    app = assembled(settings, InProcess(sessions), stage.metrics.refusals, served, [stage, sessions])
    app.state.sessions = sessions
    server = AvatarServer(app, settings)
    # Once it has shut down, uvicorn sends itself the signal that ended it; there is more to do then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    async def listen(tasks: asyncio.TaskGroup) -> None:
        desk = Desk(link, sessions, stage, tasks)
        await server.listening.wait()
        reporting = tasks.create_task(desk.report())
        try:
            while received := await link.receive():
                tasks.create_task(desk.answer(*received))
        finally:
            reporting.cancel()
            server.should_exit = True

    async with asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(listen(tasks))
        await server.serve(sockets=[listener])
        hearing.cancel()
    link.close()


def main() -> None:
    front, listener = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:])
    end_with_parent()
    try:
        asyncio.run(work(front, listener))
    except* (AvatarError, OSError) as errors:
        log.error("the worker could not go on", extra={"reason": str(errors.exceptions[0])})
        sys.exit(1)


if __name__ == "__main__":
    main()
