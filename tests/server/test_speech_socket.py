from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from avatar.cues import Enter, Perform
from server.tokens import SessionTokens
from tests.server.running import KEY, START, Caller, Listener, Running, calling, running

pytestmark = pytest.mark.anyio

TONE = (8000 * np.sin(np.arange(48_000) * 0.05)).astype("<i2")
"""A second at 48 kHz, which needs no resampling: what is heard is what was sent."""


async def test_speech_is_heard_spoken_and_the_session_stopped(server: Running) -> None:
    answer = await server.start()
    assert set(answer) == {"session_id", "websocket_address", "session_token"}
    async with calling(answer) as caller:
        for piece in np.split(TONE, 4):
            await caller.voice(piece.tobytes(), 48_000)
        await caller.send("voice_end", event_id="end")
        assert (await caller.event("speak_ended"))["played_ms"] == 1000
        assert np.array_equal(server.listeners[-1].speech, TONE)
        assert (await server.stop(answer)).status_code == 200
        assert (await caller.event("session_closing"))["reason"] == "stopped"
        await caller.socket.wait_closed()
        assert caller.socket.close_code == 1000
    assert server.listeners[-1].has_left


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Running]:
    """One server for all tests that only need a session of their own."""
    async with running(max_sessions=1000) as server:
        yield server


# What is refused, and that the session lives on


async def status_of_handshake(address: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address, additional_headers=dict(headers)):
            pass
    body: dict[str, str] = json.loads(refused.value.response.body or b"")
    return refused.value.response.status_code, body


@pytest.mark.parametrize("authorization", ["Bearer wrong", "Bearer a.b.c", f"Bearer {KEY}"])
async def test_a_wrong_token_is_refused_at_the_handshake(server: Running, authorization: str) -> None:
    answer = await server.start()
    async with calling(answer) as caller:
        status, body = await status_of_handshake(answer["websocket_address"], {"Authorization": authorization})
        assert (status, body["code"]) == (401, "INVALID_TOKEN")
        await caller.speaks()


async def test_the_token_of_another_session_is_refused_at_the_handshake(server: Running) -> None:
    one, other = await server.start(), await server.start()
    headers = {"Authorization": f"Bearer {other['session_token']}"}
    assert (await status_of_handshake(one["websocket_address"], headers))[0] == 401


async def test_the_token_of_a_session_that_has_ended_finds_none(server: Running) -> None:
    answer = await server.start()
    await server.stop(answer)
    headers = {"Authorization": f"Bearer {answer['session_token']}"}
    status, body = await status_of_handshake(answer["websocket_address"], headers)
    assert (status, body["code"]) == (404, "SESSION_NOT_FOUND")


async def test_an_expired_or_foreign_token_is_refused_at_the_handshake() -> None:
    secret = "a secret of at least thirty-two bytes"
    async with running(token_secret=secret) as server:
        answer = await server.start()
        expired = SessionTokens(secret, 10, now=lambda: 1_000.0).issue(answer["session_id"])
        foreign = SessionTokens(secret[::-1], 0).issue(answer["session_id"])
        for token in (expired, foreign):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await status_of_handshake(answer["websocket_address"], headers))[0] == 401


async def test_a_session_that_does_not_exist_is_refused_at_the_handshake(server: Running) -> None:
    address = f"ws://{server.url[7:]}/session/unknown/ws"
    assert (await status_of_handshake(address, {}))[0] == 401


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "INVALID_JSON"),
        ("[" * 50_000, "INVALID_JSON"),
        ("[]", "VALIDATION_ERROR"),
        ("{}", "VALIDATION_ERROR"),
        ('{"command": 7}', "VALIDATION_ERROR"),
        ('{"command": "dance"}', "UNKNOWN_COMMAND"),
        (b"\x00\x01", "BINARY_MESSAGE"),
    ],
)
async def test_a_message_that_makes_no_sense_is_answered_with_an_error(
    server: Running, message: str | bytes, code: str
) -> None:
    async with calling(await server.start()) as caller:
        await caller.socket.send(message)
        assert (await caller.error())["code"] == code
        await caller.speaks()


GOOD_VOICE = {"audio": "AAAA", "sampleRate": 24_000, "encoding": "PCM16", "event_id": "e7"}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"audio": None}, "VALIDATION_ERROR", "Missing required field: audio"),
        ({"audio": None, "encoding": None}, "VALIDATION_ERROR", "Missing required field(s): audio, encoding"),
        ({"audio": 5}, "VALIDATION_ERROR", "audio must be a string"),
        ({"sampleRate": "24000"}, "VALIDATION_ERROR", "sampleRate must be a whole number"),
        ({"audio": "not base64!"}, "INVALID_AUDIO", "base64"),
        ({"audio": "AAA"}, "INVALID_AUDIO", "base64"),
        ({"audio": "é"}, "INVALID_AUDIO", "base64"),
        ({"sampleRate": 7_999}, "INVALID_AUDIO", "from 8000 to 48000, not 7999"),
        ({"sampleRate": 96_000}, "INVALID_AUDIO", "from 8000 to 48000, not 96000"),
        ({"sampleRate": -1}, "INVALID_AUDIO", "from 8000 to 48000, not -1"),
        ({"encoding": "MP3"}, "INVALID_AUDIO", "one of PCM16, PCM8, OPUS"),
        ({"encoding": 16}, "VALIDATION_ERROR", "encoding must be a string"),
    ],
)
async def test_a_voice_that_cannot_be_used_is_answered_with_an_error(
    server: Running, changes: dict[str, Any], code: str, words: str
) -> None:
    async with calling(await server.start()) as caller:
        await caller.send("voice", **{**GOOD_VOICE, **changes})
        error = await caller.error()
        assert (error["code"], error["event_id"]) == (code, "e7")
        assert words in error["message"]
        await caller.speaks()


@pytest.mark.parametrize(
    ("command", "fields", "code"),
    [
        ("state", {}, "VALIDATION_ERROR"),
        ("state", {"value": "asleep"}, "UNKNOWN_STATE"),
        ("state", {"value": "talk"}, "UNKNOWN_STATE"),  # the avatar of these tests does not have it
        ("special", {"content": {"type": "action"}}, "VALIDATION_ERROR"),
        ("heartbeat", {"timestamp": "now"}, "VALIDATION_ERROR"),
        ("voice_end", {"event_id": 7}, "VALIDATION_ERROR"),
        ("init", {"session_id": "another"}, "VALIDATION_ERROR"),
    ],
)
async def test_a_command_with_a_wrong_field_is_answered_with_an_error(
    server: Running, command: str, fields: dict[str, Any], code: str
) -> None:
    async with calling(await server.start()) as caller:
        await caller.send(command, **fields)
        assert (await caller.error())["code"] == code
        await caller.speaks()


async def test_an_odd_byte_waits_for_its_other_half(server: Running) -> None:
    async with calling(await server.start()) as caller:
        speech = TONE.tobytes()
        for piece in (speech[:1001], speech[1001:1002], speech[1002:5555], speech[5555:]):
            await caller.voice(piece, 48_000)
        await caller.send("voice_end", event_id="end")
        await caller.event("speak_ended")
        assert np.array_equal(server.listeners[-1].speech, TONE)
        await caller.speaks()


async def test_voice_before_init_is_answered_with_an_error(server: Running) -> None:
    answer = await server.start()
    async with calling(answer, init=False) as caller:
        await caller.voice(TONE.tobytes(), event_id="early")
        error = await caller.error()
        assert (error["code"], error["event_id"]) == ("NOT_INITIALISED", "early")
        await caller.send("init", session_id=answer["session_id"], **START)
        await caller.event("session_ready")
        await caller.speaks()
        assert len(server.listeners[-1].speech) < len(TONE)


async def test_a_message_that_is_too_large_closes_its_socket_and_the_session_waits_for_the_next() -> None:
    async with running(max_message_bytes=100_000) as server:
        answer = await server.start()
        async with calling(answer) as caller:
            await caller.voice(bytes(100_000))
            with pytest.raises(ConnectionClosed):
                await caller.event("error")
            assert caller.socket.close_code == 1009
        async with calling(answer) as caller:
            await caller.speaks()


async def test_speech_beyond_what_a_session_holds_is_refused_and_what_it_holds_is_kept() -> None:
    async with running(listener=lambda: Listener(capacity_s=1.5)) as server:
        async with calling(await server.start()) as caller:
            await caller.voice(TONE.tobytes(), 48_000)
            await caller.voice(TONE.tobytes(), 48_000, event_id="too much")
            warning = await caller.event("warning")
            assert (warning["code"], warning["event_id"]) == ("BACKLOG_FULL", "too much")
            assert np.array_equal(server.listeners[0].speech[:48_000], TONE)
            await caller.speaks()


# What else a client may do


async def test_a_token_may_come_in_init(server: Running) -> None:
    answer = await server.start()
    async with connect(answer["websocket_address"]) as socket:
        caller = Caller(socket)
        token = answer["session_token"]
        await caller.send("init", session_id=answer["session_id"], session_token=token, **START)
        await caller.event("session_ready")
        await caller.speaks()


@pytest.mark.parametrize(
    "first",
    [
        None,
        '{"command": "heartbeat"}',
        '{"command": "init"}',
        '{"command": "init", "session_token": "wrong"}',
        "{",
        b"\x00",
    ],
)
async def test_a_socket_that_never_brings_a_token_is_closed(first: str | bytes | None) -> None:
    async with running(token_wait_s=0.2) as server:
        answer = await server.start()
        async with calling(answer) as caller:
            async with connect(answer["websocket_address"]) as stranger:
                if first is not None:
                    await stranger.send(first)
                await asyncio.wait_for(stranger.wait_closed(), 5)
                assert stranger.close_code == 1008
            await caller.speaks()


async def test_an_init_without_command_is_understood(server: Running) -> None:
    answer = await server.start()
    async with calling(answer, init=False) as caller:
        await caller.socket.send(json.dumps({"sessionId": answer["session_id"], **START}))
        await caller.event("session_ready")


async def test_a_heartbeat_is_acknowledged_with_its_own_time(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.send("heartbeat", event_id="h1", timestamp=1_700_000_000_000)
        assert await caller.event() == {
            "command": "heartbeat_ack",
            "event_id": "h1",
            "timestamp": 1_700_000_000_000,
        }


async def test_an_interruption_forgets_what_was_not_decoded_yet(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.voice(TONE.tobytes()[:-1], 48_000)
        await caller.send("voice_interrupt", event_id="i1")
        await caller.event("speak_interrupted")
        await caller.voice(TONE.tobytes(), 48_000)
        await caller.send("voice_end", event_id="end")
        await caller.event("speak_ended")
        assert server.listeners[-1].told == [("interrupt", "i1"), ("end_speech", "end")]
        assert np.array_equal(server.listeners[-1].speech[-len(TONE) :], TONE)


async def test_states_and_gestures_reach_the_avatar(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.send("state", value="listen")
        await caller.send("special", content='{"type": "action", "action": "wave"}')
        await caller.send("special", content='<gesture name="nod"/><state value="idle"/>')
        await caller.speaks()
        assert server.listeners[-1].told[:-1] == [
            ("enter", "listen"),
            ("perform", str(Perform("wave"))),
            ("perform", str(Perform("nod"))),
            ("perform", str(Enter("idle"))),
        ]


@pytest.mark.parametrize("content", ["dance!", '{"type": "emotion"}', "{", "<bml>", ""])
async def test_special_content_that_nobody_understands_is_ignored_aloud(server: Running, content: str) -> None:
    async with calling(await server.start()) as caller:
        await caller.send("special", content=content, event_id="s1")
        event = await caller.event("action_ignored", "error")
        assert (event["event"], event["event_id"]) == ("action_ignored", "s1")
        assert event["reason"]
        await caller.speaks()


async def test_a_long_speech_in_one_message_is_heard_whole(server: Running) -> None:
    async with calling(await server.start()) as caller:
        speech = np.random.default_rng(0).integers(-9000, 9000, 48_000 * 30).astype("<i2")
        await caller.voice(speech.tobytes(), 48_000)
        await caller.send("voice_end", event_id="end")
        await caller.event("speak_ended")
        assert np.array_equal(server.listeners[-1].speech, speech)


async def test_a_client_that_does_not_read_hears_of_the_events_it_missed(server: Running) -> None:
    answer = await server.start()
    async with calling(answer) as caller:
        session = server.listeners[-1]
        for number in range(1000):
            session.emit({"event": "state_changed", "number": number})
        warning = await caller.event("warning")
        assert warning["code"] == "EVENTS_DROPPED"
        assert (await caller.event())["number"] > 700
        await caller.speaks()


async def test_messages_that_come_too_fast_are_refused_with_a_warning_and_those_before_are_followed() -> None:
    async with running(max_messages_per_s=20) as server:
        async with calling(await server.start()) as caller:
            for number in range(400):
                await caller.send("state", value="listen", event_id=str(number))
            warning = await caller.event("warning")
            assert warning["code"] == "RATE_LIMITED"
            assert 190 <= len(server.listeners[0].told) <= 300
            await asyncio.sleep(0.5)
            await caller.speaks()
