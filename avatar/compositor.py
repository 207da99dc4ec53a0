"""Lays a drawn mouth on a frame of footage."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.bundle import AvatarBundle
from avatar.crossing import crossed
from avatar.director import Leaving, Shot
from avatar.framing import Framing
from avatar.geometry import Affine, Box, Size, footprint, relative_to
from avatar.kept import Kept
from avatar.lipsync import Crop
from avatar.pictures import Picture, Rgb, apart, n_bytes_of, planes

CROSSED_BYTES = 32 * 2**20
"""Memory for pictures between two clips that are made when they are wanted."""

OPAQUE = np.uint16(255)

Seen = tuple[str, int, Leaving | None]
"""What a shot shows: clip, frame, and what it crosses from."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a mouth goes on a picture.

    Attributes:
        face: from crop pixels to pixels of the box.
        luma, chroma: how far it replaces each sample in the box, 0 to 255, uint8.
    """

    box: Box
    face: Affine
    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]


class Compositor:
    """Makes the pictures of one avatar, for all sessions that show it; several threads may call it at once.

    Outside of the mask the pictures are the footage's, bit for bit.
    """

    def __init__(self, bundle: AvatarBundle) -> None:
        self.bundle = bundle
        self._framing: Framing | None = None
        self._crop = Size(bundle.mask.shape[1], bundle.mask.shape[0])
        self._mask = feathered(bundle.mask, bundle.tuning.mask_feather)
        self._rehearsed: dict[Seen, Picture] = {}
        self._crossed: Kept[Seen, Picture] = Kept(CROSSED_BYTES // n_bytes_of(bundle.size))
        # There are never more than the footage has frames: pictures that cross are not among them.
        self._places: dict[Seen, _Place | None] = {}

    def through(self, framing: Framing) -> Compositor:
        """The same, but each picture is framed when it is made; footage that was framed before spares that work."""
        other = copy(self)
        other._framing = framing
        return other

    @property
    def n_bytes(self) -> int:
        """Memory that its footage takes, and what is kept besides."""
        frames = sum(clip.frames.nbytes for clip in self.bundle.clips.values())
        places = sum(place.luma.nbytes + place.chroma.nbytes for place in list(self._places.values()) if place)
        n_crossings = len(self._rehearsed) + len(self._crossed)
        return frames + places + n_crossings * n_bytes_of(self.bundle.size)

    @property
    def size(self) -> Size:
        """Of the pictures that it makes."""
        return self._framing.size if self._framing else self.bundle.size

    def crop(self, shot: Shot) -> Crop:
        """The face on the shot's frame, as the lip-sync network wants it."""
        clip, frame = self._dominant(shot)
        return Crop(self.bundle.clips[clip].crops[frame], clip, frame)

    def at_hand(self, shot: Shot) -> Picture | None:
        """The shot's picture with the footage's own mouth where that takes no work, else None."""
        if self._framing:
            return None
        return self._made(shot)

    def is_ready(self, shot: Shot) -> bool:
        """Whether all that is left to be done for the shot's picture is to lay a mouth on it."""
        return self._made(shot) is not None

    def compose(self, shot: Shot, mouth: Rgb | None = None, strength: float = 1.0) -> Picture:
        """The shot's picture with a mouth on it.

        Args:
            shot: what the camera sees.
            mouth: drawn for the shot's crop, uint8 (crop height, crop width, 3); None leaves the footage's own.
            strength: 0 (the footage's mouth) to 1 (the drawn one).

        Returns:
            A read-only I420 picture: the clip's own frame where nothing is changed, else a new array.
        """
        picture = self._footage(shot)
        if mouth is not None and strength > 0 and (place := self._place(shot)):
            picture = picture.copy()
            _lay_on(picture, mouth, place, min(strength, 1.0))
            picture.setflags(write=False)
        return self._framing.apply(picture) if self._framing else picture

    def rehearse(self, shot: Shot, picture: Picture) -> None:
        """Takes a picture between two clips, without a mouth, that another compositor of the avatar made.

        Args:
            picture: stays as it is, for as long as this compositor is there.
        """
        self._rehearsed[seen_in(shot)] = picture

    def _dominant(self, shot: Shot | Leaving) -> tuple[str, int]:
        if shot.leaving is not None and shot.leaving.weight < 0.5:
            return self._dominant(shot.leaving)
        return shot.clip, shot.frame

    def _frame(self, shot: Shot | Leaving) -> Picture:
        frame: Picture = self.bundle.clips[shot.clip].frames[shot.frame]
        return frame

    def _made(self, shot: Shot | Leaving) -> Picture | None:
        """The shot's picture without a mouth, if it is there."""
        if shot.leaving is None:
            return self._frame(shot)
        seen = seen_in(shot)
        return self._rehearsed.get(seen, self._crossed.get(seen))

    def _footage(self, shot: Shot | Leaving) -> Picture:
        picture = self._made(shot)
        if picture is None:
            assert shot.leaving is not None  # noqa: S101 — frames are always there
            picture = apart(crossed(self._footage(shot.leaving), self._frame(shot), shot.leaving.weight))
            self._crossed.put(seen_in(shot), picture)
        return picture

    def face(self, shot: Shot | Leaving) -> Affine:
        """Where the face is on the shot's picture: from crop to frame pixels."""
        face: Affine = self.bundle.clips[shot.clip].faces[shot.frame]
        if shot.leaving is None:
            return face
        old = self.face(shot.leaving)
        return np.asarray(old + (face - old) * np.float32(shot.leaving.weight), np.float32)

    def mask_of(self, shot: Shot) -> NDArray[np.uint8]:
        """How far a drawn mouth replaces the shot's picture, 0 to 255, uint8 (height, width)."""
        size = (self.bundle.size.width, self.bundle.size.height)
        return np.asarray(cv2.warpAffine(self._mask, self.face(shot), size, flags=cv2.INTER_LINEAR), np.uint8)

    def _place(self, shot: Shot) -> _Place | None:
        """Where the mouth goes; None where it is outside of the picture."""
        if shot.leaving is not None:
            return self._placed(self.face(shot))
        seen = seen_in(shot)
        if seen not in self._places:
            self._places[seen] = self._placed(self.face(shot))
        return self._places[seen]

    def _placed(self, face: Affine) -> _Place | None:
        box = footprint(face, self._crop, self.bundle.size)
        if box.width < 2 or box.height < 2:
            return None
        local = relative_to(face, box)
        mask = np.asarray(cv2.warpAffine(self._mask, local, (box.width, box.height), flags=cv2.INTER_LINEAR), np.uint8)
        # A chroma sample belongs to four pixels: it changes only where all four may.
        shared = np.minimum(
            np.minimum(mask[0::2, 0::2], mask[1::2, 0::2]), np.minimum(mask[0::2, 1::2], mask[1::2, 1::2])
        )
        return _Place(box, local, mask, shared)


def feathered(mask: NDArray[np.uint8], width: float) -> NDArray[np.uint8]:
    """The mask with a soft edge, ``width`` pixels wide, inside of its own: nothing outside of it is ever let in."""
    if width <= 0:
        return mask
    ringed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.distanceTransform((ringed > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    share = np.clip(np.asarray(inside) / (width + 1), 0, 1)
    return np.asarray(np.minimum(mask, np.round(255 * (3 - 2 * share) * share * share)), np.uint8)


def seen_in(shot: Shot | Leaving) -> Seen:
    return shot.clip, shot.frame, shot.leaving


def _lay_on(picture: Picture, mouth: Rgb, place: _Place, strength: float) -> None:
    box, size = place.box, (place.box.width, place.box.height)
    luma, chroma = place.luma, place.chroma
    if strength < 1:
        luma, chroma = (np.asarray(cv2.convertScaleAbs(mask, alpha=strength), np.uint8) for mask in (luma, chroma))
    # OpenCV bends four channels in half the time that it takes for three.
    four = cv2.cvtColor(mouth, cv2.COLOR_RGB2RGBA)
    drawn = cv2.warpAffine(four, place.face, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    new, old = planes(np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGBA2YUV_I420), np.uint8)), planes(picture)
    small = box.halved()
    _blend(old.y[box.rows, box.columns], new.y, luma)
    _blend(old.u[small.rows, small.columns], new.u, chroma)
    _blend(old.v[small.rows, small.columns], new.v, chroma)


def _blend(old: NDArray[np.uint8], new: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Moves ``old`` towards ``new`` in place by mask / 255, rounded to nearest; a mask of 0 leaves it as it is."""
    mixed = np.multiply(new, mask, dtype=np.uint16)  # 255 * 255 + 127 is the most that comes together
    mixed += np.multiply(old, OPAQUE - mask, dtype=np.uint16)
    mixed += 127
    mixed //= OPAQUE
    old[...] = mixed
