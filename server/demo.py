"""The whole product once around: a server, a client that speaks to it through the protocol, and the film of it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from avatar.audio import Pcm
from server.client import ClientError, conversation

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
AFTERGLOW_S = 0.6
"""How long the film goes on after the last word."""


@dataclass(frozen=True, slots=True)
class DemoFigures:
    """What ``make demo`` prints.

    Attributes:
        av_offset_ms: how much later than the sound the film's pictures begin, by the file's own timestamps.
        cpu_seconds_per_second: of the server, while it spoke.
    """

    frames: int
    late_frames: int
    first_frame_ms: float
    av_offset_ms: float
    cpu_seconds_per_second: float


async def demo(
    pcm: Pcm,
    sample_rate: int,
    out: Path,
    avatar_id: str = "ava",
    say: Callable[[str], None] = lambda step: None,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> DemoFigures:
    """Speaks ``pcm`` (int16 mono) through a server of its own and leaves the recording at ``out``.

    Args:
        say: is told what is being done.
        progress: is told how many seconds of speech were spoken, of how many.

    Raises:
        ClientError: the server did not start, or refused.
    """
    key = secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="avatar-demo-") as folder:
        say("starting the server")
        async with _server(Path(folder), key) as (url, process):
            say("speaking")
            before, begin = process.cpu_times(), time.monotonic()
            async with asyncio.TaskGroup() as tasks, conversation(url, key, avatar_id) as talk:
                shown = tasks.create_task(_show_progress(len(pcm) / sample_rate, progress))
                spoken = await talk.speak(pcm, sample_rate)
                shown.cancel()
                await asyncio.sleep(AFTERGLOW_S)
                after, end = process.cpu_times(), time.monotonic()
                counts = await _counts(url, key, avatar_id)
                recording = Path(folder) / f"{talk.session_id}.mp4"
            say("completing the film")
        if not recording.exists():
            raise ClientError("the server recorded nothing")
        shutil.move(recording, out)
    used = after.user + after.system - before.user - before.system
    return DemoFigures(
        frames=int(counts["avatar_frames_total"]),
        late_frames=int(counts["avatar_late_frames_total"]),
        first_frame_ms=round(spoken.first_frame_ms, 1),
        av_offset_ms=round(av_offset_ms(out), 2),
        cpu_seconds_per_second=round(used / (end - begin), 3),
    )


def av_offset_ms(film: Path) -> float:
    """How much later the film's first picture is than its first sound, in milliseconds."""
    with av.open(str(film)) as container:
        picture = next(container.decode(video=0))
        container.seek(0)
        sound = next(container.decode(audio=0))
    return 1000 * ((picture.time or 0.0) - (sound.time or 0.0))


@asynccontextmanager
async def _server(folder: Path, key: str) -> AsyncIterator[tuple[str, psutil.Process]]:
    """A server process that records into ``folder``; yields its URL and itself, and ends it on every way out."""
    port = _free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "server.log"
    command = [sys.executable, "-m", "server", "serve", "--host", "127.0.0.1", "--port", str(port)]
    # A film is made to be looked at, and lips are judged by it: on a busy machine it may have late frames, but mouths.
    command += ["--publisher", "recording", "--record-dir", str(folder), "--overload", "ignored"]
    environment = os.environ | {"AVATAR_API_KEYS": key, "AVATAR_PUBLIC_URL": ""}
    with log.open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        await _ready(url, child, log)
        yield url, psutil.Process(child.pid)
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()


async def _ready(url: str, child: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    async with httpx.AsyncClient() as http:
        while child.returncode is None and time.monotonic() < deadline:
            try:
                if (await http.get(f"{url}/readyz")).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass  # it does not listen yet
            await asyncio.sleep(0.1)
    lines = (await asyncio.to_thread(log.read_text, errors="replace")).strip().splitlines()
    raise ClientError(f"the server did not start: {lines[-1] if lines else 'it said nothing'}")


async def _counts(url: str, key: str, avatar_id: str) -> dict[str, float]:
    """What was counted of an avatar."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{url}/metrics", headers={"x-api-key": key})).raise_for_status().text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("avatar") == avatar_id
    }


async def _show_progress(seconds: float, progress: Callable[[float, float], None]) -> None:
    begin = time.monotonic()
    while True:
        progress(min(time.monotonic() - begin, seconds), seconds)
        await asyncio.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
