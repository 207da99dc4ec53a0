"""Viewers for measured sessions, in a process of their own: ``python -m server.bench.viewers``.

The two talk in lines of JSON: ``null`` asks for an offer, ``{"sdp"}`` brings its answer, ``true`` asks whether all see
something. The process ends when its input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from types import TracebackType
from typing import Any, Self

import psutil
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from avatar.errors import AvatarError

SEEN_WITHIN_S = 20.0
LONGEST_LINE = 2**20


class ViewersProcess:
    """The side of it that asks."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "server.bench.viewers",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()

    async def offer(self) -> str:
        """What one more viewer offers."""
        return str((await self._ask(None))["sdp"])

    async def accept(self, sdp: str) -> None:
        """The answer to the last offer."""
        await self._ask({"sdp": sdp})

    async def all_see(self) -> None:
        """Returns when every viewer has seen a picture.

        Raises:
            AvatarError: one did not.
        """
        if not await self._ask(True):
            raise AvatarError(f"a viewer saw nothing within {SEEN_WITHIN_S:.0f} s")

    def used_s(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    async def _ask(self, question: object) -> Any:
        assert self._process.stdin  # noqa: S101 - it has pipes, see above
        assert self._process.stdout  # noqa: S101
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise AvatarError("the viewers' process ended")
        return json.loads(line)


class _Viewer:
    """One who watches: it decodes whatever comes."""

    def __init__(self) -> None:
        self.sees = asyncio.Event()
        self._connection = RTCPeerConnection()
        self._connection.addTransceiver("video", "recvonly")
        self._connection.addTransceiver("audio", "recvonly")
        self._connection.on("track", lambda track: self._watching.append(asyncio.create_task(self._watch(track))))
        self._watching: list[asyncio.Task[None]] = []

    async def offer(self) -> str:
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def _watch(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                if track.kind == "video":
                    self.sees.set()


async def _serve() -> None:
    reader, loop = asyncio.StreamReader(LONGEST_LINE), asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    viewers: list[_Viewer] = []
    while line := await reader.readline():
        question, answer = json.loads(line), object()
        if question is None:
            viewers.append(_Viewer())
            answer = {"sdp": await viewers[-1].offer()}
        elif question is True:
            answer = await _all_see(viewers)
        else:
            await viewers[-1].accept(question["sdp"])
            answer = {}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


async def _all_see(viewers: list[_Viewer]) -> bool:
    try:
        async with asyncio.timeout(SEEN_WITHIN_S):
            for viewer in viewers:
                await viewer.sees.wait()
    except TimeoutError:
        return False
    return True


if __name__ == "__main__":
    asyncio.run(_serve())
