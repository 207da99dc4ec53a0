"""A film file, read whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.pictures import from_rgb

LONGEST_S = 120
"""A film of more than this is refused: its pictures would not fit into memory."""


@dataclass(frozen=True, slots=True)
class Film:
    """Pictures of a film.

    Attributes:
        pictures: I420, uint8 (n, height * 3 / 2, width).
        times_s: when each is shown, from 0 on, float64 (n,); a phone's frames do not last equally long.
        shrunk: width of these pictures over the file's.
    """

    pictures: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    shrunk: float = 1.0

    @property
    def size(self) -> Size:
        return Size(self.pictures.shape[2], self.pictures.shape[1] * 2 // 3)

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The luma planes alone, uint8 (n, height, width)."""
        return self.pictures[:, : self.size.height]


def read_film(path: Path, highest: int, size: Size | None = None) -> Film:
    """Reads a film of any codec, as upright as it was filmed.

    Args:
        path: the file; its sound is left alone.
        highest: higher pictures are shrunk to this height, even.
        size: that the pictures must have then: that of the avatar's other films.

    Raises:
        BundleError: no film, too short or long, or of another shape than ``size``.
    """
    pictures: list[NDArray[np.uint8]] = []
    times: list[float] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise BundleError(f"{path} has no pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                turned = frame.rotation % 180 != 0
                wide, high = (frame.height, frame.width) if turned else (frame.width, frame.height)
                fitted = fit(Size(wide, high), highest)
                width, height = (fitted.height, fitted.width) if turned else (fitted.width, fitted.height)
                rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
                pictures.append(from_rgb(np.ascontiguousarray(np.rot90(rgb, frame.rotation // 90))))
                times.append(float(frame.time or 0.0))
                if times[-1] - times[0] > LONGEST_S:
                    raise BundleError(f"{path} is longer than {LONGEST_S} s; cut out the part that is to be shown")
                if size is not None and fitted != size:
                    raise BundleError(f"{path} becomes {fitted}, but the avatar's first film {size}: use one shape")
    except (av.FFmpegError, OSError) as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    if len(pictures) < 5:
        raise BundleError(f"{path} has {len(pictures)} pictures, needed are 5 or more")
    return Film(np.stack(pictures), np.array(times) - times[0], fitted.width / wide)


def fit(size: Size, highest: int) -> Size:
    """The size with even numbers and at most this height, of the same shape."""
    scale = min(1.0, highest / size.height)
    return Size(round(size.width * scale / 2) * 2, round(size.height * scale / 2) * 2)
