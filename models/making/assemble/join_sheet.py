"""Joins as a picture: pairs of frames that one clip is left and another entered at, and their difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from avatar.bundle import Join
from avatar.pictures import Rgb
from models.making.assemble.footage import Footage

_SIDE = 160


def join_sheet(clips: Sequence[Footage], joins: Mapping[str, Mapping[str, Join]]) -> Rgb:
    """For each ordered pair of clips, its cheapest join: frame left, frame entered, their difference times four."""
    by_name = {clip.name: clip for clip in clips}
    rows = []
    for name, others in joins.items():
        cells = []
        for other in sorted(by_name.keys() - {name}):
            join = others[other]
            frame = int(join.cost.argmin())
            entry = int(join.entry[frame])
            left, entered = (_shrunk(by_name[clip].at(step)) for clip, step in ((name, frame), (other, entry)))
            apart = np.clip(np.abs(left.astype(np.int16) - entered) * 4, 0, 255).astype(np.uint8)
            cell = np.ascontiguousarray(np.hstack([left, entered, apart]))
            label = f"{name} {frame} > {other} {entry}: {join.cost[frame]:.2f} (median {np.median(join.cost):.2f})"
            cv2.putText(cell, label, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
            cells.append(cell)
        rows.append(np.hstack(cells))
    return np.vstack(rows)


def _shrunk(picture: Rgb) -> Rgb:
    return np.asarray(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)
