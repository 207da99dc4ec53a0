"""Figures of the Agora publisher over the stand-in: ``python -m tests.server.agora.measure cost|rejoin|latency``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil

from avatar.geometry import Size
from avatar.timeline import Timeline
from server.publisher import RenderedFrame
from server.publishers.agora.publisher import AgoraPublisher
from tests.server.agora.channels import Channels
from tests.server.agora.sdk import sdk_folder
from tests.server.agora.test_agora_publisher import air
from tests.server.agora.test_agora_session import RATE, speech, theatre_in
from tests.server.running import calling
from tests.server.show import Show
from tests.tiny_avatar import make_tiny_avatar


async def cost(channels: Channels, seconds: int = 30) -> str:
    """CPU of raw 720x720 at 25 a second: this process, which only publishes, and its child."""
    show, on = Show(Size(720, 720), Timeline(Fraction(25), 48_000)), air(channels)
    kept = list(show.frames(25))
    async with on.publisher(show) as publisher:
        assert publisher.pid
        await _publish(publisher, show, kept, 50)
        parent, child = psutil.Process(), psutil.Process(publisher.pid)
        before = [sum(one.cpu_times()[:2]) for one in (parent, child)]
        await _publish(publisher, show, kept, 25 * seconds, first=50)
        after = [sum(one.cpu_times()[:2]) for one in (parent, child)]
    used = [(b - a) / seconds for a, b in zip(before, after, strict=True)]
    dropped = on.figure("frames_total", fate="dropped")
    return f"{sum(used):.3f} CPU-s/s (parent {used[0]:.3f}, child {used[1]:.3f}); {dropped:.0f} frames dropped"


async def _publish(publisher: AgoraPublisher, show: Show, kept: list[RenderedFrame], n: int, first: int = 0) -> None:
    began = time.monotonic()
    for k in range(n):
        await asyncio.sleep(max(0.0, began + k / 25 - time.monotonic()))
        frame = kept[k % len(kept)]
        publisher.publish(RenderedFrame(show.timeline.tick(first + k), 0, frame.picture, frame.sound))


async def rejoin(channels: Channels) -> str:
    """From SIGKILL of the child to the first sound of the next one in the channel, five times."""
    on, gaps = air(channels), []
    async with on.publisher() as publisher, on.showing(publisher):
        for n in range(1, 6):
            await channels.until(on.channel, n, lambda there: len(there.of("P")) > 30)
            assert publisher.pid
            os.kill(publisher.pid, signal.SIGKILL)
            killed = time.monotonic_ns()
            there = await channels.until(on.channel, n + 1, lambda there: bool(there.of("S")))
            gaps.append((there.of("S")[0].arrived_ns - killed) / 1e9)
    return ", ".join(f"{gap:.2f}" for gap in gaps) + " s"


async def latency(channels: Channels, n: int = 20) -> str:
    """From `voice` received by a server to its first block at the SDK."""
    sent = []
    with tempfile.TemporaryDirectory() as folder:
        avatar = make_tiny_avatar(Path(folder) / "tiny")
        async with theatre_in(avatar, channels) as theatre:
            channel = channels.name()
            answer = await theatre.start(channel)
            async with calling(answer) as caller:
                await channels.until(channel, 1, lambda there: bool(there.of("S")))
                for seed in range(n):
                    pcm = speech(1.0, seed)
                    sent.append(time.monotonic_ns())
                    await caller.voice(pcm.tobytes(), RATE)
                    await caller.send("voice_end", event_id="end")
                    while "speak_ended" not in str(await caller.socket.recv()):
                        pass
                    await asyncio.sleep(1.0 + seed % 7 / 50)
                await theatre.server.stop(answer)
    voiced = [one.arrived_ns for one in channels.read(channel).of("S") if any(one.data)]
    waited = [(next(ns for ns in voiced if ns > begin) - begin) / 1e6 for begin in sent]
    p50, p95 = np.percentile(waited, (50, 95))
    return f"median {p50:.0f} ms, p95 {p95:.0f} ms over {n} utterances"


COMMANDS: dict[str, Callable[[Channels], Awaitable[str]]] = {"cost": cost, "rejoin": rejoin, "latency": latency}


async def main() -> None:
    sys.path.insert(0, str(sdk_folder()))
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"STANDIN_FOLDER": folder, "STANDIN_LIGHT": "1"}
        for name in sys.argv[1:] or COMMANDS:
            print(f"{name}: {await COMMANDS[name](Channels(Path(folder)))}", flush=True)  # noqa: T201
            load = os.getloadavg()[0]
            print(f"  load {load:.1f} on {os.cpu_count()} cores", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
