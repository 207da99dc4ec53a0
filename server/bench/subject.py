"""What the command line asks to measure, made ready, and the measuring of it."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.loading import Catalogue
from models.speech_files import read_speech, resampled
from server.bench.audience import audience_of, check_audience
from server.bench.figures import Figures
from server.bench.run import Subject, run
from server.bench.search import Found, find_capacity
from server.bench.stages import NetworkTimes
from server.errors import SettingsError
from server.inference import threads_for
from server.video_size import SHORTER_SIDE, size_of_quality

SPEECH_RATE = 24_000
"""What most agents send, in hertz."""

Progress = Callable[[float, float], None]
Say = Callable[[str], None]


def subject_of(
    folders: Sequence[Path],
    avatar_id: str,
    quality: str,
    speech: Sequence[Path],
    runtime: str = "auto",
    threads: int = 0,
    cores: float | None = None,
) -> Subject:
    """An avatar, loaded, and what it is to say.

    Args:
        cores: as ``threads_for`` takes them.

    Raises:
        AvatarError: it cannot be had, a file holds no speech, or there is no such quality.
    """
    check_quality(quality)
    networks, n_threads = NetworkTimes(), threads_for(threads, cores)
    catalogue = Catalogue(folders, runtime, at_once=n_threads, watch=networks.watch)
    avatar = catalogue.load(avatar_id)
    pcm = np.concatenate([resampled(*read_speech(path), SPEECH_RATE) for path in speech])
    size = size_of_quality(quality, avatar.bundle.size)
    return Subject(avatar, networks, pcm, SPEECH_RATE, size, n_threads, catalogue.max_batch)


def check_quality(quality: str) -> None:
    """Raises SettingsError: there is no such quality."""
    if quality not in SHORTER_SIDE:
        raise SettingsError(f"--quality is '{quality}', but must be one of {', '.join(SHORTER_SIDE)}")


class Measuring(ABC):
    """Runs of sessions that all show the same."""

    @abstractmethod
    async def run(self, n_sessions: int, seconds: float, progress: Progress) -> Figures:
        """Figures of so many sessions over so many seconds."""

    async def ran(self, n_sessions: int, seconds: float, progress: Progress) -> Found:
        """One run."""
        figures = await self.run(n_sessions, seconds, progress)
        return Found(n_sessions, figures, [figures])

    async def found(self, seconds: float, first: int, progress: Progress, say: Say = lambda line: None) -> Found:
        """As many runs as it takes to find the most sessions that hold the bars; ``say`` is told how each went."""

        async def measured(n_sessions: int, for_s: float) -> Figures:
            figures = await self.run(n_sessions, for_s, progress)
            verdict = "; ".join(figures.breaks()) or "holds the bars"
            say(f"{n_sessions} at {figures.size} for {for_s:.0f} s: {verdict}")
            return figures

        return await find_capacity(measured, seconds, first)


@dataclass(frozen=True, slots=True)
class InProcess(Measuring):
    """Sessions of one subject that publish in one way, in this process; files go to a folder of their own."""

    subject: Subject
    publisher: str
    folder: Path
    cores: float | None = None
    first_seed: int = 0

    async def run(self, n_sessions: int, seconds: float, progress: Progress) -> Figures:
        audience = audience_of(self.publisher, self.folder, self.cores)
        figures = await run(self.subject, n_sessions, seconds, audience, progress, self.first_seed)
        figures.publisher = self.publisher
        for recording in self.folder.iterdir():
            recording.unlink()
        return figures


@contextmanager
def measuring(subject: Subject, publisher: str, cores: float | None = None, first_seed: int = 0) -> Iterator[InProcess]:
    """Raises SettingsError: there is no such publisher."""
    check_audience(publisher)
    with tempfile.TemporaryDirectory(prefix="avatar-bench-") as folder:
        yield InProcess(subject, publisher, Path(folder), cores, first_seed)
