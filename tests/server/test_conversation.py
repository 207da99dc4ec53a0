"""The real session behind the real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest

from avatar.audio import Pcm
from models.loading import Catalogue
from server.inference import Inference
from server.pacing import MonotonicClock
from server.publisher import RenderedFrame
from server.session import Session
from server.speech_audio import SpeechDecoder
from server.start_request import StartRequest
from tests.server.running import Caller, Running, calling, running

pytestmark = pytest.mark.anyio

RATE = 24_000
RANDOM = np.random.default_rng(3)
SPEECH = (9000 * np.sin(np.arange(RATE) * 0.05) + RANDOM.normal(0, 900, RATE)).astype("<i2")


@dataclass
class Screen:
    """Keeps every sound that is published."""

    sounds: list[Pcm] = field(default_factory=list)
    is_on: bool = False

    async def __aenter__(self) -> Self:
        self.is_on = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_on = False

    def publish(self, frame: RenderedFrame) -> None:
        self.sounds.append(frame.sound)

    def flush(self) -> None: ...

    @property
    def heard(self) -> Pcm:
        """All but the frames in which nobody speaks: before, after, and where speech had to be waited for."""
        return np.trim_zeros(np.concatenate([sound for sound in self.sounds if sound.any()]))


@dataclass
class Theatre:
    server: Running
    screens: list[Screen]

    async def start(self) -> dict[str, str]:
        return await self.server.start(avatar_id="tiny")


@pytest.fixture(scope="module")
async def theatre(tiny_avatar: Path) -> AsyncIterator[Theatre]:
    catalogue, screens = Catalogue([tiny_avatar.parent], "auto", 1), list[Screen]()
    with Inference() as inference:

        async def open_session(request: StartRequest, session_id: str) -> Session:
            loaded = await asyncio.to_thread(catalogue.load, request.avatar_id)
            screens.append(Screen())
            return Session(session_id, loaded.bundle, loaded.model, inference, [screens[-1]], MonotonicClock())

        async with running(open_session, known=("tiny",)) as server:
            yield Theatre(server, screens)


def at_48k(pcm: Pcm) -> Pcm:
    decoder = SpeechDecoder(48_000)
    return np.concatenate([*decoder.hear(pcm.tobytes(), RATE, "PCM16"), decoder.end()])


async def say(caller: Caller, piece_s: float, every_s: float) -> None:
    n = int(piece_s * RATE)
    started = asyncio.get_running_loop().time()
    for number, at in enumerate(range(0, len(SPEECH), n)):
        await asyncio.sleep(started + number * every_s - asyncio.get_running_loop().time())
        await caller.voice(SPEECH[at : at + n].tobytes(), RATE)
    await caller.send("voice_end", event_id="end")


@pytest.mark.parametrize(
    ("piece_s", "every_s"),
    [pytest.param(1, 0, id="whole"), pytest.param(0.5, 0.1, id="5x"), pytest.param(0.02, 0.02, id="real time")],
)
async def test_the_published_sound_is_the_speech_however_it_arrives(
    theatre: Theatre, piece_s: float, every_s: float
) -> None:
    answer = await theatre.start()
    async with calling(answer) as caller:
        await say(caller, piece_s, every_s)
        assert (await caller.event("speak_started"))["event_id"] == "v"
        assert (await caller.event("speak_ended"))["played_ms"] == 1000
        await theatre.server.stop(answer)
    screen = theatre.screens[-1]
    assert not screen.is_on
    assert np.array_equal(screen.heard, np.trim_zeros(at_48k(SPEECH)))


async def test_an_interruption_ends_the_speech_and_the_next_is_heard_whole(theatre: Theatre) -> None:
    answer = await theatre.start()
    async with calling(answer) as caller:
        await caller.voice(np.tile(SPEECH, 30).tobytes(), RATE)
        await caller.event("speak_started")
        await asyncio.sleep(0.2)
        await caller.send("voice_interrupt", event_id="i")
        interrupted = await caller.event("speak_interrupted", "speak_ended")
        assert interrupted["event"] == "speak_interrupted"
        assert 0 < interrupted["played_ms"] < 30_000
        screen = theatre.screens[-1]
        await asyncio.sleep(0.2)
        screen.sounds.clear()
        await say(caller, 0.5, 0)
        await caller.event("speak_ended")
        await theatre.server.stop(answer)
    assert np.array_equal(screen.heard, np.trim_zeros(at_48k(SPEECH)))


async def test_states_and_gestures_are_shown(theatre: Theatre) -> None:
    answer = await theatre.start()
    async with calling(answer) as caller:
        await caller.send("state", value="listen")
        assert (await caller.event("state_changed"))["to"] == "listen"
        await caller.send("special", content='{"type": "action", "action": "nod"}')
        assert (await caller.event("action_started"))["name"] == "NOD"
        assert (await caller.event("action_ended"))["name"] == "NOD"
        await caller.send("special", content='<gesture name="fly"/>')
        ignored = await caller.event("action_ignored")
        assert ignored["name"] == "fly"
        content = '<bml><head id="h" lexeme="SMILE" amount="1" start="0.2"/><wait start="h:end+x" duration="1"/></bml>'
        await caller.send("special", content=content, event_id="s1")
        warnings = [await caller.event("warning") for _ in range(2)]
        assert [one["code"] for one in warnings] == ["ATTRIBUTE_IGNORED", "ATTRIBUTE_WRONG"]
        assert {one["event_id"] for one in warnings} == {"s1"}
        smile = {"name": "SMILE", "id": "h", "event_id": "s1"}
        assert await caller.event("action_started") == {"event": "action_started", **smile}
        assert await caller.event("action_ended") == {"event": "action_ended", **smile}
        await caller.speaks()
        await theatre.server.stop(answer)


async def test_bad_messages_do_not_disturb_the_speech(theatre: Theatre) -> None:
    answer = await theatre.start()
    async with calling(answer) as caller:
        half = len(SPEECH) // 2
        await caller.voice(SPEECH[:half].tobytes(), RATE)
        for bad in ("{", '{"command": "dance"}', b"\x00", '{"command": "voice", "audio": "?"}'):
            await caller.socket.send(bad)
            await caller.error()
        await caller.voice(b"", 7_000)
        await caller.voice(b"samples", 7_000)
        await caller.error()
        await caller.voice(SPEECH[half:].tobytes(), RATE)
        await caller.send("voice_end")
        await caller.event("speak_ended")
        await theatre.server.stop(answer)
    assert np.array_equal(theatre.screens[-1].heard, np.trim_zeros(at_48k(SPEECH)))
