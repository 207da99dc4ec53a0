"""One worker as the front sees it: a process, and after it the next, under one number and on one port."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from models.parent import environment
from server.publishers.ending import to_its_end
from server.workers.link import Calls, Link, WorkerLost, connected
from server.workers.messages import Begin, Ended, News, Order, State

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before a process is replaced that has not lived long; twice as long each time, up to the second."""

LONG_S = 60.0
"""A process that lived for so long is replaced at once."""

SILENT_S = 10.0
"""A process that was ready and says nothing for so long, though it should every second, hangs: it is killed."""

LEAVE_S = 5.0
"""Seconds that a process has to end after its sessions had theirs; then it is killed."""


class Worker:
    """
    Args:
        begin: what each process is told first.
        listener: the socket whose connections each process takes. It stays open in between: who connects then waits.
        told_end: is told the ids of sessions that ended.
        lost: is told when a process has ended, and its sessions with it.
    """

    def __init__(
        self, begin: Begin, listener: socket.socket, told_end: Callable[[str], None], lost: Callable[[Worker], None]
    ) -> None:
        self.number = begin.number
        self.port: int = listener.getsockname()[1]
        self.state: State | None = None
        """Of the process that is ready; None while there is none."""
        self.tried = asyncio.Event()
        """Set when the first process is ready, or has ended without having been."""
        self.n_lost = 0
        self._begin = begin
        self._listener = listener
        self._told_end = told_end
        self._lost = lost
        self._ending = asyncio.Event()
        self._over = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._calls: Calls | None = None

    async def run(self) -> None:
        """Sees to it that there is a process, until ``end``."""
        pause_s = 0.0
        try:
            while not self._ending.is_set():
                began = time.monotonic()
                try:
                    status: int | str = await self._live()
                except OSError as error:
                    status = str(error)
                if self._ending.is_set():
                    break
                self.n_lost += 1
                self._lost(self)
                pause_s = pause_after(time.monotonic() - began, pause_s)
                log.error("worker ended", extra={"worker": self.number, "status": status, "again_in_s": pause_s})
                try:
                    async with asyncio.timeout(pause_s):
                        await self._ending.wait()
                except TimeoutError:
                    pass
        finally:
            self._over.set()

    async def ask(self, order: Order, kind: type[T], within_s: float) -> T:
        """The answer to an order.

        Raises:
            Relayed: it was refused.
            WorkerLost: there is no process that is ready, or it ended, or did not answer in time.
        """
        if self._calls is None or self.state is None:
            raise WorkerLost
        return await self._calls.ask(order, kind, within_s)

    async def end(self) -> None:
        """Lets the process drain; returns when it has ended. It is not replaced."""
        self._ending.set()
        self._terminate()
        try:
            async with asyncio.timeout(self._begin.settings.drain_s + LEAVE_S):
                await self._over.wait()
        except TimeoutError:
            log.error("worker is killed: it did not end in time", extra={"worker": self.number})
            if self._process:
                self._process.kill()
            await self._over.wait()

    async def _live(self) -> int:
        """One process, from its start to its end; its exit status, negative where a signal ended it."""
        ours, theirs = socket.socketpair()
        fds = (theirs.fileno(), self._listener.fileno())
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "server.workers.child", *map(str, fds)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=fds,
                env=environment(),
                start_new_session=True,  # Ctrl-C is the front's business
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        link = await connected(ours)
        try:
            if self._ending.is_set():
                self._terminate()
            link.send(self._begin)
            self._calls = Calls(link)
            try:
                await self._hear(link, self._calls)
            except TimeoutError:
                log.error("worker is killed: it hangs", extra={"worker": self.number})
                self._process.kill()
            return await self._process.wait()
        finally:
            self.state = None
            if self._calls:
                self._calls.give_up()
            link.close()
            self.tried.set()
            await to_its_end(self._reap(self._process))

    async def _hear(self, link: Link, calls: Calls) -> None:
        """Raises TimeoutError: it hangs."""
        while True:
            async with asyncio.timeout(SILENT_S if self.state else None):
                received = await link.receive()
            if received is None:
                return
            call, message = received
            if call:
                calls.settle(call, message)
                continue
            match msgspec.json.decode(message, type=News):
                case State() as state:
                    self.state = state
                    self.tried.set()
                case Ended(session_id):
                    self._told_end(session_id)

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    def _terminate(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.terminate()


def pause_after(lived_s: float, before_s: float) -> float:
    """Seconds until a process is replaced that lived for so long, where the last pause was ``before_s``."""
    return 0.0 if lived_s >= LONG_S else min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * before_s))
