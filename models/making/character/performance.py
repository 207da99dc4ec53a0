"""The motion of each clip: from a clip's name and a frame's number to the presenter's pose.

Loops are played forth and back, so their motion is made of sines that stand still at both ends and look right in
reverse.
Gestures are played once and begin and end in the rest pose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from models.making.character.mouth import REST, SMILE, Weights, added
from models.making.character.pose import Pose


@dataclass(frozen=True)
class Performance:
    """A clip to be rendered: its unique frames, whether it is played forth and back, and its motion."""

    n_frames: int
    swings: bool
    key_step: int
    """Frames from one that is rendered to the next, where the motion is slow."""
    motion: Callable[[float], Pose]
    """From the place in the clip, 0 (first frame) to 1 (last), to the pose."""

    def pose(self, frame: int) -> Pose:
        """The pose of a frame, 0 to n_frames - 1."""
        return self.motion(frame / (self.n_frames - 1))


def sway(place: float, *amounts: float) -> float:
    """A smooth motion that is 0 at place 0 and still at both ends: the k-th amount is a (1 - cos(k pi place)) / 2."""
    return float(sum(amount * (1 - np.cos(np.pi * k * place)) / 2 for k, amount in enumerate(amounts, start=1)))


def swell(place: float, start: float, peak: float, end: float) -> float:
    """Up from 0 at ``start`` to 1 at ``peak`` and back to 0 at ``end``, smoothly."""
    if not start < place < end:
        return 0.0
    part = (place - start) / (peak - start) if place < peak else (end - place) / (end - peak)
    return float(part**3 * (10 - 15 * part + 6 * part**2))


def held(place: float, start: float, full: float, leave: float, end: float) -> float:
    """Up from 0 at ``start`` to 1 at ``full``, held until ``leave``, 0 again at ``end``."""
    if place < full:
        return swell(place, start, full, full + 1)
    return 1.0 if place <= leave else swell(place, leave - 1, leave, end)


def blink(frame: float, shut_at: float) -> float:
    """How far the lids are shut: three frames to close, one shut, four to open; much the same in reverse."""
    since = frame - shut_at
    times, lids = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.30, 0.88, 1.0, 0.80, 0.42, 0.14, 0.0]
    return float(np.interp(since, times, lids))


def expression(blinking: float = 0.0, smile: float = 0.0, **extra: float) -> Weights:
    """The rest face, blinking, smiling, and with more or less of single blendshapes."""
    lids = {"eyeBlink": 0.98 * blinking, "eyeWide": -0.08 * blinking, "browInnerUp": -0.04 * blinking}
    smiling = {name: smile * value for name, value in SMILE.items()}
    return added(REST, lids, smiling, extra)


def _idle(place: float) -> Pose:
    frame = place * 51
    # A saccade is a jump: the gaze moves within a frame or two and stays.
    glance = float(np.interp(frame, [20, 21.5, 40, 41.5], [0, 1, 1, 0.25]))
    return Pose(
        yaw=sway(place, 0.5, -1.4, 0.4),
        pitch=sway(place, 0.5, 0.5, -0.3),
        roll=sway(place, -0.5, 0.7),
        lean=sway(place, 0.22),
        gaze_right=-1.6 * glance,
        gaze_up=0.5 * glance,
        breath=sway(place, 1.0),
        weights=expression(blink(frame, 31), browInnerUp=0.05 * sway(place, 0, 1), cheekSquint=0.03 * sway(place, 1)),
    )


def _talk(place: float) -> Pose:
    frame = place * 51
    glance = float(np.interp(frame, [13, 14.5, 27, 28.5], [0, 1, 1, 0]))
    brows = swell(place, 0.10, 0.24, 0.44) + 0.7 * swell(place, 0.62, 0.78, 0.98)
    return Pose(
        yaw=sway(place, 0.8, -2.6, 1.0, 1.8, -0.8),
        pitch=sway(place, 0.4, 0.8, -1.4, 1.2, 0.9, -0.7),
        roll=sway(place, -0.8, 1.6, 0.6, -1.0),
        lean=sway(place, -0.4, 0.35),
        gaze_right=1.8 * glance,
        gaze_up=-0.8 * glance,
        breath=sway(place, 0.9),
        weights=expression(blink(frame, 33), browInnerUp=0.30 * brows, browOuterUp=0.28 * brows, eyeWide=0.08 * brows),
    )


def _listen(place: float) -> Pose:
    frame = place * 39
    nod = swell(place, 0.38, 0.52, 0.72)
    attentive = sway(place, 1.0)
    return Pose(
        yaw=sway(place, -1.6, 0.5),
        pitch=sway(place, 0.5, 0.3) + 2.4 * nod,
        roll=sway(place, 2.6, -0.3),
        lean=sway(place, 0.3),
        gaze_right=float(np.interp(frame, [28, 29.5], [0, -1.0])),
        breath=sway(place, 0.9),
        weights=expression(blink(frame, 11), browInnerUp=0.14 * attentive, browOuterUp=0.08 * attentive),
    )


def _nod(place: float) -> Pose:
    frame = place * 27
    first, second = swell(place, 0.0, 0.26, 0.54), swell(place, 0.42, 0.66, 1.0)
    return Pose(
        pitch=5.6 * first + 3.4 * second,
        yaw=0.6 * swell(place, 0, 0.5, 1),
        roll=-0.5 * swell(place, 0, 0.5, 1),
        breath=0.35 * swell(place, 0, 0.5, 1),
        weights=expression(blink(frame, 6), browInnerUp=0.06 * first, cheekSquint=0.05 * first),
    )


def _smile(place: float) -> Pose:
    smile = held(place, 0.0, 0.36, 0.58, 1.0)
    return Pose(
        yaw=-1.0 * swell(place, 0, 0.45, 1),
        pitch=-1.0 * swell(place, 0, 0.40, 1),
        roll=-1.8 * swell(place, 0, 0.48, 1),
        breath=0.4 * swell(place, 0, 0.5, 1),
        weights=expression(smile=smile, browInnerUp=0.10 * smile, browOuterUp=0.10 * smile),
    )


PERFORMANCES: Mapping[str, Performance] = MappingProxyType(
    {
        "idle": Performance(52, True, 4, _idle),
        "talk": Performance(52, True, 3, _talk),
        "nod": Performance(28, False, 2, _nod),
        "smile": Performance(28, False, 2, _smile),
        "listen": Performance(40, True, 4, _listen),
    }
)
"""The clips of the presenter, in the order they are rendered."""
