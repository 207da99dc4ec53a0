"""Rendering the clips: one PNG a frame and the face track beside them. What is there already is not made again."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np

from models.making.character.performance import PERFORMANCES
from models.making.character.presenter import Presenter
from models.making.character.stage import render

_LOG = logging.getLogger(__name__)


def render_clip(presenter: Presenter, name: str, folder: Path, n_samples: int, step: int = 1) -> int:
    """Render what is missing of a clip (every ``step``-th frame) into ``folder``; returns the number of new frames.

    Leaves ``0000.png``… and ``track.npz`` with ``faces`` (n, 2, 3) float32: from crop to frame pixels.
    """
    performance = PERFORMANCES[name]
    poses = [performance.pose(frame) for frame in range(performance.n_frames)]
    folder.mkdir(parents=True, exist_ok=True)
    faces = np.stack([presenter.track.affine(pose) for pose in poses]).astype(np.float32)
    np.savez(folder / "track.npz", faces=faces)
    missing = [frame for frame in range(0, len(poses), step) if not (folder / f"{frame:04d}.png").exists()]
    for done, frame in enumerate(missing, start=1):
        began = time.monotonic()
        presenter.take(poses[frame])
        render(folder / f"{frame:04d}.png", n_samples)
        _LOG.info("%s %04d: %.1f s (%d of %d)", name, frame, time.monotonic() - began, done, len(missing))
    return len(missing)
