"""How footage is shown in a picture of another size: what is cut off, what is scaled, and what stays black."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.bundle import AvatarBundle, Clip
from avatar.geometry import Box, Size
from avatar.pictures import Arrays, Picture, anywhere, planes, shape_of

BLACK, GREY = 16, 128
"""Luma and chroma of black in the limited range of ITU-R BT.601."""

SHRINKS_A_LOT = 0.5
"""Below this scale a linear filter would leave out pixels, and areas are averaged, which takes several times longer."""


@dataclass(frozen=True, slots=True)
class Framing:
    """Turns pictures of one size into another. All four numbers of both boxes are even.

    A picture that is narrower than the footage loses its sides, as far as the face allows; the height of the footage
    is always kept, so that no head is cut off. What is still empty is black.

    Attributes:
        size: of the pictures that it makes.
        kept: what is seen of the footage.
        shown: where it is seen.
    """

    size: Size
    kept: Box
    shown: Box

    @classmethod
    def of(cls, bundle: AvatarBundle, size: Size) -> Framing | None:
        """How this avatar is shown at ``size`` (even numbers); None where that is its own."""
        if size == bundle.size:
            return None
        left, right = face_columns(bundle)
        wanted = bundle.size.height * Fraction(size.width, size.height)
        width = min(bundle.size.width, max(right - left, _even(wanted)))
        start = min(max(0, _even((left + right - width) / 2)), bundle.size.width - width)
        kept = Box(start, 0, width, bundle.size.height)
        scale = min(Fraction(size.width, kept.width), Fraction(size.height, kept.height))
        shown = Size(_even(kept.width * scale), _even(kept.height * scale))
        left, top = _even((size.width - shown.width) / 2), _even((size.height - shown.height) / 2)
        return cls(size, kept, Box(left, top, shown.width, shown.height))

    def apply(self, picture: Picture) -> Picture:
        """The picture at ``size``: a new I420 array, read-only."""
        framed: Picture = np.empty(shape_of(self.size), np.uint8)
        self._apply_into(framed, picture)
        framed.setflags(write=False)
        return framed

    def apply_to_all(self, pictures: NDArray[np.uint8], framed: NDArray[np.uint8]) -> None:
        """Many at once, into ``framed``, uint8 (n, height * 3 / 2, width)."""
        for target, picture in zip(framed, pictures, strict=True):
            self._apply_into(target, picture)

    def faces(self, faces: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps from crop pixels to pixels of the footage (n, 2, 3), as maps to those of the picture."""
        scale = np.array([self.shown.width / self.kept.width, self.shown.height / self.kept.height])
        old = np.array([self.kept.left, self.kept.top]) - 0.5
        new = np.array([self.shown.left, self.shown.top]) - 0.5
        moved = faces * scale[:, None]
        moved[:, :, 2] += new - old * scale
        return np.asarray(moved, np.float32)

    def _apply_into(self, framed: Picture, picture: Picture) -> None:
        if Size(self.shown.width, self.shown.height) != self.size:
            framed[: self.size.height] = BLACK
            framed[self.size.height :] = GREY
        small_kept, small_shown = self.kept.halved(), self.shown.halved()
        boxes = ((self.kept, self.shown), (small_kept, small_shown), (small_kept, small_shown))
        for old, new, (kept, shown) in zip(planes(picture), planes(framed), boxes, strict=True):
            scale = min(shown.width / kept.width, shown.height / kept.height)
            filter_ = cv2.INTER_AREA if scale < SHRINKS_A_LOT else cv2.INTER_LINEAR
            size = (shown.width, shown.height)
            new[shown.rows, shown.columns] = cv2.resize(old[kept.rows, kept.columns], size, interpolation=filter_)


OfEach = Callable[
    [Callable[[Clip, NDArray[np.uint8]], Clip], Iterable[Clip], Iterable[NDArray[np.uint8]]], Iterable[Clip]
]
"""What ``map`` does; that of a pool of threads does it for several at a time."""


def framed(bundle: AvatarBundle, framing: Framing, of_each: OfEach = map, arrays: Arrays = anywhere) -> AvatarBundle:
    """The avatar with its footage framed once and for all, so that no picture of it need be.

    The face crops and the mask, which belong to the network and not to the picture, are shared with ``bundle``.
    """

    def framed_clip(clip: Clip, frames: NDArray[np.uint8]) -> Clip:
        framing.apply_to_all(clip.frames, frames)
        return replace(clip, frames=frames, faces=framing.faces(clip.faces))

    made = arrays([(len(clip), *shape_of(framing.size)) for clip in bundle.clips.values()])
    clips = dict(zip(bundle.clips, of_each(framed_clip, bundle.clips.values(), made), strict=True))
    return replace(bundle, size=framing.size, clips=clips)


def face_columns(bundle: AvatarBundle) -> tuple[int, int]:
    """Left and right end (even numbers) of the columns in which the face ever is, in all clips."""
    height, width = bundle.mask.shape
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float32)
    x = [(clip.faces[:, 0] @ corners) for clip in bundle.clips.values()]
    left, right = min(float(one.min()) for one in x), max(float(one.max()) for one in x)
    return max(0, math.floor(left)) & ~1, min(bundle.size.width, (math.ceil(right) + 1) & ~1)


def _even(value: float | Fraction) -> int:
    """The nearest even number, at least 2 where there is anything at all."""
    return max(2 if value > 0 else 0, 2 * round(value / 2))
