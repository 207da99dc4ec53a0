"""Frames between rendered ones, by optical flow: slow motion needs no ray tracing of its own.

The flow at a moment between two pictures is put together of the flows between them as in Jiang et al., "Super SloMo"
(CVPR 2018, equations 3 and 4); both pictures are warped there and mixed.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""A picture, uint8 (height, width, 3)."""


class InBetween:
    """The frames between two pictures of the same size."""

    def __init__(self, first: Rgb, last: Rgb) -> None:
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        grey_first, grey_last = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, last))
        self._first = first
        self._last = last
        empty = np.zeros((*grey_first.shape, 2), np.float32)
        self._forth = np.asarray(flow.calc(grey_first, grey_last, empty.copy()), np.float32)
        self._back = np.asarray(flow.calc(grey_last, grey_first, empty), np.float32)

    def at(self, moment: float) -> Rgb:
        """The picture at ``moment``, 0 (the first) to 1 (the last)."""
        t = moment
        to_first = -(1 - t) * t * self._forth + t * t * self._back
        to_last = (1 - t) ** 2 * self._forth - t * (1 - t) * self._back
        mixed = (1 - t) * _warped(self._first, to_first) + t * _warped(self._last, to_last)
        return np.asarray(np.round(mixed), np.uint8)


def _warped(picture: Rgb, flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture seen along ``flow`` (height, width, 2), in pixels."""
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    seen = cv2.remap(
        picture.astype(np.float32), x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.clip(seen, 0, 255)
