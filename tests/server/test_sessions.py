from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from websockets.exceptions import ConnectionClosed

from server.start_request import StartRequest
from tests.server.player import becomes
from tests.server.running import START, Caller, Listener, Running, calling, running

pytestmark = pytest.mark.anyio


async def until_empty(server: Running) -> None:
    """Waits until every session has left its publishers."""
    async with asyncio.timeout(20):
        while len(server.sessions) or not all(one.has_left for one in server.listeners):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def closed_while_sending(caller: Caller, command: str) -> bool:
    for _ in range(20):
        await asyncio.sleep(0.1)
        try:
            await caller.send(command)
        except ConnectionClosed:
            return True
    return False


async def test_a_token_works_again_after_a_lost_socket_and_the_session_is_still_the_same() -> None:
    async with running() as server:
        answer = await server.start()
        for _ in range(3):
            async with calling(answer) as caller:
                await caller.speaks()
        assert len(server.listeners) == 1


async def test_speech_goes_on_after_a_lost_socket_where_it_was() -> None:
    async with running() as server:
        answer = await server.start()
        async with calling(answer) as caller:
            await caller.voice(b"\x01\x00\x02", 48_000)
            await caller.send("heartbeat")
            await caller.event()
            caller.socket.transport.abort()
        async with calling(answer) as caller:
            await caller.voice(b"\x00\x03\x00", 48_000)
            await caller.send("voice_end")
            await caller.event("speak_ended")
        assert server.listeners[0].speech.tolist() == [1, 2, 3]


async def test_a_newer_socket_takes_the_session_over() -> None:
    async with running() as server:
        answer = await server.start()
        async with calling(answer) as old, calling(answer) as new:
            await asyncio.wait_for(old.socket.wait_closed(), 5)
            assert old.socket.close_code == 4001
            await new.speaks()


async def test_a_session_whose_client_does_not_come_back_ends() -> None:
    async with running(grace_s=0.3) as server:
        async with calling(await server.start()) as caller:
            await asyncio.sleep(0.5)
            await caller.speaks()
        assert len(server.sessions) == 1
        await until_empty(server)
        assert server.listeners[0].has_left


async def test_a_session_that_is_never_initialised_ends() -> None:
    async with running(never_initialised_s=1) as server:
        answer = await server.start()
        async with calling(answer, init=False) as caller:
            assert (await caller.event("session_closing"))["reason"] == "never_initialised"
        await until_empty(server)


async def test_messages_keep_a_session_alive_and_silence_ends_it() -> None:
    async with running() as server:
        answer = await server.start(activity_idle_timeout=1)
        async with calling(answer) as caller:
            for _ in range(7):
                await asyncio.sleep(0.2)
                await caller.send("heartbeat")
                assert "command" in await caller.event()
            assert (await caller.event("session_closing"))["reason"] == "idle"
            await caller.socket.wait_closed()
            assert caller.socket.close_code == 1000


async def test_what_is_refused_does_not_keep_a_session_alive() -> None:
    async with running(idle_timeout_s=0.4) as server:
        async with calling(await server.start()) as caller:
            assert await closed_while_sending(caller, "dance")
        await until_empty(server)


async def test_an_operator_may_let_speech_alone_keep_a_session_alive() -> None:
    async with running(idle_timeout_s=1, idle_counts="speech") as server:
        async with calling(await server.start()) as caller:
            for _ in range(7):
                await asyncio.sleep(0.2)
                await caller.voice(bytes(20))
            assert await closed_while_sending(caller, "heartbeat")


async def test_an_avatar_that_speaks_is_not_idle() -> None:
    async with running(idle_timeout_s=0.4) as server:
        async with calling(await server.start()) as caller:
            server.listeners[0].emit({"event": "speak_started", "utterance": 1, "event_id": "v"})
            await caller.event("speak_started")
            await asyncio.sleep(1)
            server.listeners[0].emit({"event": "speak_ended", "utterance": 1, "played_ms": 1000})
            assert (await caller.event())["event"] == "speak_ended"
            assert (await caller.event())["reason"] == "idle"


async def test_no_session_outlives_the_longest() -> None:
    async with running(longest_session_s=1) as server:
        async with calling(await server.start()) as caller:
            assert (await caller.event("session_closing"))["reason"] == "longest_session"


async def test_what_a_session_held_is_freed_when_it_ends() -> None:
    made: list[weakref.ref[Listener]] = []

    async def open_session(request: StartRequest, session_id: str) -> Listener:
        listener = Listener()
        made.append(weakref.ref(listener))
        return listener

    gc.disable()
    try:
        async with running(open_session) as server:
            answer = await server.start()
            async with calling(answer) as caller:
                await caller.speaks()
                assert made[0]() is not None
                await server.stop(answer)
            await becomes(lambda: made[0]() is None)
    finally:
        gc.enable()


async def test_a_session_ends_when_its_performance_does() -> None:
    async with running() as server:
        async with calling(await server.start()) as caller:
            server.listeners[0].stop()
            assert (await caller.event("session_closing"))["reason"] == "finished"


async def test_a_performance_that_breaks_tells_its_client_and_leaves_the_others_alone() -> None:
    class Breaking(Listener):
        async def run(self) -> None:
            await super().run()
            raise OSError("the encoder is gone")

    made: list[Listener] = []

    async def open_session(request: StartRequest, session_id: str) -> Listener:
        made.append(Listener() if made else Breaking())
        return made[-1]

    async with running(open_session) as server:
        one = await server.start()
        async with calling(one) as broken:
            other = await server.start(agora_settings={**START["agora_settings"], "uid": "2"})
            async with calling(other) as caller:
                made[0].stop()
                assert (await broken.event("session_closing"))["reason"] == "failed"
                await asyncio.wait_for(broken.socket.wait_closed(), 5)
                assert broken.socket.close_code == 1011
                await caller.speaks()


async def test_a_session_can_be_stopped_while_its_avatar_is_being_loaded() -> None:
    cancelled = asyncio.Event()

    async def open_slowly(request: StartRequest, session_id: str) -> Listener:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return Listener()

    async with running(open_slowly) as server:
        answer = await server.start()
        async with calling(answer, init=False) as caller:
            await caller.send("init", **START)
            assert (await server.stop(answer)).status_code == 200
            assert (await caller.event("session_closing"))["reason"] == "stopped"
        assert cancelled.is_set()


@pytest.mark.parametrize("speaking", [True, False])
async def test_a_server_that_shuts_down_moves_its_clients_away_and_ends_its_sessions(speaking: bool) -> None:
    async with running() as server:
        answer = await server.start()
        async with calling(answer) as caller:
            if speaking:
                await caller.voice(bytes(48_000))
            server.server.should_exit = True
            assert (await caller.event("session_closing"))["reason"] == "draining"
            await asyncio.wait_for(caller.socket.wait_closed(), 5)
            assert caller.socket.close_code == 1012
    assert server.listeners[0].has_left


async def test_a_server_that_shuts_down_starts_no_more_sessions() -> None:
    leave = asyncio.Event()

    class Reluctant(Listener):
        async def run(self) -> None:
            await super().run()
            await leave.wait()

    async with running(listener=Reluctant) as server:
        async with calling(await server.start()) as caller:
            server.server.should_exit = True
            await caller.event("session_closing")
            response = await server.http.post("/session/start", json=START)
            assert response.status_code == 503
            assert response.json()["code"] == "DRAINING"
            assert "retry-after" in response.headers
            assert (await server.http.get("/readyz")).json()["status"] == "draining"
            leave.set()


async def test_a_session_that_does_not_leave_is_cancelled_when_the_server_shuts_down() -> None:
    class Stuck(Listener):
        async def run(self) -> None:
            await asyncio.Event().wait()

    async with running(listener=Stuck, drain_s=0.3) as server:
        async with calling(await server.start()):
            pass
        ended = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - ended < 3


async def test_a_full_server_says_how_soon_sessions_ended_lately() -> None:
    async with running(max_sessions=1) as server:
        for _ in range(4):
            await server.stop(await server.start())
        await server.start()
        refused = await server.http.post("/session/start", json=START)
        assert refused.status_code == 503
        assert 1 <= int(refused.headers["retry-after"]) <= 5  # ten where nothing is known
