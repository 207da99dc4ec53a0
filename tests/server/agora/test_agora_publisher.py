"""The Agora publisher: a real child process, the real SDK's Python layer, and a stand-in for the native library."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from avatar.errors import AvatarError
from avatar.geometry import Size
from avatar.timeline import Timeline
from server.publishers.agora.figures import ChannelFigures
from server.publishers.agora.publisher import AgoraPublisher, Place
from server.start_request import AgoraSettings, StartRequest
from tests.server.agora.channels import Channels
from tests.server.show import Show

pytestmark = pytest.mark.anyio

SHOW = Show(Size(128, 96), Timeline(Fraction(25), 48_000))
TOKEN = "a-token-that-nobody-may-read"


@dataclass
class Air:
    """One publisher, fed in real time."""

    channel: str
    request: StartRequest
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    events: list[dict[str, object]] = field(default_factory=list)
    failures: list[AvatarError] = field(default_factory=list)
    n_shown: int = 0

    def publisher(self, show: Show = SHOW, **options: Any) -> AgoraPublisher:
        place = Place(self.request, show.size, show.timeline, options.pop("encoded", False))
        figures = ChannelFigures(self.registry)
        return AgoraPublisher(self.channel, place, figures, self.events.append, self.failures.append, **options)

    async def show(self, publisher: AgoraPublisher, n: int, show: Show = SHOW) -> None:
        """Publishes the next ``n`` frames, each when it is due."""
        began, first = time.monotonic(), self.n_shown
        for frame in show.frames(n, first):
            due = began + show.timeline.start_ns(frame.tick.index - first) / 1e9
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            publisher.publish(frame)
            self.n_shown += 1

    def codes(self, event: str) -> list[object]:
        return [one.get("code", one.get("state")) for one in self.events if one["event"] == event]

    def figure(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"avatar_channel_{name}", labels) or 0.0

    async def told(self, event: str, code: str, timeout_s: float = 10) -> None:
        """Until the client was told this code or state."""
        end = time.monotonic() + timeout_s
        while code not in self.codes(event):
            assert time.monotonic() < end, f"{code} was not told; told were {self.events}"
            await asyncio.sleep(0.02)


def air(channels: Channels, **changes: Any) -> Air:
    channel = channels.name()
    agora = AgoraSettings(app_id="an-app-id", channel=channel, uid="1001", enable_string_uid=False, token=TOKEN)
    request = StartRequest("tiny", "medium", "v1", "H264", agora)
    agora_changes = {name: changes.pop(name) for name in ("app_id", "uid", "enable_string_uid") if name in changes}
    return Air(channel, replace(request, agora=replace(agora, **agora_changes), **changes))


async def test_every_frame_reaches_the_channel_once_in_order_and_in_step(channels: Channels) -> None:
    on = air(channels)
    async with on.publisher() as publisher:
        await on.show(publisher, 50)
        await asyncio.sleep(0.3)
    there = channels.read(on.channel)
    assert [one.ms for one in there.of("P")] == [40 * n for n in range(50)]
    assert [one.ms for one in there.of("S")] == [10 * n for n in range(200)]
    assert np.array_equal(there.sound, SHOW.sound_of(50))
    for sent, frame in zip(there.of("P"), SHOW.frames(50), strict=True):
        assert np.array_equal(sent.picture, frame.picture)
    assert there.most_queued_ms <= 60
    assert there.calls[0] == "initialize app_id=an-app-id string_uid=0 area=0xffffffff video=1 device=0"
    assert f"connect token={TOKEN} channel={on.channel} uid=1001" in there.calls
    assert there.calls[-3:] == ["disconnect", "destroy", "release service"]
    assert not any("before connected" in call for call in there.calls)
    assert on.events == [{"event": "channel_state", "state": "joined"}]
