"""One end of the connection between a front and a worker."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec

from server.errors import ApiError, Unavailable
from server.workers.messages import LENGTH, Answered, Asked, FromWorker, Order, Refused, ToWorker, packed

T = TypeVar("T")


class WorkerLost(Unavailable):
    """A worker ended, or does not answer, while it was asked."""

    code = "WORKER_LOST"
    retry_after_s = 2

    def __init__(self) -> None:
        super().__init__("The process that this was asked of is gone, or does not answer")


class Relayed(ApiError):
    """What a worker refused."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.status, self.error, self.code = refused.status, refused.error, refused.code
        self._headers = refused.headers

    @property
    def headers(self) -> dict[str, str]:
        return self._headers

    @property
    def retry_after_s(self) -> int:
        return int(self._headers.get("Retry-After", Unavailable.retry_after_s))


class Link:
    """Messages one way and the other. Made by ``connected``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: ToWorker | FromWorker) -> None:
        """Never waits: what waits to be read is as little as what was asked."""
        if not self._writer.is_closing():
            self._writer.write(packed(message))

    async def messages(self, decoder: msgspec.json.Decoder[T]) -> AsyncIterator[T]:
        """What the other side says, until it ends."""
        while True:
            try:
                (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                body = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            yield decoder.decode(body)

    def close(self) -> None:
        self._writer.close()


async def connected(end: socket.socket) -> Link:
    return Link(*await asyncio.open_unix_connection(sock=end))


class Questions:
    """What was asked over a link and is not answered yet."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._numbers = itertools.count()
        self._open: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._is_over = False

    async def ask(self, order: Order, kind: type[T], within_s: float) -> T:
        """The answer.

        Raises:
            Relayed: the worker refused.
            WorkerLost: it is gone, or did not answer in time.
        """
        if self._is_over:
            raise WorkerLost
        call = next(self._numbers)
        self._open[call] = asyncio.get_running_loop().create_future()
        try:
            self._link.send(Asked(call, order))
            async with asyncio.timeout(within_s):
                value = await self._open[call]
        except TimeoutError:
            raise WorkerLost from None
        finally:
            del self._open[call]
        return msgspec.json.decode(value, type=kind)

    def settle(self, answer: Answered | Refused) -> None:
        """An answer came; perhaps too late for who asked."""
        future = self._open.get(answer.call)
        if future is None or future.done():
            return
        if isinstance(answer, Answered):
            future.set_result(answer.value)
        else:
            future.set_exception(Relayed(answer))

    def give_up(self) -> None:
        """No more answers will come."""
        self._is_over = True
        for future in self._open.values():
            if not future.done():
                future.set_exception(WorkerLost())
