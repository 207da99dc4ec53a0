"""Lays a drawn mouth on a frame of footage."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.bundle import AvatarBundle
from avatar.crossing import crossed
from avatar.director import Leaving, Shot
from avatar.geometry import Affine, Size, footprint, relative_to
from avatar.pictures import Picture, Rgb, from_rgb, planes


class Compositor:
    """Makes the pictures of one avatar. Outside of the mask they are the footage's, bit for bit."""

    def __init__(self, bundle: AvatarBundle) -> None:
        self._bundle = bundle
        self._crop = Size(bundle.mask.shape[1], bundle.mask.shape[0])
        self._mask = feathered(bundle.mask, bundle.tuning.mask_feather)

    def crop(self, shot: Shot) -> Rgb:
        """The face on the shot's frame, as the lip-sync network wants it: uint8 (height, width, 3), read-only."""
        clip, frame = self._dominant(shot)
        crop: Rgb = self._bundle.clips[clip].crops[frame]
        return crop

    def compose(self, shot: Shot, mouth: Rgb | None = None, strength: float = 1.0) -> Picture:
        """The shot's picture with a mouth on it.

        Args:
            shot: what the camera sees.
            mouth: drawn for the shot's crop, uint8 (crop height, crop width, 3); None leaves the footage's own.
            strength: 0 (the footage's mouth) to 1 (the drawn one).

        Returns:
            A read-only I420 picture: the clip's own frame where nothing is changed, else a new array.
        """
        base = self._footage(shot)
        if mouth is None or strength <= 0:
            base.setflags(write=False)
            return base
        picture = base if base.flags.writeable else base.copy()
        self._lay_on(picture, mouth, self.face(shot), min(strength, 1.0))
        picture.setflags(write=False)
        return picture

    def _dominant(self, shot: Shot | Leaving) -> tuple[str, int]:
        if shot.leaving is not None and shot.leaving.weight < 0.5:
            return self._dominant(shot.leaving)
        return shot.clip, shot.frame

    def _footage(self, shot: Shot | Leaving) -> Picture:
        frame: Picture = self._bundle.clips[shot.clip].frames[shot.frame]
        if shot.leaving is None:
            return frame
        return crossed(self._footage(shot.leaving), frame, shot.leaving.weight)

    def face(self, shot: Shot | Leaving) -> Affine:
        """Where the face is on the shot's picture: from crop to frame pixels."""
        face: Affine = self._bundle.clips[shot.clip].faces[shot.frame]
        if shot.leaving is None:
            return face
        old = self.face(shot.leaving)
        return np.asarray(old + (face - old) * np.float32(shot.leaving.weight), np.float32)

    def mask_of(self, shot: Shot) -> NDArray[np.uint8]:
        """How far a drawn mouth replaces the shot's picture, 0 to 255, uint8 (height, width)."""
        size = (self._bundle.size.width, self._bundle.size.height)
        return np.asarray(cv2.warpAffine(self._mask, self.face(shot), size, flags=cv2.INTER_LINEAR), np.uint8)

    def _lay_on(self, picture: Picture, mouth: Rgb, face: Affine, strength: float) -> None:
        box = footprint(face, self._crop, self._bundle.size)
        if box.width < 2 or box.height < 2:
            return
        local, size = relative_to(face, box), (box.width, box.height)
        mask = cv2.warpAffine(self._mask, local, size, flags=cv2.INTER_LINEAR)
        if strength < 1:
            mask = cv2.convertScaleAbs(mask, alpha=strength)
        drawn = cv2.warpAffine(mouth, local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        new, old = planes(from_rgb(np.asarray(drawn, np.uint8))), planes(picture)
        # A chroma sample belongs to four pixels: it changes only where all four may.
        shared = np.minimum(
            np.minimum(mask[0::2, 0::2], mask[1::2, 0::2]), np.minimum(mask[0::2, 1::2], mask[1::2, 1::2])
        )
        small = box.halved()
        _blend(old.y[box.rows, box.columns], new.y, np.asarray(mask, np.uint8))
        _blend(old.u[small.rows, small.columns], new.u, shared)
        _blend(old.v[small.rows, small.columns], new.v, shared)


def feathered(mask: NDArray[np.uint8], width: float) -> NDArray[np.uint8]:
    """The mask with a soft edge, ``width`` pixels wide, inside of its own: nothing outside of it is ever let in."""
    if width <= 0:
        return mask
    ringed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.distanceTransform((ringed > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    share = np.clip(np.asarray(inside) / (width + 1), 0, 1)
    return np.asarray(np.minimum(mask, np.round(255 * (3 - 2 * share) * share * share)), np.uint8)


def _blend(old: NDArray[np.uint8], new: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Moves ``old`` towards ``new`` in place by mask / 255, rounded to nearest; a mask of 0 leaves it as it is."""
    difference = new.astype(np.int32) - old
    old[...] = old + (difference * mask + 127) // 255
