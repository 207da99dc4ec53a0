"""The motion of each clip: from a frame's number to a pose, and to the pictures that it is made of.

Loops are played forth and back. Every second or so they come to rest, all in the same pose, so that any clip can be
joined soon and unseen. Gestures are played once and begin and end in that pose, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from models.making.character.mouth import REST, SMILE, Weights, added
from models.making.character.pose import Pose
from models.making.character.space import smoothstep


def expression(smile: float = 0.0, **extra: float) -> Weights:
    """The rest face, smiling, and with more or less of single blendshapes."""
    return added(REST, {name: smile * value for name, value in SMILE.items()}, extra)


REST_POSE = Pose(weights=expression())

SMILING = Pose(
    pitch=-1.0, roll=-1.8, weights=expression(smile=1.0, browInnerUp=0.10, browOuterUp=0.12, eyeSquint=-0.06)
)
NODDING = Pose(pitch=6.0, weights=expression(browInnerUp=0.06, cheekSquint=0.05))
LEFT, RIGHT = (Pose(yaw=yaw, weights=expression(browInnerUp=0.10)) for yaw in (-7.5, 7.5))
THINKING = Pose(
    yaw=5.0,
    pitch=-2.6,
    roll=-2.2,
    gaze_right=13.0,
    gaze_up=11.0,
    weights=expression(browInnerUp=0.16, browOuterUp_L=0.30, mouthPress=0.06, mouthSmile=-0.10),
)
SURPRISED = Pose(pitch=-2.2, weights=expression(browInnerUp=0.62, browOuterUp=0.58, eyeWide=0.34, mouthSmile=-0.06))
WINKING = Pose(
    yaw=1.5,
    pitch=0.8,
    roll=2.2,
    weights=expression(cheekSquint_L=0.50, mouthSmile_L=0.22, mouthSmile_R=0.08, browOuterUp_R=0.14),
)


@dataclass(frozen=True)
class Eyes:
    """Eyes in another state than the pictures around them show: the picture they are taken from, and which.

    ``only_left`` is the presenter's own left eye.
    """

    picture: str
    only_left: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Moment:
    """One frame: the pose, and the shares of the rendered pictures (`atlas`) that are moved there."""

    pose: Pose = REST_POSE
    looks: Mapping[str, float] = field(default_factory=lambda: {"rest": 1.0})
    eyes: Eyes | None = None
    smile: float = 0.0


@dataclass(frozen=True)
class Performance:
    """A clip: its unique frames, whether it is played forth and back, and its motion."""

    n_frames: int
    swings: bool
    motion: Callable[[int], Moment]
    """From a frame, 0 to n_frames - 1, to what it shows."""


def between(first: Pose, last: Pose, share: float) -> Pose:
    """The pose a share, 0 to 1, of the way from one to another."""
    names = ("yaw", "pitch", "roll", "lean", "gaze_right", "gaze_up", "breath")
    numbers = {name: (1 - share) * getattr(first, name) + share * getattr(last, name) for name in names}
    weights = added(
        {name: (1 - share) * value for name, value in first.weights.items()},
        {name: share * value for name, value in last.weights.items()},
    )
    return Pose(weights=weights, **numbers)


def nudged(pose: Pose, **amounts: float) -> Pose:
    """The pose with something added to its numbers; other names are blendshapes."""
    numbers = {name: value for name, value in amounts.items() if name in Pose.__dataclass_fields__}
    shapes = {name: value for name, value in amounts.items() if name not in numbers}
    changed = {name: getattr(pose, name) + value for name, value in numbers.items()}
    return replace(pose, weights=added(pose.weights, shapes), **changed)


def wave(frame: float, start: float, end: float) -> float:
    """Up from 0 and back, still at both ends; 1 in the middle."""
    place = (frame - start) / (end - start)
    return float(np.sin(np.pi * place) ** 2) if 0 < place < 1 else 0.0


def swell(frame: float, start: float, peak: float, end: float) -> float:
    """Up from 0 at ``start`` to 1 at ``peak`` and back to 0 at ``end``, without a jerk."""
    if not start < frame < end:
        return 0.0
    part = (frame - start) / (peak - start) if frame < peak else (end - frame) / (end - peak)
    return float(part**3 * (10 - 15 * part + 6 * part**2))


def held(frame: float, start: float, full: float, leave: float, end: float) -> float:
    """Up from 0 at ``start`` to 1 at ``full``, held until ``leave``, 0 again at ``end``."""
    if frame < full:
        return swell(frame, start, full, full + 1)
    return 1.0 if frame <= leave else swell(frame, leave - 1, leave, end)


_BLINK = (0.40, 0.90, 1.0, 1.0, 0.90, 0.70, 0.40, 0.15)
"""How far the lids are shut in the frames of a blink: quick to close, slower to open."""


def blinking(frame: int, *starts: int, look: str = "rest", only_left: bool = False) -> Eyes | None:
    """The eyes if a blink that began at one of ``starts`` is under way."""
    for start in starts:
        if 0 <= frame - start < len(_BLINK):
            return Eyes(f"{look} lids {_BLINK[frame - start]:.2f}", only_left)
    return None


def glancing(frame: int, *glances: tuple[int, int, str]) -> Eyes | None:
    """The eyes in a glance: from a frame to another, and where. The eye jumps within a frame."""
    for start, end, where in glances:
        if start <= frame <= end:
            return Eyes(f"rest gaze {where}", share=0.5 if frame in (start, end) else 1.0)
    return None


Drift = tuple[int, int, float, float, float]
"""From a frame to another, the yaw, pitch and roll that the head comes by, degrees."""


def _drifting(frame: int, drifts: Sequence[Drift]) -> dict[str, float]:
    total = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0}
    for start, end, yaw, pitch, roll in drifts:
        share = wave(frame, start, end)
        for name, value in zip(total, (yaw, pitch, roll), strict=True):
            total[name] += share * value
    return total


_IDLE: Sequence[Drift] = (
    (0, 33, 0.9, 0.5, -0.5),
    (33, 67, -1.5, 0.3, 0.7),
    (40, 56, 0.3, 0.4, 0.0),
    (67, 100, 0.7, -0.5, 0.4),
)


def _idle(frame: int) -> Moment:
    eyes = blinking(frame, 38) or glancing(frame, (50, 63, "aside"))
    breath = wave(frame, 0, 100)
    brows = wave(frame, 33, 67)
    pose = nudged(REST_POSE, **_drifting(frame, _IDLE), breath=breath, lean=0.12 * brows, browInnerUp=0.05 * brows)
    return Moment(pose, eyes=eyes)


_LISTEN: Sequence[Drift] = (
    (0, 38, -1.0, 0.6, 1.9),
    (38, 75, 0.7, -0.3, 1.0),
)


def _listen(frame: int) -> Moment:
    nod = wave(frame, 42, 58) + 0.6 * wave(frame, 56, 70)
    brows = wave(frame, 0, 38) + 0.6 * wave(frame, 38, 75)
    drift = _drifting(frame, _LISTEN)
    drift["pitch"] += 1.9 * nod
    pose = nudged(REST_POSE, **drift, breath=wave(frame, 0, 75), browInnerUp=0.12 * brows, browOuterUp=0.08 * brows)
    return Moment(pose, eyes=blinking(frame, 30))


_TALK: Sequence[Drift] = (
    (0, 26, 1.6, 1.0, -0.9),
    (8, 20, 0.0, 1.2, 0.3),
    (26, 52, -2.1, -0.8, 1.4),
    (33, 45, 0.4, 1.5, 0.0),
    (52, 76, 1.2, 0.9, 1.1),
    (58, 70, 0.5, -1.3, -0.3),
    (76, 100, -1.4, 0.6, -0.8),
    (82, 95, 0.3, 1.2, 0.2),
)


def _talk(frame: int) -> Moment:
    brows = 0.8 * wave(frame, 6, 24) + wave(frame, 54, 74) + 0.5 * wave(frame, 30, 46)
    eyes = blinking(frame, 40) or glancing(frame, (11, 21, "below"), (62, 73, "aside"))
    pose = nudged(
        REST_POSE,
        **_drifting(frame, _TALK),
        breath=wave(frame, 0, 100),
        lean=0.2 * wave(frame, 26, 76),
        browInnerUp=0.24 * brows,
        browOuterUp=0.24 * brows,
        cheekSquint=0.05 * brows,
    )
    return Moment(pose, eyes=eyes)


_TAKES_OVER = (0.3, 0.7)


def _towards(share: float, pose: Pose, picture: str) -> Moment:
    # One picture takes over from the other in the middle of the way, quickly: mixed for long, their edges are double.
    turned = float(smoothstep(_TAKES_OVER[0], _TAKES_OVER[1], np.array(share)))
    return Moment(between(REST_POSE, pose, share), {"rest": 1 - turned, picture: turned})


def _nod(frame: int) -> Moment:
    share = swell(frame, 0, 7, 15) + 0.62 * swell(frame, 12, 19, 28)
    moment = _towards(share, NODDING, "down")
    return replace(moment, eyes=blinking(frame, 3))


def _shake(frame: int) -> Moment:
    turn = -0.72 * swell(frame, 0, 7, 14) + swell(frame, 9, 15, 22) - 0.62 * swell(frame, 17, 23, 31)
    return _towards(abs(turn), LEFT if turn < 0 else RIGHT, "left" if turn < 0 else "right")


def _smile(frame: int) -> Moment:
    smile = held(frame, 0, 10, 20, 33)
    near = {"rest": 1 - 2 * smile, "half smile": 2 * smile}
    far = {"half smile": 2 - 2 * smile, "smile": 2 * smile - 1}
    return Moment(between(REST_POSE, SMILING, smile), near if smile < 0.5 else far, smile=smile)


def _think(frame: int) -> Moment:
    share = held(frame, 1, 12, 24, 35)
    away, back = 4, 27
    eyes = None
    for start, before, after in ((away, "rest", "think"), (back, "think", "rest")):
        if start <= frame < start + len(_BLINK) - 1:
            # The gaze jumps behind shut lids.
            eyes = blinking(frame, start, look=before if frame < start + 3 else after)
    if eyes is None:
        eyes = Eyes("think" if away < frame < back else "rest")
    return replace(_towards(share, THINKING, "think"), eyes=eyes)


def _surprise(frame: int) -> Moment:
    return replace(_towards(held(frame, 0, 6, 13, 27), SURPRISED, "surprise"), eyes=blinking(frame, 18))


def _wink(frame: int) -> Moment:
    share = held(frame, 0, 7, 12, 25)
    lids = {5: 0.40, 6: 0.90, 7: 1.0, 8: 1.0, 9: 1.0, 10: 1.0, 11: 0.90, 12: 0.70, 13: 0.40, 14: 0.15}
    eyes = Eyes(f"rest lids {lids[frame]:.2f}", only_left=True) if frame in lids else None
    return replace(_towards(share, WINKING, "wink"), eyes=eyes)


PERFORMANCES: Mapping[str, Performance] = MappingProxyType(
    {
        "idle": Performance(101, True, _idle),
        "listen": Performance(76, True, _listen),
        "talk": Performance(101, True, _talk),
        "nod": Performance(29, False, _nod),
        "shake": Performance(32, False, _shake),
        "smile": Performance(34, False, _smile),
        "think": Performance(37, False, _think),
        "surprise": Performance(28, False, _surprise),
        "wink": Performance(26, False, _wink),
    }
)
"""The clips of the presenter."""
