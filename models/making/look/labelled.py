"""Pictures side by side with words on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from avatar.errors import AvatarError
from avatar.geometry import Box, Size
from avatar.pictures import Rgb

_INK, _PAPER = (40, 40, 40), 250
_TEXT_HEIGHT = 16


def fitted(picture: Rgb, size: Size) -> Rgb:
    return np.asarray(cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_AREA), np.uint8)


def captioned(picture: Rgb, text: str) -> Rgb:
    """The picture with a line of text above it."""
    line = np.full((_TEXT_HEIGHT, picture.shape[1], 3), _PAPER, np.uint8)
    cv2.putText(line, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _INK, 1, cv2.LINE_AA)
    return np.vstack([line, picture])


def grid(pictures: Sequence[Rgb], columns: int, gap: int = 4) -> Rgb:
    """Pictures of one size in rows of ``columns``."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), _PAPER, np.uint8)
    for index, picture in enumerate(pictures):
        place = Box((index % columns) * (width + gap), (index // columns) * (height + gap), width, height)
        sheet[place.rows, place.columns] = picture
    return sheet


def png(picture: Rgb) -> bytes:
    """The picture as a PNG file, for a notebook."""
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def write_picture(path: Path, picture: Rgb) -> None:
    """Write a PNG, or a JPEG that looks the same.

    Raises:
        AvatarError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88]):
        raise AvatarError(f"{path} cannot be written")
