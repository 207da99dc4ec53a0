"""What our mouths are measured against is what it is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avatar.errors import BundleError
from models.loading import Catalogue
from models.making.mouth import comparison
from models.making.mouth.wav2lip import MEL, SIDE, Wav2Lip, multiplications


def test_wav2lip_has_the_size_that_was_published() -> None:
    network = Wav2Lip().eval()
    assert multiplications(network) == pytest.approx(3.97e9, rel=0.002)
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(36.3e6, rel=0.002)
    with torch.inference_mode():
        drawn = network(torch.rand(2, 1, *MEL), torch.rand(2, 6, SIDE, SIDE))
    assert drawn.shape == (2, 3, SIDE, SIDE)


def test_every_way_of_drawing_is_timed(tiny_avatar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "THEIR_BATCH", 1)
    turns: list[tuple[int, int]] = []
    spent = comparison.compare(Catalogue([tiny_avatar]).load("tiny"), 2, lambda *turn: turns.append(turn))
    assert list(spent) == [comparison.THEIRS, "ours, 1 at once", "ours, 4 at once"]
    assert all(milliseconds > 0 for milliseconds in spent.values())
    assert turns[-1] == (2, 2)


def test_an_avatar_without_a_mouth_is_refused(tiny_body: Path) -> None:
    with pytest.raises(BundleError, match="avatar 'body' draws no mouth, so there is nothing to compare"):
        comparison.compare(Catalogue([tiny_body]).load("body"), 1)
