"""One child process that publishes, as its session sees it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import msgspec

from models.parent import environment
from server.publisher import RenderedFrame
from server.publishers.agora import messages
from server.publishers.agora.messages import Join, Leave, Order, Report
from server.publishers.agora.printed import PrintedLines
from server.publishers.agora.ring import RingWriter
from server.publishers.ending import to_its_end

log = logging.getLogger(__name__)

LEAVE_S = 5.0
"""Seconds that a child has to leave its channel and end; then it is killed. Longer than it gives itself."""


class PublisherProcess:
    """A child process with its ring, its control socket and its output. Entering starts it, leaving always ends it.

    It is a fresh interpreter (``-m``), not a fork: a copy of a process with threads is not sound. Secrets go through
    the control socket, never through arguments or environment.
    """

    def __init__(self, session_id: str, join: Join) -> None:
        self._session_id = session_id
        self._join = join
        self._secrets = {join.token, join.app_id}
        self._ring = RingWriter(join.ring)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._n_read, self._read_at = 0, time.monotonic()
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._folder = await asyncio.to_thread(tempfile.mkdtemp, prefix=f"avatar-agora-{os.getpid()}-")
        ours, theirs = socket.socketpair()
        try:
            fds = (theirs.fileno(), self._ring.fd, self._bell)
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "server.publishers.agora.child", *map(str, fds)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=fds,
                env=environment(),
                cwd=self._folder,
                start_new_session=True,
            )
            self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:
            ours.close()
            self._release()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        finally:
            theirs.close()
        self._pump = asyncio.create_task(self._log_output())
        self.send(msgspec.structs.replace(self._join, folder=self._folder))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_its_end(self._end())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative where a signal ended it; None while it lives."""
        return self._process.returncode

    def put(self, frame: RenderedFrame) -> bool:
        """Hands a frame over; False where the child is too far behind to take it.

        Raises:
            RingError: see ``RingWriter.put``.
        """
        if not self._ring.put(frame, time.monotonic_ns()):
            return False
        self._ring_bell()
        return True

    def flush(self) -> None:
        self._ring.flush()
        self._ring_bell()

    def stands_still_for(self) -> float:
        """Seconds since the child was last done with a frame while one waited for it."""
        now, n_read = time.monotonic(), self._ring.n_read
        if n_read != self._n_read or not self._ring.n_waiting:
            self._n_read, self._read_at = n_read, now
        return now - self._read_at

    def send(self, order: Order) -> None:
        if isinstance(order, messages.RenewToken):
            self._secrets.add(order.token)
        if not self._writer.is_closing():
            self._writer.write(messages.packed(order))

    async def reports(self) -> AsyncIterator[Report]:
        """What the child tells, until it ends.

        Raises:
            MessageError: it sent what is no message.
        """
        while True:
            try:
                length = messages.length_of(await self._reader.readexactly(messages.LENGTH.size))
                yield messages.report(await self._reader.readexactly(length))
            except (asyncio.IncompleteReadError, ConnectionError):
                break

    async def ended(self) -> int:
        """The exit status, once the child has ended."""
        return await self._process.wait()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    def _ring_bell(self) -> None:
        try:
            os.eventfd_write(self._bell, 1)
        except BlockingIOError:  # 2^64 rings that nobody heard
            pass

    async def _end(self) -> None:
        try:
            self.send(Leave())
            try:
                async with asyncio.timeout(LEAVE_S):
                    await self._process.wait()
            except TimeoutError:
                log.error("the publisher did not end and is killed", extra={"session": self._session_id})
                self.kill()
                await self._process.wait()
            self._writer.close()
            if self._pump:
                await self._pump
        finally:
            self._release()
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _release(self) -> None:
        self._ring.close()
        os.close(self._bell)

    async def _log_output(self) -> None:
        def write(line: str) -> None:
            log.info("Agora SDK: %s", line, extra={"session": self._session_id})

        lines = PrintedLines(write, self._secrets)
        output = self._process.stdout
        while output and (data := await output.read(4096)):
            lines.add(data)
        lines.end()
