"""Measures sessions that are spread over processes: ``python -m server.bench.workers`` is one of these.

The two talk in lines of JSON: the process is told its ``Share``, says ``Loaded``, is told ``null`` when all are, says
how far it is, and at last what it measured. It ends when its parent does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from avatar.errors import AvatarError
from models.loading import n_cores
from models.parent import end_with_parent, environment
from server.bench.audience import check_audience
from server.bench.figures import Figures
from server.bench.subject import Measuring, Progress, check_quality, measuring, subject_of

LONGEST_LINE = 2**26
"""Each frame's lateness is in it: 20 bytes each for a minute of hundred sessions are 3 MB."""


class Share(msgspec.Struct, frozen=True):
    """What is measured, as ``subject_of`` and ``measuring`` take it, and how much of it one process does."""

    folders: Sequence[str]
    avatar_id: str
    quality: str
    speech: Sequence[str]
    runtime: str
    threads: int
    cores: float
    publisher: str
    n_sessions: int = 0
    seconds: float = 0
    first_seed: int = 0


class Loaded(msgspec.Struct, tag=True, frozen=True):
    pass


class Failed(msgspec.Struct, tag=True, frozen=True):
    reason: str


class Done(msgspec.Struct, tag=True, frozen=True):
    """So many seconds are over, of all."""

    seconds: float
    of: float


class Measured(msgspec.Struct, tag=True, frozen=True):
    figures: dict[str, Any]


Said = Loaded | Failed | Done | Measured


@dataclass(frozen=True, slots=True)
class InWorkers(Measuring):
    """Sessions in ``n`` processes, as many in each as can be; they are started anew for each run.

    Raises:
        SettingsError: there is no such publisher or quality.
    """

    share: Share
    n: int

    def __post_init__(self) -> None:
        check_audience(self.share.publisher)
        check_quality(self.share.quality)

    async def run(self, n_sessions: int, seconds: float, progress: Progress) -> Figures:
        counts = [n_sessions // self.n + (number < n_sessions % self.n) for number in range(self.n)]
        shares = [
            msgspec.structs.replace(
                self.share,
                cores=n_cores() / self.n,
                n_sessions=count,
                seconds=seconds,
                first_seed=sum(counts[:number]),
            )
            for number, count in enumerate(counts)
            if count
        ]
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(_Process(share)) for share in shares]
            for worker in workers:
                await worker.loaded()
            for worker in workers:
                worker.go()
            told = [lambda done, total: None] * (len(workers) - 1)
            measured = zip(workers, [progress, *told], strict=True)
            async with asyncio.TaskGroup() as tasks:
                parts = [tasks.create_task(worker.measured(tell)) for worker, tell in measured]
        return Figures.together([part.result() for part in parts])


class _Process:
    """The side of it that asks."""

    def __init__(self, share: Share) -> None:
        self._share = share

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "server.bench.workers"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
            limit=LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is the parent's business
        )
        self._write(self._share)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind and self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    async def loaded(self) -> None:
        await self._next()

    def go(self) -> None:
        self._write(None)

    async def measured(self, progress: Progress) -> Figures:
        while not isinstance(said := await self._next(), Measured):
            if isinstance(said, Done):
                progress(said.seconds, said.of)
        batches = Counter({int(size): n for size, n in said.figures["batches"].items()})
        return Figures(**{**said.figures, "batches": batches})

    async def _next(self) -> Said:
        assert self._process.stdout  # noqa: S101 - it was asked for
        line = await self._process.stdout.readline()
        said: Said = msgspec.json.decode(line, type=Said) if line else Failed("a process that was measured has ended")
        if isinstance(said, Failed):
            raise AvatarError(said.reason)
        return said

    def _write(self, value: object) -> None:
        assert self._process.stdin  # noqa: S101 - it was asked for
        self._process.stdin.write(msgspec.json.encode(value) + b"\n")


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def _measure(share: Share) -> None:
    subject = subject_of(
        [Path(folder) for folder in share.folders],
        share.avatar_id,
        share.quality,
        [Path(file) for file in share.speech],
        share.runtime,
        share.threads,
        share.cores,
    )
    _say(Loaded())
    if not sys.stdin.buffer.readline():
        return
    with measuring(subject, share.publisher, share.cores, share.first_seed) as measure:
        run = measure.run(share.n_sessions, share.seconds, lambda done, total: _say(Done(done, total)))
        figures = asyncio.run(run)
    _say(Measured({**_fields(figures), "batches": {str(size): n for size, n in figures.batches.items()}}))


def _fields(figures: Figures) -> dict[str, Any]:
    return {field.name: getattr(figures, field.name) for field in dataclasses.fields(figures)}


def main() -> None:
    end_with_parent()
    try:
        _measure(msgspec.json.decode(sys.stdin.buffer.readline(), type=Share))
    except (AvatarError, OSError) as error:
        _say(Failed(str(error)))


if __name__ == "__main__":
    main()
