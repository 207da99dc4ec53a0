"""How clips cross, seen on the pictures: no step at a join may be much larger than the steps inside of the clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.cues import Enter, Pause, Perform
from avatar.director import Shot
from avatar.errors import BundleError
from avatar.pictures import Picture, planes
from models.making.seams.script import Asked, Session

BAR = 1.5
"""A step at a join may be this many times the 99th percentile of the steps inside of the clips."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One join that was seen.

    Attributes:
        start: the first frame of it in the session.
        stop: the first frame after it.
        step: the largest difference of two frames that follow one another in it, levels of luma.
    """

    start: int
    stop: int
    left: str
    entered: str
    step: float


@dataclass(frozen=True, slots=True)
class JoinFigures:
    """What was measured of a session.

    Attributes:
        inside_p99: 99th percentile of the difference of frames that follow one another in a clip, levels of luma.
        crossings: in the order of time.
        gesture_waits_s: from a wish for a gesture to its first frame, where nothing was in the way.
        state_waits_s: from a wish for a state to the first frame of its clip, likewise.
    """

    inside_p99: float
    crossings: tuple[Crossing, ...]
    gesture_waits_s: tuple[float, ...]
    state_waits_s: tuple[float, ...]

    @property
    def worst(self) -> Crossing:
        return max(self.crossings, key=lambda crossing: crossing.step)

    @property
    def ratio(self) -> float:
        """The largest step at a join over the 99th percentile inside of the clips; the bar is `BAR`."""
        return self.worst.step / self.inside_p99

    def summary(self) -> dict[str, object]:
        """What to write down, in the order of interest."""
        worst, lengths = self.worst, [crossing.stop - crossing.start for crossing in self.crossings]
        return {
            "joins": len(self.crossings),
            "inside_p99": round(self.inside_p99, 3),
            "largest_at_a_join": round(worst.step, 3),
            "ratio": round(self.ratio, 3),
            "bar": BAR,
            "worst": f"{worst.left} > {worst.entered} at frame {worst.start}",
            "crossing_frames": [min(lengths), float(np.median(lengths)), max(lengths)],
            "longest_wait_s": {
                "gesture": round(max(self.gesture_waits_s, default=0), 2),
                "state": round(max(self.state_waits_s, default=0), 2),
            },
        }


class Eye:
    """Sees an avatar's footage without a drawn mouth, and how much of it changes from frame to frame."""

    def __init__(self, bundle: AvatarBundle) -> None:
        self._bundle = bundle
        self._compositor = Compositor(bundle)

    def picture(self, shot: Shot) -> Picture:
        return self._compositor.compose(shot)

    def steps(self, shots: Sequence[Shot]) -> list[float]:
        """Mean absolute differences of luma from each shot to the next, in levels, where neither has its mouth."""
        seen = [(planes(self.picture(shot)).y, self._compositor.mask_of(shot)) for shot in shots]
        return [
            float(np.asarray(cv2.absdiff(one, other))[(mouth | other_mouth) == 0].mean())
            for (one, mouth), (other, other_mouth) in zip(seen, seen[1:], strict=False)
        ]

    def inside(self) -> list[float]:
        """Every step inside of every clip."""
        clips = self._bundle.clips.items()
        return [step for name, clip in clips for step in self.steps([Shot(name, i, "idle") for i in range(len(clip))])]


def judge_joins(
    bundle: AvatarBundle, session: Session, progress: Callable[[int, int], None] = lambda done, total: None
) -> JoinFigures:
    """Measures every join of a session; ``progress`` is told how many are done, of how many.

    Raises:
        BundleError: nothing moves in the clips, or nothing was joined.
    """
    eye, shots = Eye(bundle), session.shots
    inside = eye.inside()
    crossings = []
    found = spans(shots)
    for done, (start, stop) in enumerate(found, start=1):
        steps = eye.steps(shots[start - 1 : stop + 1])
        crossings.append(Crossing(start, stop, shots[start - 1].clip, shots[start].clip, max(steps)))
        progress(done, len(found))
    p99 = float(np.percentile(inside, 99)) if inside else 0.0
    if not crossings or p99 == 0:
        raise BundleError(f"avatar '{bundle.id}' shows {len(crossings)} joins and steps of {p99:.2f} levels: no bar")
    return JoinFigures(p99, tuple(crossings), waits_s(bundle, session, Perform), waits_s(bundle, session, Enter))


def waits_s(bundle: AvatarBundle, session: Session, kind: type[Perform] | type[Enter]) -> tuple[float, ...]:
    """How long wishes of a kind waited that changed something and that nothing was in the way of."""
    asked = [asked for asked in session.asked if asked.free and isinstance(asked.wish, kind)]
    waits = [_wait(bundle, session, each) for each in asked]
    return tuple(wait / float(bundle.fps) for wait in waits if wait is not None)


def spans(shots: list[Shot]) -> list[tuple[int, int]]:
    """The first frame of each crossing, or cut, and the first after it."""
    found: list[tuple[int, int]] = []
    for index, (before, shot) in enumerate(zip(shots, shots[1:], strict=False), start=1):
        if shot.leaving is None and shot.clip == before.clip:
            continue
        if found and shot.leaving and before.leaving and before.leaving.weight < shot.leaving.weight:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return found


def _wait(bundle: AvatarBundle, session: Session, asked: Asked) -> int | None:
    """Frames from a wish to the first of what it asked for; None if that was there, or something came in between."""
    stop = min([*(other.index for other in session.asked if other.index > asked.index), len(session.shots)])
    for index in range(asked.index, stop):
        shot = session.shots[index]
        match asked.wish:
            case Perform(gesture):
                came = shot.gesture == gesture
            case Enter(state):
                came = shot.clip == bundle.loops[state]
            case Pause():
                came = False
        if came or (isinstance(asked.wish, Enter) and shot.state != asked.wish.state):
            return index - asked.index if came and shot.leaving is not None else None
    return None
