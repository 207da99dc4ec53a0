"""One picture of the presenter, to look at."""

from __future__ import annotations

from pathlib import Path

from avatar.articulation import TARGETS, VISEMES
from models.making.character.mouth import REST, added, mouth_weights
from models.making.character.pose import Pose
from models.making.character.presenter import Presenter
from models.making.character.stage import render


def render_still(presenter: Presenter, viseme: str, smile: float, path: Path, n_samples: int) -> None:
    """Render a viseme in the rest pose to a PNG."""
    articulation = TARGETS[VISEMES.index(viseme)]
    presenter.take(Pose(weights=added(REST, mouth_weights(articulation, smile))))
    render(path, n_samples)
