"""The border of the drawn mouth, seen on the pictures: where it begins, nothing may be steeper than in the footage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.audio import AudioChunk, Pcm
from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.cues import Action, Behaviour, Block, Enter, Perform
from avatar.director import Shot
from avatar.errors import BundleError
from avatar.lipsync import LipSyncModel, MouthJob
from avatar.performance import Performance, Plan
from avatar.pictures import Picture, planes
from avatar.timeline import Timeline

BAR = 1.1
"""The gradient along the border may be this many times the footage's own, in the median of the frames."""

SAMPLE_RATE = 48_000
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_EVERY = 3
"""One frame in this many is looked at."""


@dataclass(frozen=True, slots=True)
class Border:
    """What was seen on one frame.

    Attributes:
        ratio: mean gradient of luma in the mask's soft edge, with the mouth over without.
        step: how far the drawn colours are off the footage's there, in the mean: levels of Y, U, V.
    """

    shot: Shot
    ratio: float
    step: tuple[float, float, float]
    footage: Picture
    composed: Picture


@dataclass(frozen=True, slots=True)
class BorderFigures:
    """What was measured of a speech, frame by frame."""

    borders: tuple[Border, ...]

    @property
    def ratio(self) -> float:
        """The median over the frames; the bar is `BAR`."""
        return float(np.median([border.ratio for border in self.borders]))

    def summary(self) -> dict[str, object]:
        """What to write down, in the order of interest."""
        ratios = [border.ratio for border in self.borders]
        steps = np.abs([border.step for border in self.borders])
        return {
            "frames": len(self.borders),
            "gradient_ratio": {
                "median": round(self.ratio, 3),
                "p95": round(float(np.percentile(ratios, 95)), 3),
                "largest": round(max(ratios), 3),
            },
            "bar": BAR,
            "colour_step": {
                channel: {"median": round(float(np.median(each)), 2), "largest": round(float(each.max()), 2)}
                for channel, each in zip("YUV", steps.T, strict=True)
            },
        }


def judge_borders(
    bundle: AvatarBundle,
    model: LipSyncModel,
    speech: Pcm,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> BorderFigures:
    """Speaks ``speech`` (int16 mono at 48 kHz) through every state and gesture and looks at the mouth's border.

    Raises:
        BundleError: no mouth was drawn.
    """
    compositor, borders = Compositor(bundle), []
    plans = [plan for plan in _spoken(bundle, model, speech) if plan.mouth and plan.mouth.strength == 1][::_EVERY]
    for done, plan in enumerate(plans, start=1):
        if plan.mouth is not None and plan.shot.leaving is None:
            job = MouthJob(plan.mouth.features, compositor.crop(plan.shot), plan.mouth.openness, bundle.tuning)
            borders.append(_border(compositor, plan.shot, model.draw([job])[0]))
        progress(done, len(plans))
    if not borders:
        raise BundleError(f"avatar '{bundle.id}' drew no mouth for this speech: it holds no voice")
    return BorderFigures(tuple(borders))


def _spoken(bundle: AvatarBundle, model: LipSyncModel, speech: Pcm) -> Iterator[Plan]:
    timeline = Timeline(bundle.fps, SAMPLE_RATE)
    performance = Performance(bundle, timeline, model.spec, len(speech) / SAMPLE_RATE + 1)
    performance.hear(AudioChunk(speech, performance.turn))
    performance.end_speech()
    actions: Iterator[Action] = cycle([*map(Enter, bundle.loops), *map(Perform, bundle.gestures)])
    for index in range(timeline.frames_holding(len(speech))):
        if index % 40 == 0:
            performance.perform(Block((Behaviour(next(actions)),)), index)
        yield performance.step(timeline.tick(index))


def _border(compositor: Compositor, shot: Shot, mouth: NDArray[np.uint8]) -> Border:
    footage, composed = compositor.compose(shot), compositor.compose(shot, mouth)
    mask = compositor.mask_of(shot)
    edge = cv2.dilate(mask, _NEIGHBOURS) > cv2.erode(mask, _NEIGHBOURS)
    ratio = _gradient(planes(composed).y)[edge].mean() / max(float(_gradient(planes(footage).y)[edge].mean()), 1e-6)
    return Border(shot, float(ratio), _step(footage, composed, mask), footage, composed)


def _gradient(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Levels per pixel."""
    x, y = (cv2.Scharr(luma, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(x, y), np.float32)


def _step(footage: Picture, composed: Picture, mask: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Undoes the mask where it is half in, so as to see the drawn colours against the footage's."""
    steps = []
    for drawn, own in zip(planes(composed), planes(footage), strict=True):
        share = cv2.resize(mask, own.shape[::-1], interpolation=cv2.INTER_AREA)
        there = (share > 48) & (share < 160)
        off = (drawn[there].astype(float) - own[there]) / (share[there] / 255)
        steps.append(float(off.mean()) if off.size else 0.0)
    return steps[0], steps[1], steps[2]
