"""Knobs are written into avatar.toml without touching anything else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from avatar.errors import BundleError
from avatar.lipsync import MouthTuning
from models.bundles import read_bundle
from models.manifest import FILE_NAME, read_manifest, write_tuning

TUNED = MouthTuning(gain=1.25, closure=2.0, smoothing_ms=40, sync_offset_ms=-20, mask_feather=3.5)


@pytest.fixture
def folder(tiny_avatar: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_avatar, tmp_path / "tiny"))


def spoken_lines(text: str) -> list[str]:
    """Lines that are no knob's."""
    knobs = ("gain", "closure", "smoothing_ms", "sync_offset_ms", "mask_feather", "voice_threshold_db")
    return [line for line in text.splitlines() if not line.startswith(knobs)]


def test_tuning_is_written_and_every_other_line_stays(folder: Path) -> None:
    path = folder / FILE_NAME
    path.write_text("# mine\n" + path.read_text().replace("gain = 1.0", "gain = 1.0 # more?"))
    before = path.read_text()
    written = write_tuning(folder, TUNED)
    assert written == read_manifest(folder)
    assert read_bundle(folder).tuning == TUNED
    assert spoken_lines(path.read_text()) == spoken_lines(before)
    assert "gain = 1.25  # more?" in path.read_text()


def test_writing_the_same_tuning_again_changes_nothing(folder: Path) -> None:
    write_tuning(folder, TUNED)
    once = (folder / FILE_NAME).read_text()
    write_tuning(folder, TUNED)
    assert (folder / FILE_NAME).read_text() == once


def test_an_avatar_without_tuning_gets_some(folder: Path) -> None:
    path = folder / FILE_NAME
    head, _, rest = path.read_text().partition("[tuning]\n")
    path.write_text(head + rest[rest.index("\n[") + 1 :])
    assert read_manifest(folder).mouth_tuning == MouthTuning()
    write_tuning(folder, TUNED)
    assert read_bundle(folder).tuning == TUNED


def test_tuning_that_is_written_in_some_other_way_is_written_anew(folder: Path) -> None:
    path = folder / FILE_NAME
    head, _, rest = path.read_text().partition("[tuning]\n")
    path.write_text("tuning = { gain = 2.0 }\n" + head + rest[rest.index("\n[") + 1 :])
    assert read_manifest(folder).tuning.gain == 2.0
    write_tuning(folder, TUNED)
    assert read_bundle(folder).tuning == TUNED


def test_a_knob_out_of_its_range_is_refused_and_the_file_stays(folder: Path) -> None:
    before = (folder / FILE_NAME).read_text()
    with pytest.raises(BundleError, match=r"tuning.gain is 9, allowed is 0 to 4"):
        write_tuning(folder, MouthTuning(gain=9))
    with pytest.raises(BundleError, match="multiples of 20"):
        write_tuning(folder, MouthTuning(smoothing_ms=30))
    assert (folder / FILE_NAME).read_text() == before
