"""An avatar in memory: its clips, what they are for, and how its mouth is laid on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.lipsync import MouthTuning
from avatar.pictures import shape_of

STATES = ("idle", "listen", "talk")


@dataclass(frozen=True, slots=True)
class Join:
    """Where one clip can be left for another, at each step of its cycle (`Clip.cycle`): so that a clip which is played
    there and back knows which way it goes.

    Attributes:
        entry: the best step of the other clip's cycle to go on with, int32 (cycle,).
        cost: how far apart the two pictures are, float32 (cycle,); 1 is an ordinary step between two frames in a clip.
    """

    entry: NDArray[np.int32]
    cost: NDArray[np.float32]


def cycle_of(n_frames: int, there_and_back: bool) -> int:
    """Steps of a loop of ``n_frames``: 0 1 2 3 2 1 has six."""
    return 2 * n_frames - 2 if there_and_back and n_frames > 1 else n_frames


@dataclass(frozen=True, slots=True)
class Clip:
    """A piece of footage, decoded; every array is read-only and shared by all sessions.

    Attributes:
        frames: I420 pictures, uint8 (n, height * 3 / 2, width).
        faces: maps from crop pixels to frame pixels, float32 (n, 2, 3).
        crops: the face on each frame, RGB uint8 (n, patch height, patch width, 3).
        joins: by name of the clip that follows.
        there_and_back: whether a loop of this clip turns round at its ends instead of starting over.
    """

    name: str
    frames: NDArray[np.uint8]
    faces: NDArray[np.float32]
    crops: NDArray[np.uint8]
    joins: Mapping[str, Join] = field(default_factory=dict)
    there_and_back: bool = True

    def __post_init__(self) -> None:
        n = len(self.frames)
        if n == 0:
            raise BundleError(f"clip '{self.name}' has no frames")
        if self.faces.shape != (n, 2, 3):
            raise BundleError(f"clip '{self.name}' has {n} frames but face tracks of shape {self.faces.shape}")
        if len(self.crops) != n:
            raise BundleError(f"clip '{self.name}' has {n} frames but {len(self.crops)} face crops")
        if not np.isfinite(self.faces).all():
            raise BundleError(f"clip '{self.name}' has face tracks that are not finite numbers")
        for other, join in self.joins.items():
            if len(join.entry) != self.cycle or len(join.cost) != self.cycle:
                raise BundleError(f"clip '{self.name}' has {self.cycle} steps but {len(join.entry)} joins to '{other}'")
        for array in (self.frames, self.faces, self.crops):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def cycle(self) -> int:
        """Steps after which a loop of the clip starts over."""
        return cycle_of(len(self), self.there_and_back)


@dataclass(frozen=True, slots=True)
class AvatarBundle:
    """Everything a session needs to know of an avatar, except its network.

    Attributes:
        mask: how far the drawn mouth replaces the footage in crop space, uint8 (patch height, patch width), 0–255.
        loops: the clip that plays in each state.
        gestures: the clip that plays for each gesture name (upper case).
    """

    id: str
    name: str
    version: str
    size: Size
    fps: Fraction
    clips: Mapping[str, Clip]
    loops: Mapping[str, str]
    gestures: Mapping[str, str]
    mask: NDArray[np.uint8]
    tuning: MouthTuning = MouthTuning()

    def __post_init__(self) -> None:
        for state in STATES:
            if state not in self.loops:
                raise BundleError(f"avatar '{self.id}' has no clip for the state '{state}'")
        for use, clip in [*self.loops.items(), *self.gestures.items()]:
            if clip not in self.clips:
                raise BundleError(f"avatar '{self.id}' plays clip '{clip}' for '{use}', but has no such clip")
        shape = shape_of(self.size)
        for clip_ in self.clips.values():
            if clip_.frames.shape[1:] != shape:
                raise BundleError(
                    f"clip '{clip_.name}' has frames {clip_.frames.shape[1:]}, avatar '{self.id}' needs {shape}"
                )
            if clip_.crops.shape[1:3] != self.mask.shape:
                raise BundleError(
                    f"clip '{clip_.name}' has crops {clip_.crops.shape[1:3]} but the mask is {self.mask.shape}"
                )
            for other, join in clip_.joins.items():
                if other not in self.clips:
                    raise BundleError(f"clip '{clip_.name}' joins '{other}', which avatar '{self.id}' does not have")
                if join.entry.min() < 0 or join.entry.max() >= self.clips[other].cycle:
                    raise BundleError(
                        f"clip '{clip_.name}' joins '{other}' outside of its {self.clips[other].cycle} steps"
                    )
        self.mask.setflags(write=False)
