"""Draws one session's pictures: bodies at once, mouths in the inference thread, as many as there is time for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.framing import Framing
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
        model: draws mouths; None shows the footage's own.
        inference: where the model runs.
        framing: how pictures are shown at another size than the avatar's own; None leaves them as they are.
    """

    def __init__(
        self, bundle: AvatarBundle, model: LipSyncModel | None, inference: Inference, framing: Framing | None
    ) -> None:
        self.level = Level.FULL
        self._bundle = bundle
        self._model = model
        self._inference = inference
        self._framing = framing
        self._compositor = Compositor(bundle)
        self._drawn: _Drawn | None = None

    @property
    def first(self) -> Picture:
        """What is seen before anything is planned."""
        picture: Picture = self._bundle.clips[self._bundle.loops["idle"]].frames[0]
        return self._framing.apply(picture) if self._framing else picture

    def picture(self, plan: Plan, due_ns: int) -> Picture | asyncio.Future[Picture]:
        """A frame's picture, or when it will be there; what is cancelled is not drawn."""
        if plan.mouth is None or self._model is None:
            picture = self._compositor.compose(plan.shot)
            if self._framing is None:
                return picture
            return asyncio.get_running_loop().run_in_executor(None, self._framing.apply, picture)
        before, self._drawn = self._drawn, None
        if self.level is Level.HALF_RATE and before and before.index == plan.tick.index - 1:
            return asyncio.create_task(self._repeat(before, plan.shot, plan.mouth.strength))
        self._drawn = _Drawn(plan.tick.index)
        self._drawn.picture = self._draw(self._model, self._drawn, plan.shot, plan.mouth, due_ns)
        return self._drawn.picture

    def _draw(
        self, model: LipSyncModel, drawn: _Drawn, shot: Shot, mouth: MouthWish, due_ns: int
    ) -> asyncio.Future[Picture]:
        job = MouthJob(mouth.features, self._compositor.crop(shot), mouth.openness, self._bundle.tuning)
        return self._inference.draw(model, job, partial(self._compose, shot, mouth.strength, drawn), due_ns)

    def _compose(self, shot: Shot, strength: float, drawn: _Drawn, mouth: Rgb) -> Picture:
        drawn.mouth = mouth
        picture = self._compositor.compose(shot, mouth, strength)
        return self._framing.apply(picture) if self._framing else picture

    async def _repeat(self, drawn: _Drawn, shot: Shot, strength: float) -> Picture:
        """The mouth of the frame before on this frame's body; given up if that one was."""
        if drawn.picture:
            await asyncio.wait([drawn.picture])
        if drawn.mouth is None:
            raise asyncio.CancelledError
        compose = partial(self._compose, shot, strength, drawn, drawn.mouth)
        return await asyncio.get_running_loop().run_in_executor(None, compose)
