"""Clients that all speak without end to one server, through the real protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from avatar.audio import Pcm
from models.speech_files import read_speech
from server.bench.speaker import PAUSE_S, UTTERANCE_S
from server.cli import SAMPLE
from server.client import CHUNK_S, PACE, ClientError, Conversation, conversation
from tests.server.running import KEY, START

SETTLES_S = 1.0
"""Between two that join: the server has heard the one before speak."""

PATIENCE_S = 10.0
"""The longest that a refused one waits before it asks again."""

SPOKEN_WITHIN_S = 30.0
"""After what it takes to speak."""

FULL_AFTER = 3
"""Refusals in a row after which a server is full."""


class Served(Protocol):
    """A server that runs."""

    @property
    def url(self) -> str: ...

    @property
    def process(self) -> psutil.Process: ...


@dataclass(frozen=True, slots=True)
class Refused:
    """A start that was refused.

    Attributes:
        status: of the answer, 200 where it was not refused.
        retry_after_s: as the answer says, 0 where it does not.
        took_s: from the request to the answer.
    """

    status: int
    retry_after_s: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    """A server's figures at one moment, by name of its metrics, summed over labels; of avatars, the crowd's alone."""

    values: dict[str, float]

    def __getitem__(self, name: str) -> float:
        return self.values.get(name, 0.0)

    def since(self, before: Counts) -> Counts:
        """What was added."""
        return Counts({name: value - before[name] for name, value in self.values.items()})

    @property
    def late_percent(self) -> float:
        return 100 * self["avatar_late_frames_total"] / max(1.0, self["avatar_frames_total"])


class Crowd:
    """Made by ``crowd``."""

    def __init__(
        self, server: Served, avatar_id: str, quality: str, tasks: asyncio.TaskGroup, http: httpx.AsyncClient
    ) -> None:
        self.http = http
        """With this server's key; one for all, because to make one takes as long as ten frames of the server's."""
        self._server = server
        self._avatar_id = avatar_id
        self._quality = quality
        self._tasks = tasks
        self._speech, self._sample_rate = read_speech(SAMPLE)
        self._leaving: list[asyncio.Event] = []
        self._seeds = itertools.count()

    def __len__(self) -> int:
        return len(self._leaving)

    async def join(self) -> bool:
        """Whether one more was let in; it speaks from now on."""
        joined, leaving = asyncio.get_running_loop().create_future(), asyncio.Event()
        self._tasks.create_task(self._talk(joined, leaving, seed=next(self._seeds)))
        if await joined:
            self._leaving.append(leaving)
        return bool(joined.result())

    async def fill(self, most: int) -> None:
        """Lets in as many as the server takes, and at most so many."""
        n_refused = 0
        while len(self) < most and n_refused < FULL_AFTER:
            if await self.join():
                n_refused = 0
            else:
                n_refused += 1
                await asyncio.sleep(min(PATIENCE_S, (await self.ask()).retry_after_s))
            await asyncio.sleep(SETTLES_S)

    async def ask(self) -> Refused:
        """Asks for a session as one more would; one that is granted is given back."""
        agora = {**START["agora_settings"], "channel": "one too many"}
        body = {**START, "avatar_id": self._avatar_id, "quality": self._quality, "agora_settings": agora}
        await self.http.get("/healthz")  # what connecting takes is no part of the answer
        began = time.monotonic()
        answer = await self.http.post("/session/start", json=body)
        took_s = time.monotonic() - began
        if answer.status_code == httpx.codes.OK:
            await self.http.post("/session/stop", json={"session_id": answer.json()["session_id"]})
        return Refused(answer.status_code, int(answer.headers.get("retry-after", 0)), took_s)

    def leave(self, n: int) -> None:
        """Lets the last ``n`` finish what they say, and go."""
        for _ in range(n):
            self._leaving.pop().set()

    async def relieve(self) -> None:
        """The one that is here longest finishes what it says, and goes; another comes."""
        self._leaving.pop(0).set()
        await self.join()

    async def counts(self) -> Counts:
        text = (await self.http.get("/metrics")).text
        families = text_string_to_metric_families(text)
        values: dict[str, float] = {}
        for one in (one for family in families for one in family.samples):
            if one.labels.get("avatar", self._avatar_id) == self._avatar_id:
                values[one.name] = values.get(one.name, 0.0) + one.value
        return Counts(values)

    async def started(self, before: Counts) -> Counts:
        """What was counted since then, once a session that began since then has shown its first frame."""
        async with asyncio.timeout(60):
            while not (counts := (await self.counts()).since(before))["avatar_start_seconds_count"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return counts

    async def _talk(self, joined: asyncio.Future[bool], leaving: asyncio.Event, seed: int) -> None:
        chance = random.Random(seed)
        try:
            async with conversation(self._server.url, KEY, self._avatar_id, self._quality) as talk:
                joined.set_result(True)
                while not leaving.is_set():
                    await self._say(talk, self._stretch(chance))
                    await asyncio.sleep(chance.uniform(*PAUSE_S))
        except ClientError:
            if joined.done():
                raise
            joined.set_result(False)

    async def _say(self, talk: Conversation, pcm: Pcm) -> None:
        """Where the server is late, this may go on with what was said before, so that nothing begins: it only ends."""
        n_chunk = int(CHUNK_S * self._sample_rate)
        for start in range(0, len(pcm), n_chunk):
            audio = base64.b64encode(pcm[start : start + n_chunk].tobytes()).decode()
            await talk.send("voice", audio=audio, sampleRate=self._sample_rate, encoding="PCM16")
            await asyncio.sleep(CHUNK_S / PACE)
        await talk.send("voice_end")
        async with asyncio.timeout(len(pcm) / self._sample_rate + SPOKEN_WITHIN_S):
            await talk.event("speak_ended")

    def _stretch(self, chance: random.Random) -> Pcm:
        n = int(chance.uniform(*UTTERANCE_S) * self._sample_rate)
        start = chance.randrange(len(self._speech) - n)
        return self._speech[start : start + n]


@asynccontextmanager
async def crowd(server: Served, avatar_id: str, quality: str = "medium") -> AsyncIterator[Crowd]:
    """Nobody at first; whoever is there at the end leaves."""
    async with (
        httpx.AsyncClient(base_url=server.url, headers={"x-api-key": KEY}, timeout=30) as http,
        asyncio.TaskGroup() as tasks,
    ):
        people = Crowd(server, avatar_id, quality, tasks, http)
        try:
            yield people
        finally:
            people.leave(len(people))
