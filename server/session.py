"""One avatar on the air: plans frames a little ahead of time, and shows each when it is due."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

from avatar.audio import AudioChunk, Pcm, faded_out
from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.cues import Block
from avatar.director import Manner
from avatar.errors import AvatarError
from avatar.lipsync import LipSyncModel
from avatar.performance import Performance, Plan
from avatar.pictures import Picture
from avatar.speech import Utterance
from avatar.timeline import Timeline
from server.drawing import Drawing
from server.inference import Inference
from server.late_pictures import LatePictures
from server.load.levels import Level
from server.pacing import NEVER_NS, Clock, next_beat
from server.publisher import Publisher, RenderedFrame
from server.special.events import action_event, refused_event

log = logging.getLogger(__name__)

SAMPLE_RATE = 48_000
"""Of all published sound, in hertz: what WebRTC's Opus, AAC and Agora take as it is."""

FADE_MS = 10
SOONEST_MS = 40
"""Frames due later than this from now are planned anew when speech or a wish arrives in silence, so that it is answered
soon: there is time to draw them."""

KEPT_MS = 200
"""Of the speech that waits: so much is planned no earlier than it must be, so that the next piece is in time."""

MOST_AHEAD = 60
"""Frames that may be planned and not shown yet: fewer than the performance can take back."""

NS_PER_MS = 1_000_000

Event = dict[str, object]


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session works.

    Attributes:
        lead_ms: how far ahead of the clock frames are rendered, at least.
        most_lead_ms: and at most, where so much speech is there.
        backlog_s: seconds of speech that may wait.
        manner: how the body is directed.
    """

    lead_ms: int = 80
    most_lead_ms: int = 200
    backlog_s: float = 600
    manner: Manner = Manner()


@dataclass(frozen=True, slots=True)
class Shown:
    """What became of one frame.

    Attributes:
        lateness_ns: how long after its time it was published.
        repeated: whether its own picture was not ready, so that the last one was shown again.
        late: whether it was repeated, or more than half a frame late.
        spare: share of a frame's time that was left when its picture was finished, 0 where it was not; None where there
            was nothing to draw.
        waited_ns: set where an utterance begins that nothing was before: how long after its first sound had come.
    """

    frame: RenderedFrame
    lateness_ns: int
    repeated: bool
    late: bool
    spare: float | None
    waited_ns: int | None


@dataclass(slots=True)
class _Rendering:
    """A planned frame, and its picture as soon as it is drawn; None where it was too late to draw one."""

    plan: Plan
    picture: Picture | asyncio.Future[Picture] | None
    finished_ns: int | None = None

    def cancel(self) -> None:
        """Nobody needs its picture any more."""
        if isinstance(self.picture, asyncio.Future):
            self.picture.cancel()


class Session:
    """One avatar performing for one client. All methods belong on the event loop; only ``run`` waits.

    Args:
        bundle: the avatar.
        model: draws its mouth; None shows the footage's own.
        inference: where the model runs.
        publishers: where pictures and sound go; entered and left by ``run``.
        emit: is told what happens (events of the protocol), at the moment when it is shown.
        on_shown: is told of every frame, for figures.
        on_token: is told every token for the channel that the client brings later.
        compositor: makes its pictures, for all sessions that show the avatar at one size; without one the session has
            its own.
    """

    def __init__(
        self,
        session_id: str,
        bundle: AvatarBundle,
        model: LipSyncModel | None,
        inference: Inference,
        publishers: Sequence[Publisher],
        clock: Clock,
        options: SessionOptions = SessionOptions(),
        emit: Callable[[Event], None] = lambda event: None,
        on_shown: Callable[[Shown], None] = lambda shown: None,
        on_token: Callable[[str], None] = lambda token: None,
        compositor: Compositor | None = None,
    ) -> None:
        self.id = session_id
        self.timeline = Timeline(bundle.fps, SAMPLE_RATE)
        self.emit = emit
        self.on_shown = on_shown
        self._on_token = on_token
        self._drawing = Drawing(compositor or Compositor(bundle), model, inference)
        self._publishers = publishers
        self._clock = clock
        self._options = options
        spec = model.spec if model else None
        self._performance = Performance(bundle, self.timeline, spec, options.backlog_s, options.manner)
        self._origin_ns = NEVER_NS  # no frame is due as long as the publishers are still being entered
        self._next_shown = 0
        self._next_planned = 0
        self._rendering: deque[_Rendering] = deque()
        self._late = LatePictures()
        self._fade: tuple[int, Pcm] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._last_picture = self._drawing.first
        self._heard_ns: int | None = None
        self._stopped = asyncio.Event()
        self._failure: AvatarError | None = None
        # What was told to the client last.
        self._state = "idle"
        self._utterance: Utterance | None = None
        self._n_played = 0
        self._told_next: list[Event] = []
        """What is true when the next frame is shown: that speech has faded, or has come to its end."""

    @property
    def sample_rate(self) -> int:
        return self.timeline.sample_rate

    @property
    def is_on_air(self) -> bool:
        """Whether its publishers have been entered."""
        return self._origin_ns != NEVER_NS

    @property
    def busy(self) -> bool:
        """Whether it speaks, or a mouth is still open."""
        return self._performance.busy

    def hear(self, pcm: Pcm, event_id: str = "") -> None:
        """Takes in speech, int16 mono at ``sample_rate``.

        Raises:
            BacklogFull: it was refused; what waits stays.
        """
        if not self._performance.n_waiting:
            self._heard_ns = self._clock.now_ns()
        self._performance.hear(AudioChunk(pcm, self._performance.turn, event_id))
        self._plan_silence_anew()

    def end_speech(self, event_id: str = "") -> None:
        """What was heard so far is a complete utterance."""
        self._performance.end_speech()

    def interrupt(self, event_id: str = "") -> None:
        """Stops speaking at once: sound fades within 10 ms of the next frame, the mouth closes in three after it."""
        self._plan_ahead()
        next_up = self._rendering.popleft() if self._rendering else None
        if next_up and next_up.plan.utterance:
            n_fade = FADE_MS * self.sample_rate // 1000
            self._fade = (self._next_shown, faded_out(next_up.plan.sound, n_fade))
        self._withdraw()
        # For another picture of the next frame there may be no time left; where it is drawn already, it is shown.
        kept = next_up if next_up and self._finished(next_up.picture) is not None else None
        self._next_planned = self._next_shown + (kept is not None)
        self._performance.interrupt(self._next_planned)
        if kept:
            told = replace(kept.plan, turn=self._performance.turn, utterance=None, n_speech=0, begins=False, ends=False)
            self._rendering.append(replace(kept, plan=told))
        elif next_up:
            next_up.cancel()
        for publisher in self._publishers:
            publisher.flush()
        if self._utterance:
            if self._fade:
                self._n_played += FADE_MS * self.sample_rate // 1000
            self._told_next.append({"event": "speak_interrupted", **self._played()})
            self._utterance = None
        self._plan_ahead()

    def enter(self, state: str) -> None:
        """Puts the avatar in a state.

        Raises:
            UnknownState: it does not have it.
        """
        self._performance.enter(state)
        self._plan_silence_anew()

    def perform(self, block: Block) -> None:
        """Asks for behaviours, whose seconds count from now; what cannot be done is ignored, with an event."""
        reception = self._performance.perform(block, self._next_shown)
        self._plan_silence_anew()
        for refusal in reception.refused:
            self.emit(refused_event(refusal, block.event_id))
        for happening in reception.ignored:
            self.emit(action_event(happening))

    def draw(self, level: Level) -> None:
        """How much is drawn from the next frame on that is planned; the client is told of a change."""
        if level is not self._drawing.level:
            self.emit({"event": "level_changed", "from": self._drawing.level.title, "to": level.title})
        self._drawing.level = level
        self._performance.draws_mouth = level is not Level.BODY_ONLY

    def renew_token(self, token: str) -> None:
        """The client brought a fresh token for the channel."""
        self._on_token(token)

    def stop(self) -> None:
        """Ends ``run``."""
        self._stopped.set()

    def fail(self, error: AvatarError) -> None:
        """Ends ``run`` with ``error``: a publisher cannot go on."""
        self._failure = error
        self._stopped.set()

    async def run(self) -> None:
        """Performs until ``stop`` or cancellation; the publishers are always left.

        Raises:
            AvatarError: a publisher could not be entered, or failed.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self._forget_publishers)
            stack.callback(self._withdraw)
            stack.callback(self._prepare_no_more)
            for publisher in self._publishers:
                await stack.enter_async_context(publisher)
            self._origin_ns = next_beat(self._clock.now_ns() + self._options.lead_ms * NS_PER_MS)
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(self._perform())
                await self._stopped.wait()
                work.cancel()
        if self._failure:
            raise self._failure

    def _forget_publishers(self) -> None:
        """Some know their session, too: what they hold need not wait for the garbage collector."""
        self._publishers = ()

    def _prepare_no_more(self) -> None:
        if self._preparing:
            self._preparing.cancel()

    def _withdraw(self) -> None:
        """Nobody needs the pictures any more that were asked for."""
        for rendering in self._rendering:
            rendering.cancel()
        self._rendering.clear()
        self._late.give_up()

    async def _perform(self) -> None:
        """Shows and plans in turns of their own: of sessions that share a beat all show before any of them plans, which
        takes ten times as long."""
        while True:
            due_ns = self._due_ns(self._next_shown)
            await self._clock.sleep_until(min(due_ns, self._due_ns(self._next_planned) - self._lead_ns()))
            lateness_ns = self._clock.now_ns() - due_ns
            if lateness_ns >= 0 and self._rendering:
                self._show(self._rendering.popleft(), lateness_ns)
            else:
                self._plan_ahead()

    def _due_ns(self, index: int) -> int:
        return self._origin_ns + self.timeline.start_ns(index)

    def _plan_silence_anew(self) -> None:
        soonest_ns, index = self._clock.now_ns() + SOONEST_MS * NS_PER_MS, self._next_shown
        while index < self._next_planned and self._due_ns(index) < soonest_ns:
            index += 1
        for _ in range(self._performance.take_back_silence(index)):
            self._rendering.pop().cancel()
            self._next_planned -= 1
        self._plan_ahead()

    def _lead_ns(self) -> int:
        """Speech that is there already is used to draw ahead of a moment in which there is too much to do."""
        waiting_ms = 1000 * self._performance.n_waiting // self.sample_rate
        lead_ms = max(self._options.lead_ms, min(self._options.most_lead_ms, waiting_ms - KEPT_MS))
        return lead_ms * NS_PER_MS

    def _plan_ahead(self) -> None:
        """Plans every frame that is due within the lead, and asks for its picture.

        Frames whose time is over have sound alone. Who was held up would else never catch up, or hold minutes of
        pictures that nobody has time to see.
        """
        now_ns = self._clock.now_ns()
        while self._due_ns(self._next_planned) <= now_ns + self._lead_ns():
            if self._next_planned - self._next_shown >= MOST_AHEAD:
                break
            plan = self._performance.step(self.timeline.tick(self._next_planned))
            self._next_planned += 1
            is_over = self._due_ns(self._next_planned) <= now_ns
            rendering = _Rendering(
                plan, None if is_over else self._drawing.picture(plan, self._due_ns(plan.tick.index))
            )
            if isinstance(rendering.picture, asyncio.Future):
                rendering.picture.add_done_callback(partial(self._note_finished, rendering))
            self._rendering.append(rendering)
            if plan.coming:
                self._prepare_no_more()
                self._preparing = asyncio.create_task(self._drawing.prepare(plan.coming))

    def _note_finished(self, rendering: _Rendering, picture: asyncio.Future[Picture]) -> None:
        rendering.finished_ns = self._clock.now_ns()

    def _show(self, rendering: _Rendering, lateness_ns: int) -> None:
        plan, picture = rendering.plan, self._finished(rendering.picture)
        repeated = picture is None
        if isinstance(rendering.picture, asyncio.Future) and not rendering.picture.done():
            self._late.add(rendering.picture)
        if picture is None:
            picture = self._late.newest()
        else:
            self._late.give_up()
        if picture is not None:
            self._last_picture = picture
        sound = plan.sound
        if self._fade:
            index, faded = self._fade
            sound, self._fade = (faded if index == plan.tick.index else sound), None
        frame = RenderedFrame(plan.tick, plan.turn, self._last_picture, sound)
        for publisher in self._publishers:
            publisher.publish(frame)
        self._next_shown += 1
        due, self._told_next = self._told_next, []
        for event in due:
            self.emit(event)
        self._tell(plan)
        waited_ns = self._clock.now_ns() - self._heard_ns if plan.begins and self._heard_ns else None
        self._heard_ns = None if plan.begins else self._heard_ns
        late = repeated or lateness_ns > self.timeline.start_ns(1) // 2
        self.on_shown(Shown(frame, lateness_ns, repeated, late, self._spare(rendering), waited_ns))

    def _spare(self, rendering: _Rendering) -> float | None:
        if not isinstance(rendering.picture, asyncio.Future):
            return None
        if rendering.finished_ns is None:
            return 0.0
        return (self._due_ns(rendering.plan.tick.index) - rendering.finished_ns) / self.timeline.start_ns(1)

    def _finished(self, picture: Picture | asyncio.Future[Picture] | None) -> Picture | None:
        """The picture, or None where it is not there (yet)."""
        if not isinstance(picture, asyncio.Future):
            return picture
        if not picture.done() or picture.cancelled():
            return None
        if error := picture.exception():
            log.error("a mouth could not be drawn", exc_info=error, extra={"session": self.id})
            return None
        return picture.result()

    def _tell(self, plan: Plan) -> None:
        """Sends the events of a frame that has just been shown."""
        if plan.shot.state != self._state:
            self.emit({"event": "state_changed", "from": self._state, "to": plan.shot.state})
            self._state = plan.shot.state
        for happening in plan.happenings:
            self.emit(action_event(happening))
        if plan.begins and plan.utterance:
            self._utterance, self._n_played = plan.utterance, 0
            self.emit(
                {
                    "event": "speak_started",
                    "utterance": plan.utterance.number,
                    "event_id": plan.utterance.event_id,
                }
            )
        self._n_played += plan.n_speech
        if plan.ends:
            ended: Event = {"event": "speak_ended", **self._played()}
            if 2 * plan.n_speech > plan.tick.n_samples:
                self._told_next.append(ended)  # the end is nearer to the next frame than to this
            else:
                self.emit(ended)
            self._utterance = None

    def _played(self) -> Event:
        number = self._utterance.number if self._utterance else 0
        return {"utterance": number, "played_ms": round(1000 * self._n_played / self.sample_rate)}
