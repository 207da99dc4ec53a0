"""Puts a server together: avatars, inference, publishers, routes."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from weakref import WeakValueDictionary

from avatar.bundle import AvatarBundle
from avatar.director import Manner
from avatar.errors import AvatarError
from avatar.geometry import Size
from avatar.timeline import Timeline
from models.loading import EMBEDDED, Catalogue, LoadedAvatar, n_cores
from models.threads import LOADING, coming_first, encoder_threads, giving_way
from server import logs
from server.app import create_app, opens, with_secret
from server.avatar_routes import avatar_operations
from server.errors import SessionNotFound
from server.inference import Inference, threads_for
from server.interpreter import collect_again, keep_time
from server.load.monitor import Monitor
from server.metrics import FrameCounts, Metrics
from server.pacing import MonotonicClock
from server.publisher import Publisher
from server.publishers import factory
from server.publishers.agora.figures import ChannelFigures
from server.publishers.agora.publisher import AgoraPublisher, Place, check_place
from server.publishers.nvenc import nvenc_opens
from server.publishers.offers import ice_server
from server.publishers.recorder import Recorder
from server.rehearsals import Rehearsals
from server.serving import AvatarServer
from server.session import SAMPLE_RATE, Event, Session, SessionOptions, Shown
from server.settings import Settings
from server.start_request import StartRequest
from server.studio_routes import studio_routes
from server.tokens import new_api_key
from server.video_size import size_of_quality, video_size
from server.whep import whep_routes

if TYPE_CHECKING:  # it takes a sixth of all imports, and only those who publish so need it
    from server.publishers.webrtc import WebRtcPublisher

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opening:
    """A session that is about to be: what its publishers may need to know, and whom they tell."""

    session_id: str
    request: StartRequest
    bundle: AvatarBundle
    emit: Callable[[Event], None]
    fail: Callable[[AvatarError], None]

    @property
    def size(self) -> Size:
        """Of the pictures that are published."""
        return video_size(self.request, self.bundle.size)

    @property
    def timeline(self) -> Timeline:
        return Timeline(self.bundle.fps, SAMPLE_RATE)


USUAL_QUALITY = "medium"

LOADS_AT_ONCE = 8
"""Sessions whose avatars are looked up at the same time: one that has to be read holds up none that is there."""

MakePublisher = Callable[[Opening], Publisher]


class Stage:
    """What sessions perform on: entered before the first, left after the last."""

    def __init__(self, settings: Settings, catalogue: Catalogue, metrics: Metrics) -> None:
        self._channels: WeakValueDictionary[str, AgoraPublisher] = WeakValueDictionary()
        self._figures = ChannelFigures(metrics.registry)
        self._watchable: WeakValueDictionary[str, WebRtcPublisher] = WeakValueDictionary()
        self._settings = settings
        self.catalogue = catalogue
        self.metrics = metrics
        self._inference = Inference(catalogue.at_once, catalogue.max_batch)
        self._cores = share_of_cores(settings)
        self._loaders = giving_way(LOADS_AT_ONCE, "loading", LOADING)
        self._encoders = encoder_threads(self._cores)
        self._rehearsals = Rehearsals()
        self._recorder = Recorder()
        self._coming_first = coming_first()
        self.monitor = Monitor(
            metrics,
            lambda: self._inference.busy_s,
            is_binding=settings.overload == "avoided",
            cores=self._cores,
        )
        if "webrtc" in settings.publishers:
            import_module("server.publishers.webrtc")  # now, and not when the first session begins
        self._publishers: Mapping[str, MakePublisher] = {
            "agora": self._agora,
            "webrtc": self._webrtc,
            "recording": lambda opening: factory.recording(
                opening.session_id, opening.size, opening.timeline, Path(settings.record_dir), self._recorder
            ),
        }

    async def __aenter__(self) -> Self:
        """Loads every avatar at the usual size, so that the first session need not wait for it."""
        self._inference.__enter__()
        loaded = []
        for avatar_id in self.known_avatars():
            try:
                loaded.append(await asyncio.to_thread(_loaded, self.catalogue, avatar_id))
            except AvatarError as error:
                log.error("avatar cannot be used", extra={"avatar": avatar_id, "reason": str(error)})
        await asyncio.to_thread(nvenc_opens)
        if "recording" in self._settings.publishers:
            await asyncio.to_thread(self._recorder.start)
        await self.monitor.__aenter__()
        keep_time()
        log.info("the event loop has %s priority", "real-time" if self._coming_first.__enter__() else "usual")
        self._preparing = asyncio.create_task(self._prepare(loaded), name="prepare")
        return self

    async def _prepare(self, avatars: Sequence[LoadedAvatar]) -> None:
        """Finds out what a session is likely to cost, and rehearses; the server is ready meanwhile."""
        for avatar in avatars:
            if guess := await asyncio.to_thread(_guessed_costs, avatar, self.catalogue.at_once, self._cores):
                self.monitor.expect(guess)
                break
        for avatar in avatars:
            size = size_of_quality(USUAL_QUALITY, avatar.bundle.size)
            self._rehearsals.begin(await asyncio.to_thread(avatar.sizes.at, size))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._coming_first.__exit__(kind, error, trace)
        collect_again()
        self._preparing.cancel()
        await asyncio.gather(self._preparing, return_exceptions=True)
        await self.monitor.__aexit__(kind, error, trace)
        await asyncio.to_thread(self._inference.__exit__, kind, error, trace)
        await asyncio.to_thread(self._encoders.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._loaders.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._rehearsals.close)
        await asyncio.to_thread(self._recorder.__exit__, kind, error, trace)

    def known_avatars(self) -> Collection[str]:
        return [summary.id for summary in self.catalogue.summaries()]

    async def open(self, request: StartRequest, session_id: str) -> Session:
        """A session ready to run."""
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        load = partial(self.catalogue.load, request.avatar_id, aside=True)
        loaded = await loop.run_in_executor(self._loaders, load)
        options = SessionOptions(
            self._settings.lead_ms,
            backlog_s=self._settings.max_backlog_s,
            manner=Manner(after_speech=self._settings.after_speech),
        )

        def emit(event: Event) -> None:
            session.emit(event)

        def fail(error: AvatarError) -> None:
            session.fail(error)

        def on_shown(shown: Shown) -> None:
            if shown.frame.tick.index == 0:
                self.metrics.start_seconds.observe(time.monotonic() - began)
            self._count(shown, counts)

        counts = self.metrics.frames_of(loaded.bundle.id)
        opening = Opening(session_id, request, loaded.bundle, emit, fail)
        compositor = await loop.run_in_executor(self._loaders, partial(loaded.sizes.at, opening.size, aside=True))
        session = Session(
            session_id,
            loaded.bundle,
            loaded.model,
            self._inference,
            [self._publishers[name](opening) for name in self._settings.publishers],
            MonotonicClock(),
            options,
            on_shown=on_shown,
            on_token=lambda token: self._renew_token(session_id, token),
            compositor=compositor,
        )
        self._rehearsals.begin(compositor)
        self.monitor.join(session)
        return session

    def watchable(self, session_id: str) -> WebRtcPublisher | None:
        """What shows a session to browsers, if it is shown to them."""
        return self._watchable.get(session_id)

    def may_start(self, request: StartRequest) -> None:
        """Raises ApiError: the request cannot be published as the settings want it."""
        if "agora" in self._settings.publishers:
            check_place(request)

    def _renew_token(self, session_id: str, token: str) -> None:
        if publisher := self._channels.get(session_id):
            publisher.renew_token(token)

    def _agora(self, opening: Opening) -> AgoraPublisher:
        encoded = self._settings.agora_encoding == "encoded"
        place = Place(opening.request, opening.size, opening.timeline, encoded)
        publisher = AgoraPublisher(opening.session_id, place, self._figures, opening.emit, opening.fail)
        self._channels[opening.session_id] = publisher
        return publisher

    def _webrtc(self, opening: Opening) -> WebRtcPublisher:
        from server.publishers.webrtc import WebRtcPublisher

        ice_servers = [ice_server(text) for text in self._settings.ice_servers]
        publisher = WebRtcPublisher(opening.size, opening.timeline, ice_servers=ice_servers, encoders=self._encoders)
        self._watchable[opening.session_id] = publisher
        return publisher

    def _count(self, shown: Shown, counts: FrameCounts) -> None:
        self.monitor.note(shown)
        counts.all.inc()
        if shown.late:
            counts.late.inc()
        if shown.repeated:
            counts.repeated.inc()
        if shown.waited_ns is not None:
            self.metrics.first_frame_seconds.observe(shown.waited_ns / 1e9)


def _loaded(catalogue: Catalogue, avatar_id: str) -> LoadedAvatar:
    avatar = catalogue.load(avatar_id)
    avatar.sizes.at(size_of_quality(USUAL_QUALITY, avatar.bundle.size), n_cores())
    return avatar


def _guessed_costs(avatar: LoadedAvatar, at_once: int, cores: float) -> Mapping[str, float]:
    from server.load.guess import guessed_costs  # which takes a while, and is wanted once the server is ready

    return guessed_costs(avatar, at_once, cores)


def share_of_cores(settings: Settings) -> float:
    """Cores that one worker may count on: an equal share, for they all work on the same ones."""
    return n_cores() / settings.workers


def folders_of(settings: Settings, embedded: Path) -> list[Path]:
    """Where avatars are, those of the operator first."""
    return [*map(Path, settings.avatar_dirs), embedded]


def build_stage(settings: Settings, embedded: Path) -> Stage:
    """What the sessions of one process perform on.

    Raises:
        RuntimeUnavailable: no library for the networks is installed.
    """
    n_threads = threads_for(settings.threads, share_of_cores(settings))
    catalogue = Catalogue(
        folders_of(settings, embedded),
        settings.runtime,
        at_once=n_threads,
        budget_bytes=settings.footage_mib * 2**20,
        network_bytes=settings.network_mib * 2**20,
    )
    return Stage(settings, catalogue, Metrics())


def build_server(settings: Settings, embedded: Path = EMBEDDED) -> AvatarServer:
    """A server that is ready to run, with its sessions in this process.

    Args:
        embedded: the avatars that are there besides those of the settings.

    Raises:
        RuntimeUnavailable: no library for the networks is installed.
    """
    stage, settings = build_stage(settings, embedded), with_secret(settings)

    async def watchable(session_id: str) -> WebRtcPublisher | None:
        with suppress(SessionNotFound):
            await app.state.sessions.settled(session_id)
        return stage.watchable(session_id)

    app = create_app(
        settings,
        stage.open,
        stage.known_avatars,
        resources=[stage],
        operations=avatar_operations(stage.catalogue),
        extra_routes=[*whep_routes(watchable, lambda *access: opens(app, *access)), *studio_routes()],
        metrics=stage.metrics,
        may_start=stage.may_start,
        room=stage.monitor,
    )
    return AvatarServer(app, settings)


def serve_forever(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; makes and prints an API key where none is set."""
    logs.configure(settings.log_level, secrets=(*settings.api_keys, settings.token_secret))
    if not settings.api_keys:
        key = new_api_key()
        settings = dataclasses.replace(settings, api_keys=(key,))
        sys.stderr.write(f"No AVATAR_API_KEYS set. This server's key, until it ends: {key}\n")
        sys.stderr.write(f"Studio: http://{settings.host}:{settings.port}/studio#key={key}\n")
    server = _built(settings)
    # Once it has shut down, uvicorn sends itself the signal that ended it: an orderly end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server.run()
    if not server.started:
        raise AvatarError(f"could not listen on {settings.host}:{settings.port}")


def _built(settings: Settings) -> AvatarServer:
    if settings.workers == 1:
        return build_server(settings)
    from server.workers.front import build_front

    return build_front(settings)
