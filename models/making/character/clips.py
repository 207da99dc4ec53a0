"""Rendering the clips: one PNG a frame and the face track beside them. What is there already is not made again.

Where the head moves slowly only key frames are rendered, and the frames between them follow by optical flow. Lids and
eyes are too quick for that: while they move, every frame is rendered.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import cv2
import numpy as np

from models.making.character.in_between import InBetween, Rgb
from models.making.character.performance import PERFORMANCES, Performance
from models.making.character.presenter import Presenter
from models.making.character.stage import render

_LOG = logging.getLogger(__name__)

KEYS = "keys"
"""The folder of the frames that were rendered, beside the finished ones."""

LIDS_MOVE = 0.02
GAZE_MOVES_DEGREES = 0.7
"""Change of ``eyeBlink``, or of the gaze, between two frames from which on both are rendered."""


def key_frames(performance: Performance, step: int) -> list[int]:
    """The frames to render: the first, the last, every ``step``-th, and those in which lids or eyes are quick."""
    poses = [performance.pose(frame) for frame in range(performance.n_frames)]
    lids = np.diff([pose.weights.get("eyeBlink", 0.0) for pose in poses])
    gaze = np.hypot(np.diff([pose.gaze_right for pose in poses]), np.diff([pose.gaze_up for pose in poses]))
    moving = np.flatnonzero((np.abs(lids) > LIDS_MOVE) | (gaze > GAZE_MOVES_DEGREES))
    last = performance.n_frames - 1
    return sorted({*range(0, last, step), last, *moving.tolist(), *(moving + 1).tolist()})


def write_track(presenter: Presenter, name: str, folder: Path) -> None:
    """Leaves ``track.npz`` with ``faces`` (n, 2, 3) float32: from crop to frame pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    performance = PERFORMANCES[name]
    faces = [presenter.track.affine(performance.pose(frame)) for frame in range(performance.n_frames)]
    np.savez(folder / "track.npz", faces=np.stack(faces).astype(np.float32))


def render_clip(presenter: Presenter, name: str, folder: Path, n_samples: int, step: int | None = None) -> int:
    """Renders what is missing of a clip's key frames, then makes the frames between; returns how many were rendered.

    Leaves ``0000.png``… and the track; the key frames as rendered are in the folder ``keys``.

    Args:
        step: frames from one key to the next; None takes the clip's own.
    """
    performance = PERFORMANCES[name]
    poses = [performance.pose(frame) for frame in range(performance.n_frames)]
    (folder / KEYS).mkdir(parents=True, exist_ok=True)
    write_track(presenter, name, folder)
    keys = key_frames(performance, step or performance.key_step)
    missing = [frame for frame in keys if not _key(folder, frame).exists()]
    for done, frame in enumerate(missing, start=1):
        began = time.monotonic()
        presenter.take(poses[frame])
        render(_key(folder, frame), n_samples)
        _LOG.info("%s %04d: %.1f s (%d of %d)", name, frame, time.monotonic() - began, done, len(missing))
    complete_clip(folder, keys)
    return len(missing)


def complete_clip(folder: Path, keys: list[int]) -> None:
    """Writes every frame of a clip whose key frames are there."""
    for first, last in zip(keys, keys[1:], strict=False):
        pictures = [_read(_key(folder, key)) for key in (first, last)]
        between = InBetween(*pictures)
        for frame in range(first, last + 1):
            if frame in (first, last):
                picture = pictures[frame == last]
            else:
                picture = between.at((frame - first) / (last - first))
            cv2.imwrite(str(folder / f"{frame:04d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _read(path: Path) -> Rgb:
    picture = cv2.imread(str(path))
    if picture is None:
        raise FileNotFoundError(f"{path} is missing or broken; delete it and render the clip again")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _key(folder: Path, frame: int) -> Path:
    return folder / KEYS / f"{frame:04d}.png"
