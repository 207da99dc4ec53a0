"""A client of the protocol: starts a session, streams speech to it, and reads its events."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from avatar.audio import Pcm
from avatar.errors import AvatarError

CHUNK_S = 0.5
"""Length of one ``voice`` message."""

PACE = 5.0
"""How much faster than it is spoken speech is sent, as the protocol's own sample client does."""

TIMEOUT_S = 30.0


class ClientError(AvatarError):
    """The server refused something, or went away."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """How one speech went.

    Attributes:
        first_frame_ms: from the first ``voice`` sent to ``speak_started``, which the server sends with the first frame.
        played_ms: how much of it was heard.
    """

    first_frame_ms: float
    played_ms: int


class Conversation:
    """A session on a server. Made by ``conversation``."""

    def __init__(self, session_id: str, socket: ClientConnection) -> None:
        self.session_id = session_id
        self._socket = socket
        self._n_sent = 0

    async def send(self, command: str, **fields: object) -> None:
        self._n_sent += 1
        await self._socket.send(json.dumps({"command": command, "event_id": f"{command}-{self._n_sent}", **fields}))

    async def event(self, *names: str) -> dict[str, object]:
        """The next event of one of these names.

        Raises:
            ClientError: an error event came, or the server closed the session.
        """
        async for message in self._socket:
            event: dict[str, object] = json.loads(message)
            if event.get("event") in names:
                return event
            if event.get("event") == "error":
                raise ClientError(f"the server refused a message: {event.get('message')}")
        raise ClientError("the server closed the session before the speech was over")

    async def speak(
        self, pcm: Pcm, sample_rate: int, progress: Callable[[float, float], None] = lambda done, total: None
    ) -> Spoken:
        """Sends speech, int16 mono, and returns when it was spoken; ``progress`` is told the seconds sent, of all."""
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(self._send_speech(pcm, sample_rate, progress))
            await self.event("speak_started")
            started = time.monotonic()
            ended = await self.event("speak_ended", "speak_interrupted")
            first_voice = await sending
        return Spoken(1000 * (started - first_voice), int(str(ended.get("played_ms", 0))))

    async def _send_speech(self, pcm: Pcm, sample_rate: int, progress: Callable[[float, float], None]) -> float:
        n_chunk, begin = int(CHUNK_S * sample_rate), time.monotonic()
        for index, start in enumerate(range(0, len(pcm), n_chunk)):
            await asyncio.sleep(begin + index * CHUNK_S / PACE - time.monotonic())
            audio = base64.b64encode(pcm[start : start + n_chunk].tobytes()).decode()
            await self.send("voice", audio=audio, sampleRate=sample_rate, encoding="PCM16")
            progress(min(start + n_chunk, len(pcm)) / sample_rate, len(pcm) / sample_rate)
        await self.send("voice_end")
        return begin


@asynccontextmanager
async def conversation(url: str, api_key: str, avatar_id: str, quality: str = "high") -> AsyncIterator[Conversation]:
    """A session of ``avatar_id`` on the server at ``url``, initialised; it is stopped on every way out.

    Raises:
        ClientError: the server cannot be reached or refuses.
    """
    # A channel of its own: sessions in the same place send each other away.
    place = {"app_id": "local", "token": "", "channel": uuid.uuid4().hex, "uid": "1", "enable_string_uid": False}
    body: dict[str, object] = {
        "avatar_id": avatar_id,
        "quality": quality,
        "version": "v1",
        "video_encoding": "H264",
        "agora_settings": place,
    }
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": api_key}, timeout=TIMEOUT_S) as http:
        try:
            answer = await http.post("/session/start", json=body)
        except httpx.HTTPError as error:
            raise ClientError(f"no server answers at {url}: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise ClientError(f"{url} refused to start a session ({answer.status_code}): {_message(answer)}")
        session = answer.json()
        token = session["session_token"]
        try:
            async with websockets.connect(
                session["websocket_address"], additional_headers={"Authorization": f"Bearer {token}"}
            ) as socket:
                talk = Conversation(session["session_id"], socket)
                await talk.send("init", session_id=session["session_id"], **body)
                await talk.event("session_ready")
                yield talk
        except (OSError, websockets.WebSocketException) as error:
            raise ClientError(f"the connection to {session['websocket_address']} failed: {error}") from error
        finally:
            await http.request(
                "DELETE",
                "/session/stop",
                json={"session_id": session["session_id"]},
                headers={"Authorization": f"Bearer {token}"},
            )


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
