"""Who speaks through a session as a client would, and measures what it sees and hears."""

from __future__ import annotations

import asyncio
import random
import time

from avatar.audio import Pcm
from server.bench.figures import Figures
from server.session import FADE_MS, Event, Session, Shown
from server.speech_audio import SpeechDecoder

CHUNK_S = 0.5
PACE = 5
"""Speech comes in pieces of ``CHUNK_S``, ``PACE`` times faster than it is spoken."""

UTTERANCE_S = (2.0, 4.0)
PAUSE_S = (0.6, 1.0)
EVERY_NTH_INTERRUPTED = 4


class Speaker:
    """Drives one session.

    Args:
        speech: int16 mono at ``sample_rate``; stretches of it are spoken.
        figures: where to what is measured between ``begins_at`` and ``ends_at`` (``time.monotonic()``).
        seed: of the random stretches, pauses and interruptions.
    """

    def __init__(
        self,
        session: Session,
        speech: Pcm,
        sample_rate: int,
        figures: Figures,
        begins_at: float,
        ends_at: float,
        seed: int,
    ) -> None:
        self._session = session
        self._speech = speech
        self._sample_rate = sample_rate
        self._figures = figures
        self._begins_at = begins_at
        self._ends_at = ends_at
        self._random = random.Random(seed)  # noqa: S311 - no secrets are made of it
        self._over = asyncio.Event()
        self._interrupted_at: float | None = None
        session.emit = self._emit
        session.on_shown = self._on_shown

    async def run(self) -> None:
        """Speaks until ``ends_at``, and to the end of what it says then."""
        await asyncio.sleep(self._random.uniform(0, 1))
        n_spoken = 0
        while time.monotonic() < self._ends_at:
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
        now, figures, interrupted_at = time.monotonic(), self._figures, self._interrupted_at
        silent = not shown.frame.sound[-1]
        if interrupted_at and silent:
            self._interrupted_at = None
        if not self._begins_at <= now < self._ends_at:
            return
        figures.frames += 1
        figures.repeated_frames += shown.repeated
        figures.late_frames += shown.late
        figures.spoken_frames += bool(shown.frame.sound.any())
        figures.lateness_ms.append(shown.lateness_ns / 1e6)
        if shown.waited_ns is not None:
            figures.first_frame_ms.append(shown.waited_ns / 1e6)
        if interrupted_at and silent:
            # The fade at the frame's begin is the last that is heard.
            figures.interrupt_ms.append(1000 * (now - interrupted_at) + FADE_MS)
