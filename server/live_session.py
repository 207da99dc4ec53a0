"""A session as its client knows it: the token's name, the socket that may come and go, and how long it may live."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Protocol

from avatar.audio import Pcm
from avatar.cues import Block
from server.errors import CloseCode
from server.outbox import Outbox
from server.rest_types import SessionInfo, SessionState
from server.settings import Settings
from server.speech_audio import SpeechDecoder
from server.start_request import StartRequest

Event = dict[str, object]


class Performing(Protocol):
    """What speaks: an avatar on the air. All methods are called on the event loop, and none but ``run`` waits."""

    emit: Callable[[Event], None]

    @property
    def sample_rate(self) -> int: ...

    def hear(self, pcm: Pcm, event_id: str, /) -> None: ...

    def end_speech(self, event_id: str, /) -> None: ...

    def interrupt(self, event_id: str, /) -> None: ...

    def enter(self, state: str, /) -> None: ...

    def perform(self, block: Block, /) -> None: ...

    def renew_token(self, token: str, /) -> None: ...

    def stop(self) -> None: ...

    async def run(self) -> None: ...


class Ending(StrEnum):
    """Why a session ends; sent to its client in ``session_closing``."""

    STOPPED = "stopped"
    IDLE = "idle"
    NEVER_INITIALISED = "never_initialised"
    CONNECTION_LOST = "connection_lost"
    LONGEST_SESSION = "longest_session"
    EVICTED = "evicted"
    DRAINING = "draining"
    FAILED = "failed"
    FINISHED = "finished"


CLOSE_CODES: Mapping[Ending, CloseCode] = {Ending.DRAINING: CloseCode.RESTART, Ending.FAILED: CloseCode.FAILED}
"""How the socket is closed where it is not 1000."""


UNHEARD = 16
"""Events that wait for the first client to connect; of more, the oldest is dropped."""


class LiveSession:
    """One session from its start to its end.

    Args:
        owner: whose API key started it.
        now: seconds from any fixed origin.
    """

    def __init__(
        self,
        session_id: str,
        owner: str,
        request: StartRequest,
        settings: Settings,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = session_id
        self.owner = owner
        self.request = request
        self.performing: Performing | None = None
        self.speech = SpeechDecoder(1)
        self.ending: Ending | None = None
        self.settled = asyncio.Event()
        """Set when the avatar performs, or never will."""
        self.gone = asyncio.Event()
        """Set when everything that belonged to the session has been left."""
        self.attended = asyncio.Event()
        """Set when a client has been connected."""
        self._unheard: deque[Event] = deque(maxlen=UNHEARD)
        given = request.activity_idle_timeout_s
        self._idle_s = settings.idle_timeout_s if given is None else given
        self._settings = settings
        self._now = now
        self._outbox: Outbox | None = None
        self._started = self._heard = self._lost = now()
        self._initialised = self._speaking = False
        self._changed = asyncio.Event()

    def begin(self, performing: Performing) -> None:
        """The avatar is there, and tells the client what it does."""
        performing.emit = self.emit
        self.performing = performing
        self.speech = SpeechDecoder(performing.sample_rate)
        self.settled.set()

    def attach(self, outbox: Outbox) -> None:
        """A client is connected; one that was connected before has to go."""
        if self._outbox:
            self._outbox.close(CloseCode.REPLACED, "a newer connection took over")
        self._outbox = outbox
        self.attended.set()
        while self._unheard:
            outbox.put(self._unheard.popleft())
        if self.ending:
            self.hang_up()

    def detach(self, outbox: Outbox) -> None:
        """A client is gone; if it was the present one, it has a while to come back."""
        if self._outbox is outbox:
            self._outbox = None
            self._lost = self._now()
            self._changed.set()

    def initialise(self) -> None:
        self._initialised = True
        self._heard = self._now()
        self._changed.set()

    def heard(self, *, speech: bool) -> None:
        """A valid message came."""
        if speech or self._settings.idle_counts == "any":
            self._heard = self._now()

    def emit(self, event: Event) -> None:
        """Tells the client. What happens before the first is connected waits for it; later, nobody is told.

        Who speaks is not idle.
        """
        if event["event"] in ("speak_started", "speak_ended", "speak_interrupted"):
            self._speaking = event["event"] == "speak_started"
            self._heard = self._now()
            self._changed.set()
        if self._outbox:
            self._outbox.put(event)
        elif not self.attended.is_set():
            self._unheard.append(event)

    def info(self) -> SessionInfo:
        """What its owner may know of it."""
        now = self._now()
        if self.performing is None:
            state: SessionState = "loading"
        elif not self._initialised:
            state = "waiting for init"
        else:
            state = "live" if self._outbox else "client lost"
        return SessionInfo(
            session_id=self.id,
            avatar_id=self.request.avatar_id,
            channel=self.request.agora.channel,
            uid=self.request.agora.uid,
            state=state,
            speaking=self._speaking,
            age_s=round(now - self._started, 3),
            unheard_s=round(now - self._heard, 3),
        )

    def end(self, ending: Ending) -> None:
        """Asks for the end; the first reason counts."""
        self.ending = self.ending or ending
        self._changed.set()

    async def over(self) -> Ending:
        """Returns when the session has to end: when somebody asked for it, or one of its times is up."""
        while self.ending is None:
            at, why = self._deadline()
            left = at - self._now()
            if left <= 0:
                self.end(why)
                continue
            self._changed.clear()
            try:
                async with asyncio.timeout(None if left == float("inf") else left):
                    await self._changed.wait()
            except TimeoutError:
                pass  # whether the time is really up is asked again: messages move it without waking anybody
        return self.ending

    def hang_up(self) -> None:
        """Says good-bye to the client, if one is connected."""
        ending = self.ending or Ending.FINISHED
        self.settled.set()
        if self._outbox:
            self._outbox.put({"event": "session_closing", "reason": str(ending)})
            self._outbox.close(CLOSE_CODES.get(ending, CloseCode.NORMAL), str(ending))

    def _deadline(self) -> tuple[float, Ending]:
        limits = [(self._started, self._settings.longest_session_s or float("inf"), Ending.LONGEST_SESSION)]
        if not self._initialised:
            never = self._settings.never_initialised_s or float("inf")
            limits.append((self._started, never, Ending.NEVER_INITIALISED))
        else:
            idle_s = float("inf") if self._speaking else self._idle_s or float("inf")
            limits.append((self._heard, idle_s, Ending.IDLE))
            if self._outbox is None:
                limits.append((self._lost, self._settings.grace_s, Ending.CONNECTION_LOST))
        return min((since + limit, ending) for since, limit, ending in limits)
