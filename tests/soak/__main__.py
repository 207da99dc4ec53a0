"""``python -m tests.soak [RUN…]``: every long run at its full count, and a table of what was seen.

``bars`` runs only where it is named: it wants a machine with nothing else to do. ``steady`` takes ``--minutes``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from models.loading import EMBEDDED
from tests.soak import load
from tests.soak.bars import bars
from tests.soak.figures import Figure
from tests.soak.figures import Progress as Told
from tests.soak.many_sessions import many_sessions
from tests.soak.reconnecting import reconnecting
from tests.soak.requests_fuzz import requests_fuzz
from tests.soak.server_process import ServerProcess
from tests.soak.socket_fuzz import socket_fuzz
from tests.tiny_avatar import make_tiny_avatar

ROOT = Path(__file__).resolve().parents[2]
STRANGERS = "tests/server/special/test_strangers.py"

Run = Callable[[Path, Path, Told], list[Figure]]


def special(avatars: Path, folder: Path, progress: Told) -> list[Figure]:
    """Bar c, ``special``: in a process of its own, for it is hypothesis that runs it."""
    command = [sys.executable, "-m", "pytest", "-q", STRANGERS]
    environment = os.environ | {"AVATAR_SOAK": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout)
    return [Figure(f"exit status of {STRANGERS}", done.returncode, most=0)]


def on_a_server(
    folder: Path, run: Callable[[ServerProcess], Awaitable[list[Figure]]], avatars: Path, **settings: str
) -> list[Figure]:
    """The run against a server in a process of its own, which records and, if not told otherwise, avoids overload."""

    async def served() -> list[Figure]:
        async with ServerProcess(avatars, folder, RECORDS | settings) as server:
            return await run(server)

    return asyncio.run(served())


RECORDS = {"publishers": "recording", "overload": "avoided"}
MINUTES = 4.0
"""Of ``steady``, unless it is told otherwise."""


def long_runs(minutes: float = MINUTES) -> dict[str, Run]:
    """All runs by name; ``load`` with the avatar that ships, the others with a small one."""

    def swap(avatars: Path, folder: Path, told: Told) -> list[Figure]:
        other = load.copied(EMBEDDED / "ava", folder / "avatars" / "other")
        run = partial(load.swap, avatar_id="ava", other=other, progress=told)
        return on_a_server(folder, run, other.parent, overload="ignored")  # nobody refuses the new version

    def startup(avatars: Path, folder: Path, told: Told) -> list[Figure]:
        return asyncio.run(load.startup(lambda: ServerProcess(folder, folder, RECORDS), "ava", progress=told))

    return {
        "reconnecting": lambda avatars, folder, told: asyncio.run(reconnecting(avatars, folder, progress=told)),
        "requests": lambda avatars, folder, told: requests_fuzz(avatars, folder, progress=told),
        "messages": lambda avatars, folder, told: socket_fuzz(avatars, folder, progress=told),
        "special": special,
        "sessions": lambda avatars, folder, told: asyncio.run(many_sessions(avatars, folder, progress=told)),
        "startup": startup,
        "capacity": lambda avatars, folder, told: on_a_server(
            folder, lambda server: load.capacity(server, "ava", progress=told), folder
        ),
        "swap": swap,
        "steady": lambda avatars, folder, told: on_a_server(
            folder, lambda server: load.steady(server, "ava", minutes, progress=told), folder
        ),
        "bars": lambda avatars, folder, told: bars(progress=told),
    }


NAMED_ONLY = ("startup", "capacity", "swap", "steady", "bars")
"""Of the load that a machine bears: they want it for themselves, and are not done in the 25 minutes of the others."""


def soak(names: Collection[str], runs: dict[str, Run], console: Console) -> bool:
    """Runs these and prints the table; whether every bar holds."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    rows = Table("run", "what", "seen", "bar", "", title="soak")
    holds = True
    with tempfile.TemporaryDirectory(prefix="avatar-soak-", ignore_cleanup_errors=True) as work:
        avatars = make_tiny_avatar(Path(work) / "avatars" / "tiny")
        with Progress(*columns, console=console) as progress:
            for name in names:
                folder = Path(work) / name
                folder.mkdir()
                task = progress.add_task(name, total=1.0)
                began = time.monotonic()
                figures = _seen(runs[name], avatars, folder, lambda done: progress.update(task, completed=done))  # noqa: B023
                progress.update(task, completed=1.0)
                figures.append(Figure("took", time.monotonic() - began, "s"))
                for one in figures:
                    rows.add_row(name, one.what, f"{one.seen:,.6g} {one.unit}", one.bar, "" if one.holds else "BREAKS")
                rows.add_section()
                holds = holds and all(one.holds for one in figures)
    console.print(rows)
    return holds


def _seen(run: Run, avatars: Path, folder: Path, told: Told) -> list[Figure]:
    """The run's figures; a run that breaks off is one that does not hold, and the others go on."""
    try:
        return run(avatars, folder, told)
    except Exception:
        Console(stderr=True).print_exception(max_frames=8)
        return [Figure("broke off, see above", 1, most=0)]


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.soak")
    arguments.add_argument(
        "run", nargs="*", help=f"{', '.join(long_runs())}; without a name all but {', '.join(NAMED_ONLY)}"
    )
    arguments.add_argument("--minutes", type=float, default=MINUTES, help="for which steady goes on")
    given = arguments.parse_args()
    runs = long_runs(given.minutes)
    names = given.run or [name for name in runs if name not in NAMED_ONLY]
    if unknown := [name for name in names if name not in runs]:
        arguments.error(f"runs are {', '.join(runs)}, not {unknown[0]}")
    console = Console(width=None if sys.stdout.isatty() else 120)
    sys.exit(0 if soak(names, runs, console) else 1)


if __name__ == "__main__":
    main()
