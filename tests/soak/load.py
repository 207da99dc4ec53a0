"""Bars f, g, h and i: a server that is full or nearly, for long, while avatars change, and from its very start."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import onnx

from models.loading import n_cores
from models.manifest import FILE_NAME, read_manifest, write_manifest
from tests.server.running import START
from tests.soak.crowd import Counts, Crowd, Served, crowd
from tests.soak.figures import Figure, Memory, Progress, no_progress
from tests.soak.server_process import ServerProcess

LATE_PERCENT, BURST_PERCENT, BURST_S = 0.1, 1.0, 10.0
"""Frames that may be late over all, and in any stretch of ``BURST_S``."""

REFUSED_MS, READY_S, FIRST_FRAME_MS, GROWTH_PERCENT = 50.0, 3.0, 300.0, 2.0
STAYS_S = 300.0
"""How long a conversation lasts in a steady run. A recording's index stays in memory until then: 5 kB a second."""

MANY = 400
"""More than ever fit."""


async def capacity(
    server: Served, avatar_id: str, most: int = MANY, seconds: float = 60, progress: Progress = no_progress
) -> list[Figure]:
    """Lets in as many as fit; then one more asks again and again while the others speak.

    What sessions cost is learned while they speak: who is let in after all stays, and the next one asks.
    """
    async with crowd(server, avatar_id) as people:
        await people.fill(most)
        progress(0.3)
        before, end, refused = await people.counts(), time.monotonic() + seconds, []
        while time.monotonic() < end:
            answer = await people.ask()
            if answer.status == httpx.codes.OK:
                await people.join()
            else:
                refused.append(answer)
            progress(1 - 0.7 * (end - time.monotonic()) / seconds)
            await asyncio.sleep(min(1.0, seconds / 10))
        seen = (await people.counts()).since(before)
        n = len(people)
    return [
        Figure("sessions that were let in, each speaking", n, least=1),
        Figure("starts that were refused", len(refused), least=1),
        Figure("· answered otherwise than with 503", sum(one.status != 503 for one in refused), most=0),
        Figure("· without Retry-After", sum(not one.retry_after_s for one in refused), most=0),
        Figure("· the slowest refusal", 1000 * max((one.took_s for one in refused), default=0), "ms", most=REFUSED_MS),
        Figure("frames of the others meanwhile", seen["avatar_frames_total"], least=1),
        Figure("· late of them", seen.late_percent, "%", most=LATE_PERCENT),
    ]


async def steady(
    server: Served,
    avatar_id: str,
    minutes: float = 5,
    share: float = 0.8,
    most: int = MANY,
    stays_s: float = STAYS_S,
    progress: Progress = no_progress,
) -> list[Figure]:
    """Runs at a share of what fits, and each session gives way to a new one after ``stays_s``, one after the other.

    The first fifth is warm-up, of which memory is not judged.
    """
    memory, bursts, n_relieved = Memory(server.process), [], 0
    async with crowd(server, avatar_id) as people:
        await people.fill(most)
        people.leave(len(people) - max(1, round(share * len(people))))
        n, seconds, began = len(people), 60 * minutes, time.monotonic()
        first = before = await people.counts()
        while (done_s := time.monotonic() - began) < seconds:
            await asyncio.sleep(min(BURST_S, seconds / 10))
            now = await people.counts()
            bursts.append(now.since(before).late_percent)
            before = now
            if done_s * n >= stays_s * (n_relieved + 1):
                await people.relieve()
                n_relieved += 1
            if done_s >= seconds / 5:
                memory.read()
            progress(done_s / seconds)
        seen = before.since(first)
    return [
        Figure("sessions at a time, each speaking", n, least=1),
        Figure("· that gave way to new ones", n_relieved, least=1),
        Figure("· for", minutes, "min"),
        Figure("frames", seen["avatar_frames_total"], least=1),
        Figure("· late of them", seen.late_percent, "%", most=LATE_PERCENT),
        Figure(f"· late in the worst {BURST_S:.0f} s", max(bursts), "%", most=BURST_PERCENT),
        Figure("times that less was drawn", seen["avatar_level_changes_total"], most=0),
        Figure("memory of the server and what it started", memory.mib, "MiB"),
        Figure("· its growth in the second half", memory.growth, "%", most=GROWTH_PERCENT),
    ]


async def swap(
    server: Served,
    avatar_id: str,
    other: Path,
    n_sessions: int | None = None,
    n_swaps: int = 5,
    progress: Progress = no_progress,
) -> list[Figure]:
    """Sessions speak while another avatar, in the folder ``other``, is replaced by a new version that is asked for.

    It has networks that were never opened; its footage is decoded and resized as if it had never been seen, too. The
    versions are made before, as elsewhere: here it would take a core from the server.

    Args:
        n_sessions: how many; None is three for each core, half of what two cores bear.
    """
    made = [_new_version(other, f"{number + 2}") for number in range(n_swaps)]
    versions = []
    async with crowd(server, avatar_id) as people:
        await people.fill(n_sessions or 3 * n_cores())
        before = await people.counts()
        for number, version in enumerate(made):
            _put_in_place(version, other)
            versions.append(await _version_on_air(other.name, people))
            progress((number + 1) / n_swaps)
        seen = (await people.counts()).since(before)
        n = len(people)
    return [
        Figure("sessions, each speaking", n, least=1),
        Figure("new versions of another avatar meanwhile", len(set(versions)), least=n_swaps),
        Figure("frames", seen["avatar_frames_total"], least=1),
        Figure("· late of them", seen["avatar_late_frames_total"], most=0),
    ]


async def startup(
    new_server: Callable[[], ServerProcess], avatar_id: str, n: int = 5, progress: Progress = no_progress
) -> list[Figure]:
    """Starts a server from nothing, and a session on it, several times over."""
    ready_s, first_frame_ms = [], []
    for number in range(n):
        began = time.monotonic()
        server = new_server()
        async with server:
            ready_s.append(time.monotonic() - began)
            async with crowd(server, avatar_id) as people:
                await people.join()
                started = await people.started(Counts({}))
                first_frame_ms.append(1000 * started["avatar_start_seconds_sum"])
        progress((number + 1) / n)
    return [
        Figure("cold start to ready, the slowest", max(ready_s), "s", most=READY_S),
        Figure("session start to first published frame, the slowest", max(first_frame_ms), "ms", most=FIRST_FRAME_MS),
    ]


async def _version_on_air(avatar_id: str, people: Crowd) -> str:
    """Starts a session of the other avatar, waits for its first frame, stops it; the version that the server has."""
    before = await people.counts()
    agora = {**START["agora_settings"], "channel": "the other"}
    version = str((await people.http.get(f"/avatars/{avatar_id}")).json()["version"])
    answer = await people.http.post("/session/start", json={**START, "avatar_id": avatar_id, "agora_settings": agora})
    answer.raise_for_status()
    await people.started(before)
    await people.http.post("/session/stop", json={"session_id": answer.json()["session_id"]})
    return version


def copied(avatar: Path, folder: Path) -> Path:
    """The avatar once more, under the name of the folder."""
    shutil.copytree(avatar, folder)
    text = (folder / FILE_NAME).read_text(encoding="utf-8")
    (folder / FILE_NAME).write_text(
        text.replace(f'id = "{_id_of(text)}"', f'id = "{folder.name}"', 1), encoding="utf-8"
    )
    return folder


def _id_of(manifest: str) -> str:
    line = next(line for line in manifest.splitlines() if line.startswith("id ="))
    return line.split('"')[1]


def _new_version(folder: Path, version: str) -> Path:
    """Makes one, out of the server's sight: nobody has seen its networks before. Only the footage is as it was."""
    made = folder.parent.with_name(f"{folder.name}-{version}")
    shutil.copytree(folder, made, copy_function=os.link)
    for path in _weights(made):
        network = onnx.load(path)
        network.producer_version = version
        path.unlink()
        onnx.save(network, path)
    write_manifest(made, msgspec.structs.replace(read_manifest(folder), version=version))
    return made


def _put_in_place(version: Path, folder: Path) -> None:
    for path in (*_weights(version), version / FILE_NAME):
        path.replace(folder / path.relative_to(version))


def _weights(folder: Path) -> list[Path]:
    return sorted((folder / "weights").glob("*.onnx"))
