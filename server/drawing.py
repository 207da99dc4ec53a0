"""Draws one session's pictures: bodies at once, mouths in the inference thread, as many as there is time for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.lipsync import LipSyncModel, MouthJob
from avatar.performance import MouthWish, Plan
from avatar.pictures import Picture, Rgb
from server.inference import Inference
from server.load.levels import Level


@dataclass(slots=True)
class _Drawn:
    """A mouth that is being drawn, and the picture that it is for."""

    index: int
    picture: asyncio.Future[Picture] | None = None
    mouth: Rgb | None = None


class Drawing:
    """Makes the pictures of plans, which come in order. For the event loop.

    Args:
        compositor: makes the pictures; sessions share it.
        model: draws mouths; None shows the footage's own.
        inference: where the model runs.
    """

    def __init__(self, compositor: Compositor, model: LipSyncModel | None, inference: Inference) -> None:
        self.level = Level.FULL
        self._compositor = compositor
        self._model = model
        self._inference = inference
        self._drawn: _Drawn | None = None

    @property
    def first(self) -> Picture:
        """What is seen before anything is planned."""
        return self._compositor.compose(Shot(self._compositor.bundle.loops["idle"], 0, "idle"))

    def picture(self, plan: Plan, due_ns: int) -> Picture | asyncio.Future[Picture]:
        """A frame's picture, or when it will be there; what is cancelled is not drawn."""
        if plan.mouth is None or self._model is None:
            ready = self._compositor.at_hand(plan.shot)
            if ready is not None:
                return ready
            return self._inference.compose(partial(self._compositor.compose, plan.shot))
        before, self._drawn = self._drawn, None
        if self.level is Level.HALF_RATE and before and before.index == plan.tick.index - 1:
            return asyncio.create_task(self._repeat(before, plan.shot, plan.mouth.strength))
        self._drawn = _Drawn(plan.tick.index)
        self._drawn.picture = self._draw(self._model, self._drawn, plan.shot, plan.mouth, due_ns)
        return self._drawn.picture

    async def prepare(self, shots: Sequence[Shot]) -> None:
        """Crosses the clips of shots to come, one after another, so that others need not wait for all of them."""
        for shot in shots:
            if not self._compositor.is_ready(shot):
                await self._inference.compose(partial(self._compositor.compose, shot))

    def _draw(
        self, model: LipSyncModel, drawn: _Drawn, shot: Shot, mouth: MouthWish, due_ns: int
    ) -> asyncio.Future[Picture]:
        job = MouthJob(mouth.features, self._compositor.crop(shot), mouth.openness, self._compositor.bundle.tuning)
        draw = partial(self._inference.draw, model, job, partial(self._compose, shot, mouth.strength, drawn), due_ns)
        return draw() if self._compositor.is_ready(shot) else asyncio.create_task(self._when_ready(shot, draw))

    async def _when_ready(self, shot: Shot, draw: Callable[[], asyncio.Future[Picture]]) -> Picture:
        """Else other mouths would have to wait in the inference thread until two clips are crossed."""
        await self._inference.compose(partial(self._compositor.compose, shot))
        return await draw()

    def _compose(self, shot: Shot, strength: float, drawn: _Drawn, mouth: Rgb) -> Picture:
        drawn.mouth = mouth
        return self._compositor.compose(shot, mouth, strength)

    async def _repeat(self, drawn: _Drawn, shot: Shot, strength: float) -> Picture:
        """The mouth of the frame before on this frame's body; given up if that one was."""
        if drawn.picture:
            await asyncio.wait([drawn.picture])
        if drawn.mouth is None:
            raise asyncio.CancelledError
        return await self._inference.compose(partial(self._compose, shot, strength, drawn, drawn.mouth))
