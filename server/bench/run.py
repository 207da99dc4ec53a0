"""Runs some sessions for a while and measures them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from avatar.audio import Pcm
from avatar.compositor import Compositor
from avatar.geometry import Size
from avatar.rehearsal import rehearse
from avatar.timeline import Timeline
from models.loading import LoadedAvatar
from models.threads import coming_first
from server.bench.audience import ON_AIR_WITHIN_S, Audience
from server.bench.figures import Figures
from server.bench.speaker import Speaker
from server.bench.stages import CpuByStage, NetworkTimes
from server.inference import Inference
from server.interpreter import keep_time
from server.pacing import MonotonicClock
from server.session import SAMPLE_RATE, Session, SessionOptions

WARM_UP_S = 2.0
"""Everybody speaks for so long before it counts."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        networks: times of the avatar's networks.
        speech: int16 mono at ``sample_rate``; stretches of it are spoken.
        size: of the pictures that are published.
        n_threads: in which mouths are drawn.
    """

    avatar: LoadedAvatar
    networks: NetworkTimes
    speech: Pcm
    sample_rate: int
    size: Size
    n_threads: int
    max_batch: int


async def run(
    subject: Subject,
    n_sessions: int,
    seconds: float,
    audience: Audience,
    progress: Callable[[float, float], None] = lambda done, total: None,
    first_seed: int = 0,
) -> Figures:
    """Measures ``n_sessions`` that all speak for ``seconds``; returns when each has finished its utterance.

    ``progress`` is told how many seconds are over, and of how many. Each session has a seed of its own, from the first.
    """
    bundle = subject.avatar.bundle
    compositor = await asyncio.to_thread(_ready, subject)
    figures, timeline = Figures(n_sessions, str(subject.size)), Timeline(bundle.fps, SAMPLE_RATE)
    async with audience:
        with coming_first(), Inference(subject.n_threads, subject.max_batch) as inference:
            sessions = [
                Session(
                    f"bench-{index}",
                    bundle,
                    subject.avatar.model,
                    inference,
                    audience.publishers(f"bench-{index}", subject.size, timeline),
                    MonotonicClock(),
                    SessionOptions(),
                    compositor=compositor,
                )
                for index in range(n_sessions)
            ]
            async with asyncio.TaskGroup() as tasks:
                for session in sessions:
                    tasks.create_task(session.run())
                await _on_air(sessions)
                await audience.come()
                begins_at = time.monotonic() + WARM_UP_S
                speech, ends_at = (subject.speech, subject.sample_rate), begins_at + seconds
                speakers = [
                    tasks.create_task(Speaker(session, *speech, figures, begins_at, ends_at, seed).run())
                    for seed, session in enumerate(sessions, first_seed)
                ]
                await asyncio.sleep(WARM_UP_S)
                await _measured(figures, subject.networks, inference, audience, ends_at, progress)
                await asyncio.wait(speakers)
                for session in sessions:
                    session.stop()
    return figures


def _ready(subject: Subject) -> Compositor:
    """What makes the pictures, once all is made ready that a server makes ready as soon as it can."""
    compositor = subject.avatar.sizes.at(subject.size)
    rehearse(compositor)
    keep_time()
    return compositor


async def _on_air(sessions: list[Session]) -> None:
    """Sessions go on the air in their own tasks, which tell nobody."""
    async with asyncio.timeout(ON_AIR_WITHIN_S):
        while not all(session.is_on_air for session in sessions):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _measured(
    figures: Figures,
    networks: NetworkTimes,
    inference: Inference,
    audience: Audience,
    ends_at: float,
    progress: Callable[[float, float], None],
) -> None:
    processes, began = [psutil.Process(), *audience.encoders], time.monotonic()
    figures.rss_mb_before = _rss_mb(processes)
    viewers_s, batches, n_encoded = await audience.used_s(), inference.batches.copy(), len(audience.encoded_ms)
    cpu = CpuByStage(networks, audience.encoders)
    while (left_s := ends_at - time.monotonic()) > 0:
        await asyncio.sleep(min(left_s, 0.5))
        progress(time.monotonic() - began, ends_at - began)
    figures.cpu_seconds_per_second, figures.cpu = cpu.read()
    figures.seconds = time.monotonic() - began
    figures.batches = inference.batches - batches
    figures.encoded_ms = audience.encoded_ms[n_encoded:]
    figures.rss_mb = _rss_mb(processes)
    used_s = await audience.used_s()
    if used_s is not None and viewers_s is not None:
        figures.viewers_cpu = (used_s - viewers_s) / figures.seconds


def _rss_mb(processes: Sequence[psutil.Process]) -> float:
    return sum(process.memory_info().rss for process in processes) / 2**20
