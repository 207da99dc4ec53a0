from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from avatar.errors import AvatarError
from server.app import create_app
from server.serving import AvatarServer, listening
from server.start_request import StartRequest
from tests.server.running import SETTINGS, Listener, calling, running

pytestmark = pytest.mark.anyio


async def listen(request: StartRequest, session_id: str) -> Listener:
    return Listener()


async def test_a_port_that_is_taken_is_refused_in_one_sentence() -> None:
    async with running() as server:
        settings = replace(SETTINGS, port=server.server.address[1])
        with pytest.raises(
            AvatarError, match=f"cannot listen on 127.0.0.1 port {settings.port}: Address already in use"
        ):
            await AvatarServer(create_app(settings, listen, lambda: ["ava"]), settings).serve()


async def test_an_address_that_is_not_this_machines_is_refused() -> None:
    settings = replace(SETTINGS, host="192.0.2.1")
    with pytest.raises(AvatarError, match="cannot listen on 192.0.2.1"):
        await AvatarServer(create_app(settings, listen, lambda: ["ava"]), settings).serve()


async def test_a_server_that_cannot_be_made_ready_gives_its_port_back() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise OSError("the model is gone")
        yield

    with socket.create_server(("127.0.0.1", 0)) as free:
        settings = replace(SETTINGS, port=free.getsockname()[1])
    app = create_app(settings, listen, lambda: ["ava"], resources=[broken()])
    with pytest.raises(AvatarError, match="could not start"):
        await AvatarServer(app, settings).serve()
    socket.create_server(("127.0.0.1", settings.port)).close()


async def test_sigterm_ends_the_sessions_and_then_the_server() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        async with running() as server:
            async with calling(await server.start()) as caller:
                os.kill(os.getpid(), signal.SIGTERM)
                assert (await caller.event("session_closing"))["reason"] == "draining"
                await asyncio.wait_for(caller.socket.wait_closed(), 5)
                assert caller.socket.close_code == 1012
        assert server.listeners[0].has_left
        assert received == [signal.SIGTERM]  # uvicorn passes it on when it is done
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_it_sends_leaves_at_once_however_small() -> None:
    with listening("127.0.0.1", 0) as taken, socket.create_connection(taken.getsockname()):
        accepted, _ = taken.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
