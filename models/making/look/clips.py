"""An avatar's clips as pictures and curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.bundle import AvatarBundle, Clip
from avatar.geometry import Size
from avatar.pictures import Rgb, to_rgb
from models.making.look.labelled import captioned, fitted, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HIGH = 150
_SHOWN = 8


def clip_sheet(bundle: AvatarBundle) -> Rgb:
    """A row for each clip: frames evenly spaced, with what the clip is for."""
    tile = Size(round(_HIGH * bundle.size.width / bundle.size.height), _HIGH)
    rows = []
    for name, clip in bundle.clips.items():
        uses = [use for use, played in (*bundle.loops.items(), *bundle.gestures.items()) if played == name]
        shown = np.linspace(0, len(clip) - 1, _SHOWN).round().astype(int)
        row = np.hstack([fitted(to_rgb(clip.frames[index]), tile) for index in shown])
        turns = ", there and back" if clip.there_and_back else ""
        seconds = len(clip) / float(bundle.fps)
        rows.append(captioned(row, f"{name} ({', '.join(uses)}): {len(clip)} frames, {seconds:.1f} s{turns}"))
    return grid(rows, 1)


def outlined_mask(bundle: AvatarBundle) -> Rgb:
    """The first frame of each clip as the network sees it, and the mask's 6, 50 and 98 % lines."""
    cells = []
    for name, clip in bundle.clips.items():
        crop = clip.crops[0].copy()
        for level, colour in ((16, (0, 160, 0)), (128, (230, 200, 0)), (250, (230, 0, 0))):
            edges, _ = cv2.findContours((bundle.mask >= level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(crop, edges, -1, colour, 1)
        cells.append(captioned(crop, name))
    return grid(cells, min(len(cells), 6))


def plot_tracks(bundle: AvatarBundle) -> Figure:
    """Where the face is in each clip: its place, its size and its angle, frame by frame."""
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(4, len(bundle.clips), figsize=(2.2 * len(bundle.clips), 6), squeeze=False)
    for column, (name, clip) in zip(rows.T, bundle.clips.items(), strict=True):
        column[0].set_title(name)
        for axes, (label, values) in zip(column, _movement(clip).items(), strict=True):
            axes.plot(values, lw=1)
            axes.tick_params(labelsize=6)
            if name == next(iter(bundle.clips)):
                axes.set_ylabel(label, fontsize=7)
    figure.tight_layout()
    return figure


def plot_join_costs(bundle: AvatarBundle) -> Figure:
    """What it costs to leave each clip (row) for each other (column): the cheapest join, and the median of all."""
    from matplotlib import pyplot

    names = list(bundle.clips)
    costs = np.full((2, len(names), len(names)), np.nan)
    for row, name in enumerate(names):
        for other, join in bundle.clips[name].joins.items():
            costs[:, row, names.index(other)] = join.cost.min(), np.median(join.cost)
    figure, both = pyplot.subplots(1, 2, figsize=(11, 4.8))
    for axes, cost, title in zip(both, costs, ("cheapest", "median"), strict=True):
        axes.imshow(cost, cmap="viridis_r", vmin=0, vmax=np.nanmax(costs))
        axes.set_xticks(range(len(names)), names, rotation=60, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_title(f"{title} join, in ordinary steps", fontsize=9)
        for (y, x), value in np.ndenumerate(cost):
            if np.isfinite(value):
                axes.text(x, y, f"{value:.1f}", ha="center", va="center", fontsize=6)
    figure.tight_layout()
    return figure


def _movement(clip: Clip) -> dict[str, NDArray[np.float64]]:
    """The crop's middle in the frame, its scale and its angle, (n,) each."""
    faces = np.asarray(clip.faces, np.float64)
    height, width = clip.crops.shape[1:3]
    middle = faces @ np.array([(width - 1) / 2, (height - 1) / 2, 1])
    return {
        "right, pixels": middle[:, 0],
        "down, pixels": middle[:, 1],
        "scale": np.hypot(faces[:, 0, 0], faces[:, 1, 0]),
        "angle, degrees": np.degrees(np.arctan2(faces[:, 1, 0], faces[:, 0, 0])),
    }
