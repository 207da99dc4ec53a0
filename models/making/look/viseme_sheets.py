"""The visemes as pictures, and how the mouth goes from each to each."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.articulation import VISEMES
from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.features import N_MELS
from avatar.geometry import Box, Size
from avatar.lipsync import MouthJob
from avatar.pictures import Rgb, to_rgb
from models.making.look.labelled import captioned, fitted, grid
from models.making.speech.coarticulation import track
from models.making.speech.utterances import PAUSE, Phone
from models.speech_lips import SpeechLips, tuned

SPOKEN = {
    "SIL": (PAUSE, "silence"), "PP": ("p", "p b m"), "FF": ("f", "f v"), "TH": ("th", "th"), "DD": ("t", "t d n l"),
    "KK": ("k", "k g ng h"), "CH": ("sh", "sh ch j"), "SS": ("s", "s z"), "RR": ("r", "r"), "WU": ("uw", "w oo"),
    "OO": ("ao", "aw oh"), "AA": ("aa", "ah"), "EH": ("eh", "eh"), "IH": ("iy", "ee y"),
}  # fmt: skip
"""A phone that speaks each viseme, and the sounds that look like it."""

_PHONE_S = 0.12
_FACE = Size(200, 200)
_MOUTH_WIDTH = 88


def viseme_sheet(bundle: AvatarBundle, model: SpeechLips) -> Rgb:
    """Each viseme held for a while: the face, as it is published."""
    spoken = [[Phone(SPOKEN[name][0], 0, 4 * _PHONE_S)] for name in VISEMES]
    pictures = _spoken(bundle, model, np.stack([_moment(phones, 2 * _PHONE_S) for phones in spoken]))
    box = _face(bundle)
    faces = [fitted(picture[box.rows, box.columns], _FACE) for picture in pictures]
    return grid([captioned(face, f"{name}: {SPOKEN[name][1]}") for face, name in zip(faces, VISEMES, strict=True)], 7)


def viseme_pair_sheet(bundle: AvatarBundle, model: SpeechLips) -> Rgb:
    """The mouth on its way from each viseme (row) to each (column), at the moment when one sound gives way."""
    mouths = []
    box = _mouth(bundle)
    size = Size(_MOUTH_WIDTH, _MOUTH_WIDTH * box.height // box.width)
    for first in VISEMES:
        moments = np.stack([_moment(_pair(first, second), 2 * _PHONE_S) for second in VISEMES])
        row = [fitted(picture[box.rows, box.columns], size) for picture in _spoken(bundle, model, moments)]
        mouths += [captioned(each, f"{first} > {second}") for each, second in zip(row, VISEMES, strict=True)]
    return grid(mouths, len(VISEMES), 2)


def seam_sheet(bundle: AvatarBundle, model: SpeechLips) -> Rgb:
    """A mouth wide open on the talking loop: the footage, what is published, their difference."""
    box = _face(bundle)
    wide = _moment([Phone(SPOKEN["AA"][0], 0, 4 * _PHONE_S)], 2 * _PHONE_S)
    published = _spoken(bundle, model, wide[None])[0][box.rows, box.columns]
    footage = to_rgb(bundle.clips[bundle.loops["talk"]].frames[0])[box.rows, box.columns]
    change = np.clip(np.abs(published.astype(np.int16) - footage) * 4, 0, 255).astype(np.uint8)
    cells = {"footage": footage, "published": published, "change x 4": change}
    return grid([captioned(np.ascontiguousarray(cell), name) for name, cell in cells.items()], 3)


def _pair(first: str, second: str) -> list[Phone]:
    """Silence, two sounds, silence."""
    names = (PAUSE, SPOKEN[first][0], SPOKEN[second][0], PAUSE)
    return [Phone(name, i * _PHONE_S, (i + 1) * _PHONE_S) for i, name in enumerate(names)]


def _moment(phones: list[Phone], time_s: float) -> NDArray[np.float32]:
    """The articulation (7,) that the phones ask for at a time."""
    asked = track("arpabet", phones, phones[-1].end_s)
    return np.asarray(asked.articulation[round(100 * time_s)], np.float32)


def _spoken(bundle: AvatarBundle, model: SpeechLips, articulations: NDArray[np.float32]) -> list[Rgb]:
    """Whole pictures of the first frame of the talking loop with these mouths (n, 7)."""
    compositor, shot = Compositor(bundle), Shot(bundle.loops["talk"], 0, "talk")
    unheard = np.empty((0, N_MELS), np.float32)
    jobs = [MouthJob(unheard, compositor.crop(shot), 1.0, bundle.tuning)] * len(articulations)
    mouths = model.paint(jobs, tuned(articulations, jobs))
    return [to_rgb(compositor.compose(shot, mouth)) for mouth in mouths]


def _face(bundle: AvatarBundle) -> Box:
    height, width = bundle.mask.shape
    return _in_frame(bundle, Box(0, 0, width, height))


def _mouth(bundle: AvatarBundle) -> Box:
    return _in_frame(bundle, Box(*cv2.boundingRect(bundle.mask)))


def _in_frame(bundle: AvatarBundle, box: Box) -> Box:
    """Where a rectangle of the crop lies on the first frame of the talking loop."""
    face = np.asarray(bundle.clips[bundle.loops["talk"]].faces[0], np.float64)
    (left, top), (right, bottom) = (
        face @ (x, y, 1) for x, y in ((box.left, box.top), (box.left + box.width, box.top + box.height))
    )
    left, top = max(0, round(left)), max(0, round(top))
    right, bottom = min(bundle.size.width, round(right)), min(bundle.size.height, round(bottom))
    return Box(left, top, right - left, bottom - top)
