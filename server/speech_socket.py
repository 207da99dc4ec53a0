"""The WebSocket of a session: commands in, events out."""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import Counter
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from avatar.errors import AvatarError
from server.errors import ApiError, CloseCode, CommandError, error_event
from server.limits import Allowance
from server.live_session import LiveSession, Performing
from server.outbox import Outbox
from server.sessions import Sessions
from server.settings import Settings
from server.special.content import read_special
from server.special.errors import NotUnderstood
from server.special.events import printable, warning
from server.tokens import bearer
from server.wire import (
    Command,
    EnterState,
    Heartbeat,
    Init,
    Special,
    Voice,
    VoiceEnd,
    VoiceInterrupt,
    command,
)

log = logging.getLogger(__name__)

BURST_S = 10
"""Seconds' worth of messages that may come at once: a client may send a whole utterance in pieces of 10 ms."""

TOO_FAST = "Messages come too fast: some were refused"


async def speech_socket(websocket: WebSocket) -> None:
    """Serves ``/session/{session_id}/ws``.

    A wrong token is refused at the handshake with HTTP 401, and that of a session that has ended with 404: the
    protocol's clients try again for ever if they are let in and then shown out. A socket without any token may bring it
    in ``init``.
    """
    sessions: Sessions = websocket.app.state.sessions
    settings: Settings = websocket.app.state.settings
    token = presented_token(websocket)
    try:
        live = sessions.admit(websocket.path_params["session_id"], token)
    except ApiError as error:
        await deny(websocket, error)
        return
    await websocket.accept()
    outbox = Outbox()
    async with asyncio.TaskGroup() as tasks:
        delivery = tasks.create_task(outbox.deliver(websocket))
        try:
            conversation = _Conversation(websocket, sessions, live, outbox, settings)
            await conversation.listen(trusted=token is not None)
        finally:
            live.detach(outbox)
            delivery.cancel()


async def deny(websocket: WebSocket, error: ApiError) -> None:
    """Refuses the handshake."""
    refusals: Counter = websocket.app.state.refusals
    refusals.labels(error.code).inc()
    await websocket.send_denial_response(JSONResponse(error.body, error.status, error.headers))


def presented_token(websocket: WebSocket) -> str | None:
    """The session token that a handshake brought: in its header, or in its query."""
    query = websocket.query_params
    return bearer(websocket.headers.get("authorization")) or query.get("session_token") or query.get("token") or None


class _Conversation:
    """What is said over one socket."""

    def __init__(
        self, websocket: WebSocket, sessions: Sessions, live: LiveSession, outbox: Outbox, settings: Settings
    ) -> None:
        self._websocket = websocket
        self._sessions = sessions
        self._live = live
        self._outbox = outbox
        self._token_wait_s = settings.token_wait_s
        self._messages = Allowance(settings.max_messages_per_s, BURST_S * settings.max_messages_per_s)
        self._warnings = Allowance(1, 1)
        self._performing: Performing | None = None  # as soon as ``init`` came

    async def listen(self, *, trusted: bool) -> None:
        """Follows every message until the socket closes."""
        if trusted:
            self._live.attach(self._outbox)
        elif not await self._introduced():
            self._outbox.close(CloseCode.POLICY, "the first message must be init with the session_token")
        while (text := await self._receive()) is not None:
            if self._outbox.is_closed:
                continue
            if self._messages.take():
                await self._follow(text)
            else:
                self._refuse_for_rate()

    async def _receive(self) -> str | bytes | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text

    def _refuse_for_rate(self) -> None:
        """Messages that came before are followed; this one is not, and the client is told once a second."""
        self._sessions.metrics.refusals.labels("RATE_LIMITED").inc()
        if self._warnings.take():
            self._outbox.put({"event": "warning", "code": "RATE_LIMITED", "message": TOO_FAST})

    async def _introduced(self) -> bool:
        """Whether a socket that came without a token brings it now."""
        try:
            async with asyncio.timeout(self._token_wait_s):
                text = await self._receive()
            first = command(text) if isinstance(text, str) else None
            if not isinstance(first, Init) or not isinstance(text, str):
                return False
            self._sessions.admit(self._live.id, first.session_token or "")
        except (TimeoutError, AvatarError):
            return False
        self._live.attach(self._outbox)
        await self._follow(text)
        return True

    async def _follow(self, text: str | bytes) -> None:
        event_id = ""
        try:
            if isinstance(text, bytes):
                raise CommandError("BINARY_MESSAGE", "Messages must be JSON text, not binary")
            order = command(text)
            event_id = order.event_id
            await self._obey(order)
            self._live.heard(speech=isinstance(order, Voice))
        except AvatarError as error:
            event = error_event(error, event_id)
            self._sessions.metrics.refusals.labels(event["code"]).inc()
            self._outbox.put(event)

    async def _obey(self, order: Command) -> None:
        if isinstance(order, Init):
            await self._initialise(order)
            return
        if isinstance(order, Heartbeat):
            self._outbox.put(order.answer())
            return
        if self._performing is None:
            raise CommandError("NOT_INITIALISED", "Send init first")
        match order:
            case Voice():
                await self._hear(self._performing, order)
            case VoiceEnd():
                self._end_speech(self._performing, order.event_id)
            case VoiceInterrupt():
                self._live.speech.drop()
                self._performing.interrupt(order.event_id)
            case EnterState():
                self._performing.enter(order.value)
            case Special():
                self._instruct(self._performing, order)

    async def _initialise(self, order: Init) -> None:
        live = self._live
        if order.session_id is not None and order.session_id != live.id:
            raise CommandError("VALIDATION_ERROR", "session_id is not the one of this socket's session_token")
        live.initialise()
        await live.settled.wait()
        if live.performing is None:
            return  # the session ended before its avatar was there, and says so itself
        self._performing = live.performing
        if order.agora_token and order.agora_token != live.request.agora.token:
            self._performing.renew_token(order.agora_token)
        self._outbox.put({"event": "session_ready", "session_id": live.id, "avatar_id": live.request.avatar_id})
        if order.avatar_id not in (None, live.request.avatar_id):
            message = f"init names another avatar than start did; this session's stays '{live.request.avatar_id}'"
            self._outbox.put({"event": "warning", "code": "AVATAR_DIFFERS", "message": message})

    async def _hear(self, performing: Performing, order: Voice) -> None:
        n_heard = 0
        for pcm in self._live.speech.hear(order.audio, order.sample_rate, order.encoding):
            performing.hear(pcm, order.event_id)
            n_heard += len(pcm)
            await asyncio.sleep(0)  # minutes of speech may come at once, and the frames of all sessions are due
            if self._outbox.is_closed:
                break
        self._sessions.metrics.speech_seconds.inc(n_heard / performing.sample_rate)

    def _end_speech(self, performing: Performing, event_id: str) -> None:
        try:
            performing.hear(self._live.speech.end(), event_id)
        finally:
            performing.end_speech(event_id)

    def _instruct(self, performing: Performing, order: Special) -> None:
        try:
            reading = read_special(order.content, order.event_id)
        except NotUnderstood as error:
            ignored = {"event": "action_ignored", "name": printable(order.content), "reason": str(error)}
            self._outbox.put({**ignored, "event_id": order.event_id})
            return
        for warned in reading.warnings:
            self._outbox.put(warning(warned.code, warned.message, order.event_id))
        for block in reading.blocks:
            performing.perform(block)
