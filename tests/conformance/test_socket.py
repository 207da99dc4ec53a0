"""The WebSocket, row by row."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from models.loading import Catalogue
from server.inference import Inference
from server.load.monitor import Monitor
from server.metrics import Metrics
from server.pacing import MonotonicClock
from server.session import Session
from server.start_request import StartRequest
from server.tokens import SessionTokens
from tests.conformance.rows import row
from tests.server.running import START, Caller, Front, Listener, Running, calling, running

pytestmark = pytest.mark.anyio

AUTH, COMMANDS, SPEECH, LIFE = (
    "WebSocket: who may open it",
    "WebSocket: commands",
    "WebSocket: speech",
    "WebSocket: life",
)
SECRET = "a secret of at least thirty-two bytes"

TONE = (8000 * np.sin(np.arange(48_000) * 0.05)).astype("<i2")
"""A second at 48 kHz, which is heard as it is."""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Running]:
    async with running(max_sessions=1000, token_secret=SECRET) as server:
        yield server


async def handshake(address: str, token: str | None) -> tuple[int, str]:
    """Status and code of a handshake that is refused."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address, additional_headers=headers):
            pass
    return refused.value.response.status_code, json.loads(refused.value.response.body or b"")["code"]


async def heard(server: Running, caller: Caller) -> Any:
    """What the session has heard, once the utterance is over."""
    await caller.send("voice_end", event_id="end")
    await caller.event("speak_ended")
    return server.listeners[-1].speech


@row(AUTH, "`Authorization: Bearer <session_token>`", "it opens")
async def test_bearer(server: Front) -> None:
    async with calling(await server.start()) as caller:
        await caller.speaks()


@row(AUTH, "`?session_token=` or `?token=` in the address", "it opens")
async def test_query(server: Front) -> None:
    answer = await server.start()
    for name in ("session_token", "token"):
        async with connect(f"{answer['websocket_address']}?{name}={answer['session_token']}") as socket:
            caller = Caller(socket)
            await caller.send("init", session_id=answer["session_id"], **START)
            await caller.event("session_ready")


@row(AUTH, "neither, but `session_token` in `init`", "it opens")
async def test_token_in_init(server: Front) -> None:
    answer = await server.start()
    async with connect(answer["websocket_address"]) as socket:
        caller = Caller(socket)
        await caller.send("init", session_id=answer["session_id"], session_token=answer["session_token"], **START)
        await caller.event("session_ready")


@row(AUTH, "no token within 10 s (`AVATAR_TOKEN_WAIT_S`), or a first message that brings none", "closed with 1008")
async def test_no_token() -> None:
    async with running(token_wait_s=0.2) as server:
        answer = await server.start()
        for first in (None, '{"command": "heartbeat"}', '{"command": "init", "session_token": "wrong"}'):
            async with connect(answer["websocket_address"]) as socket:
                if first:
                    await socket.send(first)
                await asyncio.wait_for(socket.wait_closed(), 10)
                assert socket.close_code == 1008


@row(AUTH, "a token that is wrong, expired, or another session's", "HTTP 401 `INVALID_TOKEN` at the handshake")
async def test_wrong_token(server: Front) -> None:
    answer, other = await server.start(), await server.start()
    expired = SessionTokens(SECRET, 10, now=lambda: 1_000.0).issue(answer["session_id"])
    for token in ("wrong", expired, other["session_token"]):
        assert await handshake(answer["websocket_address"], token) == (401, "INVALID_TOKEN")


@row(AUTH, "no token, for a session that is not there", "HTTP 401 `INVALID_TOKEN` at the handshake")
async def test_no_session(server: Front) -> None:
    assert await handshake(f"ws://{server.url[7:]}/session/unknown/ws", None) == (401, "INVALID_TOKEN")


@row(AUTH, "the token of a session that has ended, or was another process's", "HTTP 404 `SESSION_NOT_FOUND`")
async def test_ended_session(server: Front) -> None:
    answer = await server.start()
    await server.stop(answer)
    assert await handshake(answer["websocket_address"], answer["session_token"]) == (404, "SESSION_NOT_FOUND")


@row(COMMANDS, "`init` with `session_id`, with `sessionId`, or with neither", "`session_ready`")
async def test_init(server: Front) -> None:
    answer = await server.start()
    for fields in ({"session_id": answer["session_id"]}, {"sessionId": answer["session_id"]}, {}):
        async with calling(answer, init=False) as caller:
            await caller.send("init", **fields, **START)
            await caller.event("session_ready")


@row(COMMANDS, "`init` without `command`", "`session_ready`")
async def test_init_without_command(server: Running) -> None:
    answer = await server.start()
    async with calling(answer, init=False) as caller:
        await caller.socket.send(json.dumps({"session_id": answer["session_id"], **START}))
        await caller.event("session_ready")


@row(COMMANDS, "anything but `init` or `heartbeat` first", "`error` `NOT_INITIALISED`; the socket lives on")
async def test_before_init(server: Running) -> None:
    answer = await server.start()
    async with calling(answer, init=False) as caller:
        await caller.voice(b"\0\0", event_id="early")
        error = await caller.error()
        assert (error["code"], error["event_id"]) == ("NOT_INITIALISED", "early")
        await caller.send("init", **START)
        await caller.event("session_ready")


@row(COMMANDS, "`heartbeat`", "`heartbeat_ack` with its own `event_id` and `timestamp`")
async def test_heartbeat(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.send("heartbeat", event_id="h1", timestamp=1_700_000_000_000)
        answer = {"command": "heartbeat_ack", "event_id": "h1", "timestamp": 1_700_000_000_000}
        assert await caller.event() == answer


@row(COMMANDS, "`state` `idle`, `listen`, `talk`", "the avatar is put in that state")
async def test_state() -> None:
    class Willing(Listener):
        def enter(self, state: str, /) -> None:
            self.told.append(("enter", state))

    async with running(listener=Willing) as server, calling(await server.start()) as caller:
        for value in ("idle", "listen", "talk"):
            await caller.send("state", value=value)
        await caller.speaks()
        assert server.listeners[0].told[:3] == [("enter", "idle"), ("enter", "listen"), ("enter", "talk")]


@row(COMMANDS, "`special` with a JSON action or gesture XML, with or without `event_id`", "the avatar performs it")
async def test_special(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.send("special", content='{"type": "action", "action": "wave"}')
        await caller.send("special", content='<gesture name="nod"/>', event_id="s")
        await caller.speaks()
        assert [what for what, _ in server.listeners[-1].told[:2]] == ["perform", "perform"]


@row(COMMANDS, "`special` with anything else", "`action_ignored` with the reason")
async def test_special_of_another_kind(server: Running) -> None:
    async with calling(await server.start()) as caller:
        for content in ("dance!", "{", ""):
            await caller.send("special", content=content, event_id="s1")
            event = await caller.event("action_ignored", "error")
            assert (event["event"], event["event_id"]) == ("action_ignored", "s1")


@row(COMMANDS, "`voice_interrupt`", "speaking stops; voice that comes later is new speech")
async def test_interrupt(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.voice(TONE.tobytes()[:-1], 48_000)
        await caller.send("voice_interrupt", event_id="i1")
        await caller.event("speak_interrupted")
        await caller.voice(TONE.tobytes(), 48_000)
        assert np.array_equal((await heard(server, caller))[-len(TONE) :], TONE)
        assert server.listeners[-1].told == [("interrupt", "i1"), ("end_speech", "end")]


@row(COMMANDS, "fields that nobody knows", "they are ignored")
async def test_unknown_fields(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.send("heartbeat", event_id="h", mood="good", nested={"a": [1]})
        assert (await caller.event())["event_id"] == "h"


@row(COMMANDS, "an unknown command, no JSON, no object, binary, bad base64", "an `error` event; the socket lives on")
async def test_nonsense(server: Running) -> None:
    async with calling(await server.start()) as caller:
        for message, code in (
            ('{"command": "dance"}', "UNKNOWN_COMMAND"),
            ("{", "INVALID_JSON"),
            ("[]", "VALIDATION_ERROR"),
            ("{}", "VALIDATION_ERROR"),
            (b"\x00", "BINARY_MESSAGE"),
            ('{"command": "voice", "audio": "?", "sampleRate": 24000, "encoding": "PCM16"}', "INVALID_AUDIO"),
            ('{"command": "voice"}', "VALIDATION_ERROR"),
            ('{"command": "state", "value": "asleep"}', "UNKNOWN_STATE"),
        ):
            await caller.socket.send(message)
            assert (await caller.error())["code"] == code
        await caller.speaks()


@row(SPEECH, "`PCM16`, little-endian", "heard sample for sample")
async def test_pcm16(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.voice(TONE.tobytes(), 48_000)
        assert np.array_equal(await heard(server, caller), TONE)


@row(SPEECH, "`PCM8`, unsigned", "heard: 128 is silence")
async def test_pcm8(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.voice(bytes([128, 0, 255]), 48_000, "PCM8")
        assert (await heard(server, caller)).tolist() == [0, -32768, 32512]


@row(SPEECH, "`sample_rate` for `sampleRate`", "understood alike")
async def test_sample_rate(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.send("voice", audio="AQACAA==", sample_rate=48_000, encoding="PCM16", event_id="v")
        assert (await heard(server, caller)).tolist() == [1, 2]


@row(SPEECH, "a WAVE file, labelled `PCM16` 24000", "its own header counts: 8 bit, 8 kHz")
async def test_riff(server: Running) -> None:
    data = bytes([128]) * 4000 + bytes([200]) * 4000
    header = (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    )
    async with calling(await server.start()) as caller:
        await caller.voice(header + b"data" + struct.pack("<I", len(data)) + data, 24_000)
        speech = await heard(server, caller)
        assert abs(len(speech) - 48_000) < 200
        assert np.abs(speech[1000:20_000]).max() < 300
        assert abs(int(np.median(speech[30_000:45_000])) - 72 * 256) < 300


def opus_packets(pcm: Any) -> list[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.format, encoder.layout = av.AudioFormat("s16"), av.AudioLayout("mono")
    encoder.sample_rate, encoder.time_base = 48_000, Fraction(1, 48_000)
    packets: list[Any] = []
    for at in range(0, len(pcm) - 959, 960):
        frame = av.AudioFrame.from_ndarray(pcm[None, at : at + 960], "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, at
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in packets]


@row(SPEECH, "`OPUS`, one raw packet a message", "decoded")
async def test_opus_packets(server: Running) -> None:
    async with calling(await server.start()) as caller:
        for packet in opus_packets(TONE):
            await caller.voice(packet, 48_000, "OPUS")
        speech = await heard(server, caller)
        assert abs(len(speech) - 48_000) <= 960
        assert np.sqrt(np.mean(speech[4800:].astype(float) ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.1)


@row(SPEECH, "Ogg pages with Opus, cut anywhere", "decoded")
async def test_ogg(server: Running, tmp_path: Any) -> None:
    path = str(tmp_path / "speech.ogg")
    with av.open(path, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(TONE[None], "s16", "mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    data = await asyncio.to_thread(lambda: (tmp_path / "speech.ogg").read_bytes())
    async with calling(await server.start()) as caller:
        for at in range(0, len(data), 777):
            await caller.voice(data[at : at + 777], 48_000, "OPUS")
        speech = await heard(server, caller)
        assert abs(len(speech) - 48_000) <= 1920
        assert np.sqrt(np.mean(speech[4800:40_000].astype(float) ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.1)


@row(SPEECH, "another `sampleRate` in each message, from 8000 to 48000", "each is heard at its own length")
async def test_rates(server: Running) -> None:
    rates = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
    async with calling(await server.start()) as caller:
        for rate in rates:
            await caller.voice(np.zeros(rate // 10, "<i2").tobytes(), rate)
        assert abs(len(await heard(server, caller)) - len(rates) * 4800) < 20


@row(
    SPEECH,
    "a rate below 8000 or above 48000, or an unknown encoding",
    "`error` `INVALID_AUDIO`; what came before is kept",
)
async def test_unusable_audio(server: Running) -> None:
    async with calling(await server.start()) as caller:
        await caller.voice(b"\x01\x00", 48_000)
        for rate, encoding in ((7_999, "PCM16"), (48_001, "PCM16"), (24_000, "MP3")):
            await caller.voice(b"\0\0", rate, encoding)
            assert (await caller.error())["code"] == "INVALID_AUDIO"
        assert (await heard(server, caller)).tolist() == [1]


@row(SPEECH, "an odd byte at the end of a message", "it is carried into the next")
async def test_odd_bytes(server: Running) -> None:
    async with calling(await server.start()) as caller:
        speech = TONE.tobytes()
        for piece in (speech[:1001], speech[1001:1002], speech[1002:5555], speech[5555:]):
            await caller.voice(piece, 48_000)
        assert np.array_equal(await heard(server, caller), TONE)


@row(SPEECH, "minutes of speech in a moment", "all of it is heard")
async def test_a_burst(server: Running) -> None:
    speech = np.random.default_rng(0).integers(-9000, 9000, 48_000 * 60).astype("<i2")
    async with calling(await server.start()) as caller:
        for piece in np.split(speech, 6):
            await caller.voice(piece.tobytes(), 48_000)
        assert np.array_equal(await heard(server, caller), speech)


@row(
    SPEECH, "more than `AVATAR_MAX_BACKLOG_S` waits", "the oldest is kept, the newest refused: `warning` `BACKLOG_FULL`"
)
async def test_backlog() -> None:
    async with running(listener=lambda: Listener(capacity_s=1.5)) as server:
        async with calling(await server.start()) as caller:
            await caller.voice(TONE.tobytes(), 48_000)
            await caller.voice(TONE.tobytes(), 48_000, event_id="too much")
            warning = await caller.event("warning")
            assert (warning["code"], warning["event_id"]) == ("BACKLOG_FULL", "too much")
            assert np.array_equal((await heard(server, caller))[:48_000], TONE)


@row(SPEECH, "messages faster than `AVATAR_MAX_MESSAGES_PER_S`", "those before are followed; `warning` `RATE_LIMITED`")
async def test_message_rate() -> None:
    async with running(max_messages_per_s=20) as server, calling(await server.start()) as caller:
        for _ in range(400):
            await caller.send("state", value="listen")
        assert (await caller.event("warning"))["code"] == "RATE_LIMITED"
        assert len(server.listeners[0].told) >= 190


@row(
    SPEECH,
    "a message larger than `AVATAR_MAX_MESSAGE_BYTES`",
    "closed with 1009; the session waits for the next socket",
)
async def test_message_size() -> None:
    async with running(max_message_bytes=100_000) as server:
        answer = await server.start()
        async with calling(answer) as caller:
            await caller.voice(bytes(100_000))
            await asyncio.wait_for(caller.socket.wait_closed(), 10)
            assert caller.socket.close_code == 1009
        async with calling(answer) as caller:
            await caller.speaks()


@row(LIFE, "the socket is lost; the same token and `init` again", "the same session, which goes on where it was")
async def test_reconnect(server: Running) -> None:
    answer = await server.start()
    n_before = len(server.listeners)
    for _ in range(3):
        async with calling(answer) as caller:
            await caller.speaks()
            caller.socket.transport.abort()
    assert len(server.listeners) <= n_before + 1


@row(LIFE, "a second socket with the same token", "it replaces the first, which is closed with 4001")
async def test_replacement(server: Running) -> None:
    answer = await server.start()
    async with calling(answer) as old, calling(answer) as new:
        await asyncio.wait_for(old.socket.wait_closed(), 10)
        assert old.socket.close_code == 4001
        await new.speaks()


@row(LIFE, "no socket for `AVATAR_GRACE_S`", "the session ends, its publishers are left")
async def test_grace() -> None:
    async with running(grace_s=0.3) as server:
        async with calling(await server.start()):
            pass
        await left(server)


@row(LIFE, "no `init` within `AVATAR_NEVER_INITIALISED_S`", "`session_closing` `never_initialised`, closed with 1000")
async def test_never_initialised() -> None:
    async with running(never_initialised_s=1) as server:
        async with calling(await server.start(), init=False) as caller:
            await closes(caller, "never_initialised", 1000)
        await left(server)


@row(
    LIFE,
    "no valid message within `activity_idle_timeout`",
    "`session_closing` `idle`, closed with 1000; heartbeats count",
)
async def test_idle() -> None:
    async with running() as server, calling(await server.start(activity_idle_timeout=1)) as caller:
        for _ in range(5):
            await asyncio.sleep(0.3)
            await caller.send("heartbeat")
            assert "command" in await caller.event()
        await closes(caller, "idle", 1000)


@row(LIFE, "`AVATAR_IDLE_COUNTS=speech`", "heartbeats keep nothing alive")
async def test_idle_counts_speech() -> None:
    async with running(idle_timeout_s=1, idle_counts="speech") as server, calling(await server.start()) as caller:
        beating = asyncio.create_task(beat(caller))
        await closes(caller, "idle", 1000)
        beating.cancel()


@row(LIFE, "`activity_idle_timeout` 0", "silence never ends the session")
async def test_never_idle() -> None:
    async with running(idle_timeout_s=0.3) as server:
        async with calling(await server.start(activity_idle_timeout=0)) as caller:
            await asyncio.sleep(1)
            await caller.speaks()


@row(LIFE, "`AVATAR_LONGEST_SESSION_S` is over", "`session_closing` `longest_session`, closed with 1000")
async def test_longest() -> None:
    async with running(longest_session_s=1) as server, calling(await server.start()) as caller:
        await closes(caller, "longest_session", 1000)


@row(LIFE, "a stop", "`session_closing` `stopped`, closed with 1000")
async def test_stopped(server: Running) -> None:
    answer = await server.start()
    async with calling(answer) as caller:
        await server.stop(answer)
        await closes(caller, "stopped", 1000)


@row(LIFE, "the avatar's performance breaks", "`session_closing` `failed`, closed with 1011; other sessions go on")
async def test_failed() -> None:
    class Breaking(Listener):
        async def run(self) -> None:
            await super().run()
            raise OSError("the encoder is gone")

    async with running(listener=Breaking) as server, calling(await server.start()) as caller:
        server.listeners[0].stop()
        await closes(caller, "failed", 1011)


@row(LIFE, "the server shuts down", "`session_closing` `draining`, closed with 1012: the client goes elsewhere")
async def test_draining() -> None:
    async with running() as server, calling(await server.start()) as caller:
        server.server.should_exit = True
        await closes(caller, "draining", 1012)


async def closes(caller: Caller, reason: str, code: int) -> None:
    assert (await caller.event("session_closing"))["reason"] == reason
    await asyncio.wait_for(caller.socket.wait_closed(), 10)
    assert caller.socket.close_code == code


async def left(server: Running) -> None:
    async with asyncio.timeout(20):
        while len(server.sessions) or not all(one.has_left for one in server.listeners):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def beat(caller: Caller) -> None:
    while True:
        await caller.send("heartbeat")
        await asyncio.sleep(0.2)


@row(
    LIFE, "the machine has too much to do", "`level_changed` with `from` and `to`: fewer mouths are drawn; it speaks on"
)
async def test_who_has_fewer_mouths_is_told(tiny_avatar: Path) -> None:
    loaded = Catalogue([tiny_avatar]).load("tiny")
    monitor = Monitor(Metrics(), lambda: 0.0)
    with Inference() as inference:

        async def open_session(request: StartRequest, session_id: str) -> Session:
            session = Session(session_id, loaded.bundle, loaded.model, inference, [], MonotonicClock())
            session.on_shown = lambda shown: monitor.note(replace(shown, late=True))
            monitor.join(session)
            return session

        async with running(open_session, room=monitor) as server, monitor, calling(await server.start()) as caller:
            for before, after in (("full", "half rate"), ("half rate", "body only")):
                assert await caller.event("level_changed") == {"event": "level_changed", "from": before, "to": after}
            await caller.voice(TONE.tobytes(), rate=48_000)
            await caller.send("voice_end")
            assert (await caller.event("speak_ended"))["played_ms"] == 1000
