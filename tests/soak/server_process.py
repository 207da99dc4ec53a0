"""``avatar serve`` in a process of its own, which can be killed, drained and started again on the same port."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from tests.server.running import KEY

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 60.0


class ServerProcess:
    """One server. ``async with`` starts it and ends it.

    Args:
        avatars: the folder of the avatar that it serves.
        folder: its log and its recordings go here.
        settings: ``AVATAR_*`` variables without their prefix, in lower case.
        environment: further variables.
    """

    def __init__(
        self, avatars: Path, folder: Path, settings: Mapping[str, object], environment: Mapping[str, str] | None = None
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = folder / "server.log"
        own = {name: value for name, value in os.environ.items() if not name.startswith("AVATAR_")}
        given = {
            "avatar_dirs": avatars,
            "api_keys": KEY,
            "port": self._port,
            "record_dir": folder / "recordings",
            "token_secret": "the same secret before and after",
            "overload": "ignored",
            **settings,
        }
        own |= {f"AVATAR_{name.upper()}": str(value) for name, value in given.items()}
        self._environment = own | dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._process and self._process.returncode is None:
            await self.drain()

    @property
    def process(self) -> psutil.Process:
        assert self._process
        return psutil.Process(self._process.pid)

    async def start(self) -> None:
        """Returns as soon as the server is ready."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "server", "serve"]
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=self._environment, stderr=log, stdout=log
            )
        async with httpx.AsyncClient(base_url=self.url) as http, asyncio.timeout(READY_WITHIN_S):
            while not await _is_ready(http):
                if self._process.returncode is not None:
                    raise AssertionError(f"the server did not start:\n{self._log.read_text(encoding='utf-8')}")
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """It is gone at once (SIGKILL)."""
        assert self._process
        self._process.kill()
        await self._process.wait()

    async def drain(self) -> None:
        """It ends in order (SIGTERM)."""
        assert self._process
        self._process.terminate()
        async with asyncio.timeout(30):
            status = await self._process.wait()
        assert status == 0, f"the server ended with {status}"

    async def n_sessions(self) -> int:
        """How many sessions live."""
        async with httpx.AsyncClient(base_url=self.url, headers={"x-api-key": KEY}, timeout=30) as http:
            return int((await http.get("/readyz")).json()["sessions"])

    def errors(self) -> list[str]:
        """What its log says of errors, or says in another way than it should."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if _level(line) not in ("debug", "info", "warning")]


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def _level(line: str) -> str:
    try:
        record: dict[str, Any] = json.loads(line)
        return str(record["level"])
    except (ValueError, KeyError, TypeError):
        return "none"
