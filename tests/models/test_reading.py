from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from avatar.bundle import AvatarBundle
from avatar.errors import BundleError
from models.bundles import read_bundle, read_manifest
from models.reading import read_aside


def plain(bundle: AvatarBundle) -> dict[str, object]:
    """All of it; arrays as bytes, with their kind and shape."""

    def told(value: object) -> object:
        if isinstance(value, np.ndarray):
            return (value.dtype.str, value.shape, value.tobytes())
        if isinstance(value, dict):
            return [(key, told(each)) for key, each in value.items()]
        return value

    return {key: told(value) for key, value in dataclasses.asdict(bundle).items()}


def test_another_process_reads_the_same(tiny_avatar: Path) -> None:
    manifest = read_manifest(tiny_avatar)
    bundle = read_aside(tiny_avatar, manifest)
    assert plain(bundle) == plain(read_bundle(tiny_avatar, manifest))
    for clip in bundle.clips.values():
        with pytest.raises(ValueError, match="read-only"):
            clip.frames[0] = 0


def test_what_is_wrong_with_the_folder_is_told(tiny_avatar: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_avatar, tmp_path / "tiny"))
    (folder / "mask.png").unlink()
    with pytest.raises(BundleError, match=r"lacks the file mask\.png"):
        read_aside(folder, read_manifest(tiny_avatar))


@pytest.mark.skipif(sys.platform != "linux", reason="footage is read by this process")
def test_a_process_that_ends_early_is_told(tiny_avatar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BundleError, match="the process that did so ended with 1"):
        read_aside(tiny_avatar, read_manifest(tiny_avatar))
