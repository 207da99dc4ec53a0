"""Contact sheets of seams."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.pictures import Rgb, to_rgb
from models.making.seams.borders_seen import BorderFigures
from models.making.seams.joins_seen import Eye, JoinFigures
from models.making.seams.script import Session

_SIDE = 200
_COLUMNS = 9


def joins_sheet(bundle: AvatarBundle, session: Session, figures: JoinFigures, n: int = 8) -> Rgb:
    """The joins with the largest steps, one row each: from the frame before a crossing to the frame after it.

    A join that is seen several times has one row.
    """
    eye = Eye(bundle)
    rows: list[Rgb] = []
    seen: set[tuple[str, str]] = set()
    for crossing in sorted(figures.crossings, key=lambda each: -each.step):
        if (crossing.left, crossing.entered) in seen or len(rows) == n:
            continue
        seen.add((crossing.left, crossing.entered))
        span = np.arange(crossing.start - 1, min(crossing.stop + 1, len(session.shots)))
        chosen = span[np.unique(np.linspace(0, len(span) - 1, _COLUMNS).astype(int))]
        cells = [shrunk(to_rgb(eye.picture(session.shots[index]))) for index in chosen]
        cells += [np.zeros_like(cells[0])] * (_COLUMNS - len(cells))
        label = (
            f"{crossing.left} > {crossing.entered}, frame {crossing.start}, {crossing.stop - crossing.start} frames: "
            f"largest step {crossing.step / figures.inside_p99:.2f} of the clips' 99th percentile"
        )
        rows.append(labelled(np.hstack(cells), label))
    return np.vstack(rows)


def borders_sheet(bundle: AvatarBundle, figures: BorderFigures, n: int = 8) -> Rgb:
    """The mouths with the steepest borders, one clip's each: as drawn, the footage, and six times their difference."""
    compositor = Compositor(bundle)
    rows: list[Rgb] = []
    seen: set[str] = set()
    for border in sorted(figures.borders, key=lambda each: -each.ratio):
        if border.shot.clip in seen or len(rows) == n:
            continue
        seen.add(border.shot.clip)
        down, across = np.nonzero(compositor.mask_of(border.shot))
        margin = max(np.ptp(down), np.ptp(across)) // 4
        around = np.s_[
            max(0, down.min() - margin) : down.max() + margin, max(0, across.min() - margin) : across.max() + margin
        ]
        composed, footage = to_rgb(border.composed)[around], to_rgb(border.footage)[around]
        apart = np.clip(128 + 6 * (composed.astype(np.int16) - footage), 0, 255).astype(np.uint8)
        label = (
            f"{border.shot.clip} {border.shot.frame}: gradient {border.ratio:.2f} of the footage's, colours off by "
            f"{', '.join(f'{step:+.1f}' for step in border.step)}"
        )
        rows.append(labelled(np.hstack([grown(each) for each in (composed, footage, apart)]), label))
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def grown(picture: Rgb, side: int = 360) -> Rgb:
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (side * width // height, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def shrunk(picture: Rgb, side: int = _SIDE) -> Rgb:
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (side * width // height, side), interpolation=cv2.INTER_AREA), np.uint8)


def labelled(row: Rgb, label: str) -> Rgb:
    strip = np.full((18, row.shape[1], 3), 24, np.uint8)
    cv2.putText(strip, label, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([strip, row])
