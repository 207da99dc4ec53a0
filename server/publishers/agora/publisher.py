"""The publisher that joins an Agora channel, and joins it again whenever its child process is lost."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from avatar.errors import AvatarError
from avatar.geometry import Size
from avatar.timeline import Timeline
from server.errors import PublisherUnavailable, ValidationFailed
from server.publisher import RenderedFrame
from server.publishers.agora import messages, quality, sdk
from server.publishers.agora.figures import ChannelFigures
from server.publishers.agora.messages import Connected, Failed, Join, RenewToken
from server.publishers.agora.process import PublisherProcess
from server.publishers.agora.reports import Event, Reports
from server.publishers.agora.ring import RingShape
from server.publishers.ending import to_its_end
from server.start_request import StartRequest

log = logging.getLogger(__name__)

HELD_MS = 1000
"""Frames that wait for a child that is late; beyond that, new ones are dropped until it has caught up."""

JOIN_S = 10.0
"""Seconds to join: the first time, before the session is given up; later, before another try."""

STANDS_STILL_S = 3.0
"""A child that takes no frame for so long hangs, and is replaced."""

PAUSES_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Before the first try to join again, the second, and so on."""

SETTLED_S = 1.0
"""Who was in the channel for so long begins again with the shortest pause."""

LAST_BREATH_S = 1.0
"""Seconds between the end of a child's control socket and its own."""

LARGEST_UID = 2**32 - 1

LOOK_EVERY_S = 0.2
TOKEN_EXPIRED = "CHANNEL_TOKEN_EXPIRED"  # noqa: S105 - the name of an event

TOKEN_WAIT_S = 30.0
"""How long a publisher whose token has expired waits for a new one."""


class ChannelFailed(AvatarError):
    """The channel could not be joined, or published to any longer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how a session is published; see ``messages.Join``."""

    request: StartRequest
    size: Size
    timeline: Timeline
    encoded: bool = False

    def join(self) -> Join:
        agora, fps = self.request.agora, self.timeline.fps
        rate = self.timeline.sample_rate
        return Join(
            app_id=agora.app_id,
            token=agora.token,
            channel=agora.channel,
            uid=agora.uid,
            string_uid=agora.enable_string_uid,
            area=self.request.area,
            codec=self.request.video_encoding,
            encoded=self.encoded,
            fps=(fps.numerator, fps.denominator),
            kbit_s=quality.kbit_s(self.request.quality, self.request.video_encoding, self.size, fps),
            folder="",
            ring=RingShape(
                width=self.size.width,
                height=self.size.height,
                sample_rate=rate,
                max_samples=math.ceil(rate / fps),
                n_slots=math.ceil(HELD_MS * fps / 1000),
            ),
        )


def check_place(request: StartRequest) -> None:
    """Whether a session can be published, as far as can be told at its start.

    Raises:
        PublisherUnavailable: the SDK cannot be used here.
        ValidationFailed: the uid is not of its mode.
    """
    if lacking := sdk.missing():
        raise PublisherUnavailable(f"This server cannot publish into a channel: {lacking}")
    agora = request.agora
    if not agora.enable_string_uid and not (agora.uid.isdecimal() and int(agora.uid) <= LARGEST_UID):
        message = f"agora_settings.uid must be a number up to {LARGEST_UID}, unless enable_string_uid is true"
        raise ValidationFailed(message)


class AgoraPublisher:
    """Publishes into one channel, from a child process. Entering joins; a child that dies is replaced.

    Args:
        emit: is told what the client should know, as events of the protocol.
        fail: is told when the channel is lost for good after it was joined.
    """

    def __init__(
        self,
        session_id: str,
        place: Place,
        figures: ChannelFigures,
        emit: Callable[[Event], None],
        fail: Callable[[ChannelFailed], None],
        *,
        join_s: float = JOIN_S,
        stands_still_s: float = STANDS_STILL_S,
        token_wait_s: float = TOKEN_WAIT_S,
    ) -> None:
        self._session_id = session_id
        self._join = place.join()
        self._figures = figures
        self._emit = emit
        self._fail = fail
        self._join_s = join_s
        self._stands_still_s = stands_still_s
        self._token_wait_s = token_wait_s
        self._joined = asyncio.Event()
        self._new_token = asyncio.Event()
        self._process: PublisherProcess | None = None
        self._on_air: PublisherProcess | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._joined_at = 0.0
        self._is_dropping = False
        self._reports = Reports(figures, emit)

    @property
    def pid(self) -> int | None:
        """Of the child, while there is one."""
        return self._process.pid if self._process else None

    async def __aenter__(self) -> Self:
        """Joins the channel.

        Raises:
            ChannelFailed: it could not be joined in time, or never will be.
        """
        self._supervision = asyncio.create_task(self._supervise())
        joined = asyncio.create_task(self._joined.wait())
        try:
            await asyncio.wait([self._supervision, joined], timeout=self._join_s, return_when=asyncio.FIRST_COMPLETED)
            if self._supervision.done():
                self._supervision.result()
            if not self._joined.is_set():
                raise ChannelFailed("CHANNEL_JOIN_TIMEOUT", f"the channel was not joined in {self._join_s:g} s")
        except BaseException as error:
            await to_its_end(self._leave())
            if isinstance(error, ChannelFailed):
                self._reports.failed(error.code, str(error))
            raise
        finally:
            joined.cancel()
        self._supervision.add_done_callback(self._supervised)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_its_end(self._leave())

    def publish(self, frame: RenderedFrame) -> None:
        """Without a child in the channel the frame is lost: the session's time goes on."""
        if self._on_air is None:
            self._figures.frames.labels("unjoined").inc()
            return
        taken = self._on_air.put(frame)
        if not taken:
            self._figures.frames.labels("dropped").inc()
            if not self._is_dropping:
                self._reports.warn("PUBLISHER_SLOW", "the Agora SDK does not keep up: frames are dropped")
        self._is_dropping = not taken

    def flush(self) -> None:
        if self._on_air:
            self._on_air.flush()

    def renew_token(self, token: str) -> None:
        """Takes a fresh token into use, now and for later joins; the same one again is ignored."""
        if not token or token == self._join.token:
            return
        self._join = msgspec.structs.replace(self._join, token=token)
        self._new_token.set()
        if self._process:
            self._process.send(RenewToken(token))
        self._reports.count("TOKEN_RENEWED")

    async def _leave(self) -> None:
        if self._supervision:
            self._supervision.cancel()
            await asyncio.wait([self._supervision])

    def _supervised(self, supervision: asyncio.Task[None]) -> None:
        """The channel is lost for good, unless it was left."""
        if supervision.cancelled():
            return
        error = supervision.exception()
        if not isinstance(error, ChannelFailed):
            log.error("publishing failed", exc_info=error, extra={"session": self._session_id})
            error = ChannelFailed("AGORA_PUBLISHER_FAILED", "publishing into the channel failed")
        self._reports.failed(error.code, str(error))
        self._fail(error)

    async def _supervise(self) -> None:
        """Keeps a child in the channel until cancelled.

        Raises:
            ChannelFailed: no other child could do better.
        """
        n_tries = 0
        while True:
            failed = await self._live_through_a_child()
            self._reports.count(failed.code)
            log.warning("publisher lost", extra={"session": self._session_id, "code": failed.code})
            if failed.code == TOKEN_EXPIRED and self._joined.is_set():
                await self._wait_for_token(failed)
            elif failed.final:
                raise ChannelFailed(failed.code, failed.message)
            if self._joined_at and time.monotonic() - self._joined_at > SETTLED_S:
                n_tries = 0
            self._reports.warn(failed.code, f"{failed.message}; joining again")
            await asyncio.sleep(PAUSES_S[min(n_tries, len(PAUSES_S) - 1)])
            n_tries += 1

    async def _live_through_a_child(self) -> Failed:
        """Starts a child; returns why it ended, once it has."""
        failed: Failed | None = None
        self._new_token.clear()
        self._joined_at, began = 0.0, time.monotonic()
        async with PublisherProcess(self._session_id, self._join) as process:
            self._process = process
            watch = asyncio.create_task(self._watch(process))
            try:
                async for report in process.reports():
                    if isinstance(report, Failed):
                        failed = report
                        break
                    if isinstance(report, Connected):
                        self._joined_at = time.monotonic()
                        self._figures.joins.observe(self._joined_at - began)
                        self._on_air = process
                        self._joined.set()
                    self._reports.take(report)
            except messages.MessageError as error:
                failed = Failed("AGORA_PUBLISHER_FAILED", f"the publisher process talks nonsense: {error}")
            except asyncio.CancelledError:
                self._reports.left()
                raise
            finally:
                self._process = self._on_air = None
                self._reports.lost()
                watch.cancel()
            if watch.done():
                return watch.result()
            return failed or await self._died(process)

    async def _died(self, process: PublisherProcess) -> Failed:
        try:
            async with asyncio.timeout(LAST_BREATH_S):
                status = await process.ended()
        except TimeoutError:
            return Failed("AGORA_PUBLISHER_DIED", "the publisher process says nothing any more")
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return Failed("AGORA_PUBLISHER_DIED", f"the publisher process ended with {how}")

    async def _watch(self, process: PublisherProcess) -> Failed:
        """Kills a child that does not join in time, or stands still; returns why."""
        began = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._on_air is not process:
                late = time.monotonic() - began > self._join_s
                why = Failed("CHANNEL_JOIN_TIMEOUT", f"the channel was not joined in {self._join_s:g} s")
            else:
                late = process.stands_still_for() > self._stands_still_s
                why = Failed("AGORA_PUBLISHER_HANGS", f"the Agora SDK took nothing for {self._stands_still_s:g} s")
            if late:
                process.kill()
                return why

    async def _wait_for_token(self, failed: Failed) -> None:
        """Until a fresh token is there.

        Raises:
            ChannelFailed: none came.
        """
        self._reports.warn(
            failed.code, f"{failed.message}; waiting {self._token_wait_s:g} s for an init with a new one"
        )
        try:
            async with asyncio.timeout(self._token_wait_s):
                await self._new_token.wait()
        except TimeoutError:
            raise ChannelFailed(failed.code, failed.message) from None
