"""Sessions in Agora channels, from the WebSocket to what reaches the SDK's native library."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar.audio import Pcm
from models.loading import Catalogue
from server.metrics import Metrics
from server.publisher import RenderedFrame
from server.session import Session, Shown
from server.settings import Settings
from server.start_request import StartRequest
from server.wiring import Stage
from tests.server.agora.channels import Channel, Channels
from tests.server.running import START, Caller, Running, calling, running
from tests.server.test_conversation import at_48k

pytestmark = pytest.mark.anyio

RATE = 24_000
SPEECH_S = int(os.environ.get("AGORA_SPEECH_S", "4"))
"""Seconds of speech; a minute takes a minute."""


@dataclass
class Theatre:
    """A server that publishes into channels, and what its sessions have shown."""

    server: Running
    channels: Channels
    shown: dict[str, list[RenderedFrame]] = field(default_factory=dict)

    async def start(self, channel: str, **agora: Any) -> dict[str, str]:
        settings = {**START["agora_settings"], "channel": channel, **agora}
        return await self.server.start(avatar_id="tiny", agora_settings=settings, video_width=128, video_height=128)

    async def metrics(self) -> str:
        return (await self.server.http.get("/metrics")).text


@pytest.fixture(scope="module")
async def theatre(tiny_avatar: Path, channels: Channels) -> AsyncIterator[Theatre]:
    async with theatre_in(tiny_avatar, channels) as theatre:
        yield theatre


@asynccontextmanager
async def theatre_in(tiny_avatar: Path, channels: Channels) -> AsyncIterator[Theatre]:
    metrics = Metrics()
    settings = Settings(publishers=("agora",), host="127.0.0.1", port=0, overload="ignored")
    stage = Stage(settings, Catalogue([tiny_avatar.parent], "auto", 1), metrics)
    shown: dict[str, list[RenderedFrame]] = {}

    async def open_session(request: StartRequest, session_id: str) -> Session:
        session = await stage.open(request, session_id)
        count, frames = session.on_shown, shown.setdefault(request.agora.channel, [])

        def keep(one: Shown) -> None:
            count(one)
            frames.append(one.frame)

        session.on_shown = keep
        return session

    async with (
        stage,
        running(open_session, known=("tiny",), metrics=metrics, may_start=stage.may_start, drain_s=8) as server,
    ):
        yield Theatre(server, channels, shown)


def speech(seconds: float, seed: int) -> Pcm:
    """Syllables, int16 at ``RATE``; what is between them is low, but never still."""
    n = int(seconds * RATE)
    t = np.arange(n) / RATE
    loud = np.clip(np.sin(2 * np.pi * 1.3 * t + seed) + 0.4, 0.02, 1)
    noise = np.random.default_rng(seed).normal(0, 900, n)
    return np.asarray(loud * (7000 * np.sin(2 * np.pi * (140 + 20 * seed) * t) + noise), "<i2")


async def say(caller: Caller, pcm: Pcm) -> None:
    """In pieces of half a second, five times faster than it is spoken; returns when it was spoken."""
    for at in range(0, len(pcm), RATE // 2):
        await caller.voice(pcm[at : at + RATE // 2].tobytes(), RATE)
        await asyncio.sleep(0.1)
    await caller.send("voice_end", event_id="end")
    async with asyncio.timeout(len(pcm) / RATE + 60):
        while "speak_ended" not in str(await caller.socket.recv()):
            pass


def is_performed(there: Channel, shown: list[RenderedFrame]) -> bool:
    """Whether all sound in a channel is what its session performed at that time, in order."""
    performed = np.concatenate([frame.sound for frame in shown])
    blocks = there.of("S")
    in_order = all(one.ms < after.ms for one, after in pairwise(blocks))
    return in_order and all(one.data == performed[48 * one.ms :][:480].tobytes() for one in blocks)


async def test_speech_reaches_the_channel_sample_for_sample_and_picture_for_picture(theatre: Theatre) -> None:
    channel, spoken = theatre.channels.name(), speech(SPEECH_S, 1)
    answer = await theatre.start(channel)
    async with calling(answer) as caller:
        await say(caller, spoken)
        await asyncio.sleep(1)  # on a busy machine the channel may be a little later than the session
        await theatre.server.stop(answer)
    there, shown = theatre.channels.read(channel), theatre.shown[channel]
    pictures, blocks = there.of("P"), there.of("S")
    assert len(shown) - 1 <= len(pictures) <= len(shown)
    assert [one.ms for one in pictures] == [40 * frame.tick.index for frame in shown[: len(pictures)]]
    assert [one.ms for one in pictures] == [40 * n for n in range(len(pictures))], "25 a second, none missing"
    for sent, frame in zip(pictures, shown, strict=False):
        assert np.array_equal(sent.picture, frame.picture), f"frame {frame.tick.index} is not as it was composed"
    assert len({one.data for one in pictures}) > len(pictures) // 4, "the avatar moves"
    assert is_performed(there, shown)
    voiced = [one.ms for one in blocks if any(one.data)]
    assert voiced == list(range(voiced[0], voiced[-1] + 10, 10)), "silence may be left out to catch up, speech never"
    heard = there.sound[np.flatnonzero(there.sound)[0] :]
    wanted = np.trim_zeros(at_48k(spoken))
    assert np.array_equal(heard[: len(wanted)], wanted), "every sample once, in order"
    assert not heard[len(wanted) :].any()
    assert there.most_queued_ms <= 60
    of_picture = {one.ms: one.arrived_ns for one in pictures}
    apart = [abs(one.arrived_ns - of_picture[one.ms]) / 1e6 for one in blocks if one.ms in of_picture]
    assert np.median(apart) < 5, "sound goes beside its picture"


async def test_two_sessions_of_different_apps_and_uid_modes_at_once(theatre: Theatre) -> None:
    places: list[tuple[str, dict[str, Any], Pcm]] = [
        (theatre.channels.name(), {"app_id": "one-app", "uid": "1001", "enable_string_uid": False}, speech(2, 2)),
        (theatre.channels.name(), {"app_id": "two-app", "uid": "ava", "enable_string_uid": True}, speech(2, 3)),
    ]

    async def talk(channel: str, agora: dict[str, Any], pcm: Pcm) -> None:
        answer = await theatre.start(channel, **agora)
        async with calling(answer) as caller:
            await say(caller, pcm)
            await asyncio.sleep(1)
            await theatre.server.stop(answer)

    await asyncio.gather(*(talk(*place) for place in places))
    for channel, agora, pcm in places:
        there, wanted = theatre.channels.read(channel), np.trim_zeros(at_48k(pcm))
        assert there.calls[0].startswith(
            f"initialize app_id={agora['app_id']} string_uid={int(agora['enable_string_uid'])} "
        )
        assert there.called("connect")[0].endswith(f"channel={channel} uid={agora['uid']}")
        heard = there.sound[np.flatnonzero(there.sound)[0] :]
        assert np.array_equal(heard[: len(wanted)], wanted)


async def test_a_client_is_told_why_a_channel_was_not_joined_though_it_connects_later(theatre: Theatre) -> None:
    channel = theatre.channels.name()
    theatre.channels.script(channel, "0 disconnected 8")
    answer = await theatre.start(channel)
    await asyncio.sleep(1)
    async with calling(answer, init=False) as caller:
        error = await caller.error()
        assert error["code"] == "CHANNEL_INVALID_TOKEN"
        assert (await caller.event("session_closing"))["reason"] == "failed"
    assert 'avatar_channel_events_total{code="CHANNEL_INVALID_TOKEN"} 1.0' in await theatre.metrics()


async def test_a_crash_in_one_channel_disturbs_no_other(theatre: Theatre) -> None:
    crashing, quiet = theatre.channels.name(), theatre.channels.name()
    theatre.channels.script(crashing, "0 connected", "600 segfault", nth=1)
    first, second = await theatre.start(crashing), await theatre.start(quiet)
    async with calling(first) as one, calling(second) as two:
        await asyncio.gather(say(one, speech(3, 4)), say(two, speech(3, 5)))
        await theatre.channels.until(crashing, 2, lambda there: bool(there.of("P")))
        await say(one, speech(1, 6))
        await theatre.server.stop(first)
        await theatre.server.stop(second)
    there = theatre.channels.read(quiet)
    assert theatre.channels.n_joins(quiet) == 1
    assert there.sound.any()
    assert is_performed(there, theatre.shown[quiet])
    assert theatre.channels.read(crashing, 2).sound.any(), "it speaks again"


async def test_a_fresh_init_renews_the_token(theatre: Theatre) -> None:
    channel = theatre.channels.name()
    theatre.channels.script(channel, "0 connected", "0 will_expire")
    answer = await theatre.start(channel)
    async with calling(answer) as caller:
        while (await caller.event("warning"))["code"] != "TOKEN_WILL_EXPIRE":
            pass
        fresh = {**START["agora_settings"], "channel": channel, "token": "fresh"}
        await caller.send("init", session_id=answer["session_id"], **{**START, "agora_settings": fresh})
        await caller.speaks()
        await theatre.server.stop(answer)
    assert theatre.channels.read(channel).called("renew_token") == ["renew_token fresh"]


async def test_a_uid_that_is_no_number_is_refused_in_numeric_mode(theatre: Theatre) -> None:
    agora = {**START["agora_settings"], "uid": "ava"}
    body = {**START, "avatar_id": "tiny", "agora_settings": agora}
    response = await theatre.server.http.post("/session/start", json=body)
    assert response.status_code == 400
    assert "enable_string_uid" in response.json()["message"]


async def test_figures_name_no_session(theatre: Theatre) -> None:
    text = await theatre.metrics()
    assert re.search(r'avatar_channel_frames_total\{fate="pushed"\} [1-9]', text)
    assert "channel-" not in text
    assert "avatar_channels 0.0" in text
