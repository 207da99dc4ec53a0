"""One end of the connection between a front and a worker."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import TypeVar

import msgspec

from server.errors import ApiError, Unavailable
from server.workers.messages import HEAD, Answer, Order, Refused

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

    def send(self, message: msgspec.Struct, call: int = 0) -> None:
        """Never waits: what is on its way is as little as what was asked."""
        body = msgspec.json.encode(message)
        if not self._writer.is_closing():
            self._writer.write(HEAD.pack(len(body), call) + body)

    async def receive(self) -> tuple[int, bytes] | None:
        """What the other side says: the number of the call, and the message; None when it has ended.

        It is not decoded here, so that one that cannot be spoils no other.
        """
        try:
            length, call = HEAD.unpack(await self._reader.readexactly(HEAD.size))
            return call, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        self._writer.close()


async def connected(end: socket.socket) -> Link:
    return Link(*await asyncio.open_unix_connection(sock=end))


class Calls:
    """What was asked over a link and is not answered yet."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[bytes]] = {}
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
            self._link.send(order, call)
            async with asyncio.timeout(within_s):
                body = await self._open[call]
        except TimeoutError:
            raise WorkerLost from None
        finally:
            del self._open[call]
        answer = msgspec.json.decode(body, type=Answer)
        if isinstance(answer, Refused):
            raise Relayed(answer)
        return msgspec.json.decode(answer.value, type=kind)

    def settle(self, call: int, answer: bytes) -> None:
        """An answer came; perhaps too late for who asked."""
        future = self._open.get(call)
        if future and not future.done():
            future.set_result(answer)

    def give_up(self) -> None:
        """No more answers will come."""
        self._is_over = True
        for future in self._open.values():
            if not future.done():
                future.set_exception(WorkerLost())
