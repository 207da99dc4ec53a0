"""Where the face is in a film: found once, then followed to parts of a pixel. No model needs to be downloaded."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.errors import BundleError
from avatar.geometry import Affine
from models.making.filmed.film import Film

Luma = NDArray[np.uint8]
"""A luma plane, uint8 (height, width)."""

_SEEN_SIDE = 480
"""Pictures are shrunk to this longer side to look for faces."""

_LOOKS = 12
"""Pictures of a film in which a face is looked for."""

_POINTS = 200
_FEWEST = 12
"""Points that are followed at most, and that must agree at least, for a face to count as found."""

_OUTLIER = 2.0
"""Pixels from which on a point does not move with the head."""

CROP = 1.2
"""Width of the crop in faces; it holds the face and its chin."""

MOUTH = (0.5, 0.7)
MOUTH_RADII = (0.3, 0.22)
"""Where mouths are in a crop, and how far they reach (with chin and corners), in shares of it."""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A square around a face, from the brows to the chin, in pixels."""

    left: float
    top: float
    side: float

    def scaled(self, scale: float) -> FaceBox:
        return FaceBox(self.left * scale, self.top * scale, self.side * scale)


class FaceFinder:
    """Finds the one face in a film with local binary patterns (Liao et al., 2007), by OpenCV's cascade."""

    def __init__(self) -> None:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self._cascade = Cascade(lbp_frontal_face_cascade_filename())  # type: ignore[no-untyped-call]

    def find(self, film: Film, name: str) -> FaceBox:
        """The median of what is found in some of the pictures.

        Raises:
            BundleError: in most of them there is no face.
        """
        chosen = np.unique(np.linspace(0, len(film.pictures) - 1, _LOOKS).astype(int))
        found = [boxes for boxes in (self._look(film.luma[place]) for place in chosen) if boxes]
        if len(found) <= len(chosen) // 2:
            raise BundleError(
                f"a face was found in {len(found)} of {len(chosen)} pictures of {name}; it must look into the camera, "
                "or say where it is with --face LEFT,TOP,SIDE"
            )
        return FaceBox(*np.median([box for boxes in found for box in boxes], axis=0))

    def _look(self, luma: Luma) -> list[tuple[float, float, float]]:
        scale = min(1.0, _SEEN_SIDE / max(luma.shape))
        small = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        side = min(small.shape)
        boxes = self._cascade.detect_multi_scale(
            img=small, scale_factor=1.1, step_ratio=1, min_size=(side // 8, side // 8), max_size=(side, side)
        )
        return [(box["c"] / scale, box["r"] / scale, box["width"] / scale) for box in boxes]


class FaceTracker:
    """Follows a face through films, against one reference picture: nothing drifts, and all films fit together.

    Points on brows, eyes and nose are followed by optical flow (Lucas and Kanade); the head's motion is the similarity
    that most of them agree on, so that blinks and glances do not shake it.

    Args:
        reference: the luma of a picture of the face.
        box: where it is there.
    """

    def __init__(self, reference: Luma, box: FaceBox) -> None:
        self._reference = reference
        self._box = box
        upper = np.zeros_like(reference)
        left, right = (max(0, round(box.left + box.side * share)) for share in (0.08, 0.92))
        top, bottom = (max(0, round(box.top + box.side * share)) for share in (-0.15, 0.68))
        upper[top:bottom, left:right] = 255
        points = cv2.goodFeaturesToTrack(reference, _POINTS, 0.01, max(3.0, box.side / 40), mask=upper)
        if points is None or len(points) < _FEWEST:
            raise BundleError(f"the face is too plain or too small to be followed ({box.side:.0f} pixels wide)")
        self._points = np.asarray(points, np.float32)

    def follow(self, film: Film, box: FaceBox, name: str) -> NDArray[np.float32]:
        """Maps from the reference picture to each of the film's, float32 (n, 2, 3).

        Args:
            film: of the same face.
            box: where the face is at the film's beginning, roughly.
            name: of the film, for errors.

        Raises:
            BundleError: the face was lost in more than a tenth of the pictures.
        """
        scale = box.side / self._box.side
        guess = np.array(
            [[scale, 0, box.left - scale * self._box.left], [0, scale, box.top - scale * self._box.top]], np.float32
        )
        maps = np.empty((len(film.pictures), 2, 3), np.float32)
        n_lost = 0
        for place, luma in enumerate(film.luma):
            found = self._fit(luma, guess)
            n_lost += found is None
            guess = maps[place] = guess if found is None else found
        if n_lost > len(maps) // 10:
            raise BundleError(f"the face was lost in {n_lost} of {len(maps)} pictures of {name}")
        return _steadied(maps)

    def _fit(self, luma: Luma, guess: Affine) -> Affine | None:
        start = cv2.transform(self._points, guess)
        window = max(15, round(self._box.side / 12)) | 1
        ahead, seen, _ = cv2.calcOpticalFlowPyrLK(
            self._reference, luma, self._points, start.copy(), winSize=(window, window), maxLevel=3,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )  # fmt: skip
        followed = seen.ravel() > 0
        if followed.sum() < _FEWEST:
            return None
        found, inliers = cv2.estimateAffinePartial2D(
            self._points[followed], ahead[followed], method=cv2.RANSAC, ransacReprojThreshold=_OUTLIER
        )
        if found is None or inliers.sum() < _FEWEST:
            return None
        return np.asarray(found, np.float32)


def crop_maps(heads: NDArray[np.float32], box: FaceBox, patch: int) -> NDArray[np.float32]:
    """Maps from crop pixels to frame pixels, float32 (n, 2, 3).

    Args:
        heads: from the reference picture to each frame, float32 (n, 2, 3).
        box: of the face on the reference picture.
        patch: width and height of the crop.
    """
    scale = CROP * box.side / patch
    margin = (CROP - 1) / 2 * box.side
    # Pixel centres are whole numbers, so the crop's edge is half a pixel before its first.
    corner = np.array([box.left - margin, box.top - margin + 0.1 * box.side]) + scale / 2 - 0.5
    base = np.array([[scale, 0, corner[0]], [0, scale, corner[1]], [0, 0, 1]])
    return np.asarray(heads @ base, np.float32)


def mouth_mask(patch: int) -> NDArray[np.uint8]:
    """A soft ellipse over the mouth, uint8 (patch, patch)."""
    y, x = (np.mgrid[0:patch, 0:patch] + 0.5) / patch
    distance = np.hypot((x - MOUTH[0]) / MOUTH_RADII[0], (y - MOUTH[1]) / MOUTH_RADII[1])
    return np.asarray(np.round(255 * np.clip((1 - distance) / 0.35, 0, 1)), np.uint8)


def _steadied(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the trembling of a fraction of a pixel that is left from frame to frame."""
    flat = maps.reshape(len(maps), 6)
    return np.asarray(
        cv2.GaussianBlur(flat, (1, 5), 0, sigmaY=0.8, borderType=cv2.BORDER_REPLICATE), np.float32
    ).reshape(maps.shape)
