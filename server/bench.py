"""Real sessions in one process, timed: speech looped from a file, real inference, composition and publishing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import psutil

from avatar.audio import Pcm
from avatar.bundle import AvatarBundle
from avatar.lipsync import LipSyncModel
from server.inference import Inference
from server.pacing import MonotonicClock
from server.publisher import Publisher
from server.session import FADE_MS, Event, Session, SessionOptions, Shown
from server.speech_audio import SpeechDecoder

CHUNK_S = 0.5
PACE = 5
"""Speech comes in pieces of ``CHUNK_S``, ``PACE`` times faster than it is spoken."""

UTTERANCE_S = (1.5, 3.0)
PAUSE_S = (0.6, 1.0)
EVERY_NTH_INTERRUPTED = 4

MakePublishers = Callable[[str, AvatarBundle], Sequence[Publisher]]


@dataclass(slots=True)
class Figures:
    """What was measured, over all sessions; times in milliseconds."""

    frames: int = 0
    late_frames: int = 0
    repeated_frames: int = 0
    lateness_ms: list[float] = field(default_factory=list)
    first_frame_ms: list[float] = field(default_factory=list)
    interrupt_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds_per_second: float = 0.0
    rss_mb: float = 0.0

    def as_json(self, sessions: int) -> dict[str, object]:
        return {
            "sessions": sessions,
            "seconds": round(self.seconds, 1),
            "frames": self.frames,
            "late_frames": self.late_frames,
            "repeated_frames": self.repeated_frames,
            "lateness_ms": percentiles(self.lateness_ms, (50, 95, 99)),
            "first_frame_ms": percentiles(self.first_frame_ms, (50, 99)),
            "interrupt_ms": percentiles(self.interrupt_ms, (50, 99)),
            "utterances": len(self.first_frame_ms),
            "interrupts": len(self.interrupt_ms),
            "cpu_seconds_per_second": round(self.cpu_seconds_per_second, 3),
            "rss_mb": round(self.rss_mb, 1),
        }


def percentiles(values: Sequence[float], which: Sequence[int]) -> dict[str, float | None]:
    """By name (p50 …); None where nothing was measured."""
    return {f"p{p}": round(float(np.percentile(values, p)), 2) if values else None for p in which}


class Speaker:
    """Drives one session as a client would, and measures it.

    Args:
        speech: int16 mono at ``sample_rate``; stretches of it are spoken.
        seed: of the random stretches, pauses and interruptions.
    """

    def __init__(self, session: Session, speech: Pcm, sample_rate: int, figures: Figures, seed: int) -> None:
        self._session = session
        self._speech = speech
        self._sample_rate = sample_rate
        self._figures = figures
        self._random = random.Random(seed)  # noqa: S311 - no secrets are made of it
        self._over = asyncio.Event()
        self._interrupted_at: float | None = None
        session.emit = self._emit
        session.on_shown = self._on_shown

    async def run(self, ends_at: float) -> None:
        """Speaks until ``time.monotonic()`` is ``ends_at``."""
        await asyncio.sleep(self._random.uniform(0, 1))
        n_spoken = 0
        while time.monotonic() < ends_at:
            n_spoken += 1
            self._over.clear()
            await self._say(self._random.uniform(*UTTERANCE_S), interrupted=n_spoken % EVERY_NTH_INTERRUPTED == 0)
            await self._over.wait()
            await asyncio.sleep(self._random.uniform(*PAUSE_S))

    async def _say(self, seconds: float, interrupted: bool) -> None:
        n = min(int(seconds * self._sample_rate), len(self._speech))
        start = self._random.randrange(len(self._speech) - n + 1)
        decoder, piece = SpeechDecoder(self._session.sample_rate), int(CHUNK_S * self._sample_rate)
        for at in range(start, start + n, piece):
            data = self._speech[at : min(at + piece, start + n)].tobytes()
            for pcm in decoder.hear(data, self._sample_rate, "PCM16"):
                self._session.hear(pcm, "bench")
            await asyncio.sleep(CHUNK_S / PACE)
        self._session.hear(decoder.end(), "bench")
        self._session.end_speech()
        if interrupted:
            await asyncio.sleep(self._random.uniform(0.1, 0.8))
            self._interrupted_at = time.monotonic()
            self._session.interrupt()

    def _emit(self, event: Event) -> None:
        if event["event"] in ("speak_ended", "speak_interrupted"):
            self._over.set()

    def _on_shown(self, shown: Shown) -> None:
        figures = self._figures
        figures.frames += 1
        figures.repeated_frames += shown.repeated
        figures.late_frames += shown.late
        figures.lateness_ms.append(shown.lateness_ns / 1e6)
        if shown.waited_ns is not None:
            figures.first_frame_ms.append(shown.waited_ns / 1e6)
        if self._interrupted_at and not shown.frame.sound[-1]:
            # The fade at the frame's begin is the last that is heard.
            figures.interrupt_ms.append(1000 * (time.monotonic() - self._interrupted_at) + FADE_MS)
            self._interrupted_at = None


async def bench(
    bundle: AvatarBundle,
    model: LipSyncModel | None,
    speech: Pcm,
    sample_rate: int,
    n_sessions: int,
    seconds: float,
    publishers: MakePublishers,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Figures:
    """Runs ``n_sessions`` for ``seconds`` and until each has finished its utterance.

    ``progress`` is told the seconds that are over.
    """
    figures, process = Figures(), psutil.Process()
    with Inference() as inference:
        sessions = [
            Session(
                f"bench-{index}",
                bundle,
                model,
                inference,
                publishers(f"bench-{index}", bundle),
                MonotonicClock(),
                SessionOptions(),
            )
            for index in range(n_sessions)
        ]
        begin, cpu = time.monotonic(), process.cpu_times()
        ends_at = begin + seconds
        async with asyncio.TaskGroup() as tasks:
            for session in sessions:
                tasks.create_task(session.run())
            speakers = [
                tasks.create_task(Speaker(session, speech, sample_rate, figures, seed).run(ends_at))
                for seed, session in enumerate(sessions)
            ]
            while pending := [speaker for speaker in speakers if not speaker.done()]:
                await asyncio.wait(pending, timeout=0.5)
                progress(min(time.monotonic() - begin, seconds))
            used, elapsed = process.cpu_times(), time.monotonic() - begin
            for session in sessions:
                session.stop()
    figures.seconds = elapsed
    figures.cpu_seconds_per_second = (used.user + used.system - cpu.user - cpu.system) / elapsed
    figures.rss_mb = process.memory_info().rss / 2**20
    return figures
