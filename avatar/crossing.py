"""Pictures between two clips: one face that moves over, not two that shine through each other.

Where things are in one picture and in the other is found by optical flow, on small pictures (about two milliseconds).
The flow at a moment between the two is put together as in Jiang et al., "Super SloMo" (CVPR 2018, equations 3 and 4);
both pictures are bent there and mixed.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.pictures import Picture, planes

Plane = NDArray[np.uint8]

Flow = NDArray[np.float32]
"""How far to the right and down things lie in another picture, luma pixels, float32 (2, h, w) on a coarse grid."""

_FLOW_SIDE = 240
"""Flow is looked for on pictures whose longer side has at most this many pixels."""

_STILL = 0.25
"""Flow below this many pixels is the codec's noise: what stands still stays as sharp as it is."""


_BAND = 64
"""Rows of luma that are bent at a time: what is needed for more would not stay in the processor's cache."""


def crossed(old: Picture, new: Picture, share: float) -> Picture:
    """The I420 picture at ``share`` of the way from ``old`` (0) to ``new`` (1), of equal sizes; a new array."""
    forth, back = _flow(planes(old).y, planes(new).y), _flow(planes(new).y, planes(old).y)
    to_old = _half_size(-(1 - share) * share * forth + share * share * back, old)
    to_new = _half_size((1 - share) ** 2 * forth - share * (1 - share) * back, new)
    between: Picture = np.empty_like(old)
    target, one, other = planes(between), planes(old), planes(new)
    for top in range(0, len(target.y), _BAND):
        band = target.y[top : top + _BAND]
        parts = (
            _bent(luma, _doubled(flow, top, len(band)), top) for luma, flow in ((one.y, to_old), (other.y, to_new))
        )
        cv2.addWeighted(next(parts), 1 - share, next(parts), share, 0, dst=band)
    for mixed, here, there in ((target.u, one.u, other.u), (target.v, one.v, other.v)):
        cv2.addWeighted(
            _bent(here, to_old * np.float32(0.5)),
            1 - share,
            _bent(there, to_new * np.float32(0.5)),
            share,
            0,
            dst=mixed,
        )
    return between


def _flow(here: Plane, there: Plane) -> Flow:
    height, width = here.shape
    scale = min(1.0, _FLOW_SIDE / max(height, width))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small, other = (cv2.resize(luma, size, interpolation=cv2.INTER_AREA) for luma in (here, there))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow: Flow = np.asarray(search.calc(small, other, np.zeros((size[1], size[0], 2), np.float32)), np.float32)
    flow = flow.transpose(2, 0, 1) * np.array([width / size[0], height / size[1]], np.float32)[:, None, None]
    length = cv2.magnitude(flow[0], flow[1])
    flow *= np.maximum(length - _STILL, 0) / np.maximum(length, _STILL)
    return flow


def _half_size(flow: Flow, picture: Picture) -> Flow:
    """The flow for each pixel of a picture's chroma, still counted in luma's."""
    rows, columns = planes(picture).u.shape
    return np.stack([cv2.resize(each, (columns, rows), interpolation=cv2.INTER_LINEAR) for each in flow])


def _doubled(flow: Flow, top: int, n_rows: int) -> Flow:
    """Some rows, from an even one on, of a flow at twice its size."""
    above = min(top // 2, 1)
    part = flow[:, top // 2 - above : (top + n_rows) // 2 + 1]
    size = (2 * part.shape[2], 2 * part.shape[1])
    return np.stack([cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in part])[
        :, 2 * above : 2 * above + n_rows
    ]


def _bent(plane: Plane, flow: Flow, top: int = 0) -> Plane:
    """The plane's rows from ``top`` on, as many as the flow has, with every pixel fetched from where it points to."""
    n_rows, n_columns = flow.shape[1:]
    x = flow[0] + np.arange(n_columns, dtype=np.float32)
    y = flow[1] + np.arange(top, top + n_rows, dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
