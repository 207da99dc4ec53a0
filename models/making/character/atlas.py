"""The pictures that clips are made of: a few poses rendered at their best, and eyes in what they do.

Everything between them follows by geometry (`reprojection`): the camera and each point of the presenter are known.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from models.making.character.camera import Region
from models.making.character.mouth import added
from models.making.character.performance import (
    LEFT,
    NODDING,
    REST_POSE,
    RIGHT,
    SMILING,
    SURPRISED,
    THINKING,
    WINKING,
    between,
)
from models.making.character.pose import Pose

if TYPE_CHECKING:
    from models.making.character.presenter import Presenter

_LOG = logging.getLogger(__name__)

SCALE = 1.5
"""Pictures are rendered this much larger than frames: they stay sharp when they are moved."""

KEYS: Mapping[str, Pose] = MappingProxyType(
    {
        "rest": REST_POSE,
        "smile": SMILING,
        "down": NODDING,
        "left": LEFT,
        "right": RIGHT,
        "think": THINKING,
        "surprise": SURPRISED,
        "wink": WINKING,
        "half smile": between(REST_POSE, SMILING, 0.5),
    }
)
"""Poses that are rendered whole, in the order of their rendering; the mouth is silent."""

LIDS = (0.15, 0.40, 0.70, 0.90, 1.0)
"""How far lids are shut in the pictures of eyes."""

GAZES: Mapping[str, tuple[float, float]] = MappingProxyType({"aside": (-4.5, 0.8), "below": (4.0, -3.0)})
"""Where eyes look besides the camera: degrees to the picture's right, and up."""

EYES = Region(188, 232, 344, 116)
"""The part of the frame that shows both eyes at rest."""

THINK_EYES = Region(188, 216, 364, 132)


@dataclass(frozen=True)
class Render:
    """One picture of the atlas: its name, its pose, and the region of the frame that it shows (None: all)."""

    name: str
    pose: Pose
    region: Region | None = None


def shut(pose: Pose, lids: float) -> Pose:
    """The pose with its lids shut by ``lids``, 0 to 1."""
    return replace(pose, weights=added(pose.weights, lid_weights(lids)))


def lid_weights(lids: float) -> dict[str, float]:
    """What shutting the lids adds to an expression."""
    return {"eyeBlink": 1.08 * lids, "eyeWide": -0.22 * lids, "browInnerUp": -0.04 * lids}


def renders() -> Iterator[Render]:
    """All pictures of the atlas, in the order of their rendering."""
    rest = KEYS["rest"]
    yield Render("rest", rest)
    for lids in LIDS:
        yield Render(f"rest lids {lids:.2f}", shut(rest, lids), EYES)
    for name, (right, up) in GAZES.items():
        yield Render(f"rest gaze {name}", replace(rest, gaze_right=right, gaze_up=up), EYES)
    for name, pose in KEYS.items():
        if name != "rest":
            yield Render(name, pose)
        if name == "think":
            for lids in LIDS[1:]:
                yield Render(f"think lids {lids:.2f}", shut(pose, lids), THINK_EYES)


def render_atlas(presenter: Presenter, folder: Path, n_samples: int) -> None:
    """Render what is missing of the atlas into ``folder``."""
    from models.making.character.stage import render

    wanted = [each for each in renders() if not (folder / f"{each.name}.png").exists()]
    for done, each in enumerate(wanted, start=1):
        began = time.monotonic()
        presenter.take(each.pose)
        render(folder / f"{each.name}.png", n_samples, each.region, SCALE)
        _LOG.info("%s: %.1f s (%d of %d)", each.name, time.monotonic() - began, done, len(wanted))
