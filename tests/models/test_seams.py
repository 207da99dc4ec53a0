"""Seams are measured on true pictures: clips that cross."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from avatar.bundle import AvatarBundle, Clip
from avatar.cues import Enter, Perform
from avatar.director import Leaving, Shot
from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.lipsync import LipSyncSpec, MouthJob, MouthTuning
from avatar.pictures import Rgb
from models.bundles import read_bundle
from models.loading import EMBEDDED
from models.making.seams.__main__ import app
from models.making.seams.borders_seen import judge_borders
from models.making.seams.joins_seen import BAR, Eye, judge_joins, spans
from models.making.seams.rejoin import rejoin
from models.making.seams.script import Session, scripted_session
from models.making.seams.sheets import joins_sheet
from models.speech_files import read_speech, resampled
from tests.tiny_avatar import make_tiny_avatar


@pytest.fixture(scope="module")
def tiny(tiny_avatar: Path) -> AvatarBundle:
    return read_bundle(tiny_avatar)


@pytest.fixture(scope="module")
def ava() -> AvatarBundle:
    return read_bundle(EMBEDDED / "ava")


def test_the_script_asks_for_every_state_and_gesture_in_every_way_and_interrupts(tiny: AvatarBundle) -> None:
    session = scripted_session(tiny, 120)
    assert len(session.shots) == 120 * 25
    assert {shot.state for shot in session.shots} == {"idle", "listen", "talk"}
    assert {shot.gesture for shot in session.shots} == {None, "NOD", "SMILE"}
    wishes = {(asked.wish, asked.block.composition) for asked in session.asked}
    assert {(Enter(state), "MERGE") for state in tiny.loops} < wishes
    assert {(Perform(gesture), how) for gesture in tiny.gestures for how in ("MERGE", "APPEND", "REPLACE")} < wishes
    assert session.n_interruptions > 1
    assert scripted_session(tiny, 120) == session, "the same seed makes the same session"
    assert scripted_session(tiny, 120, seed=2) != session


def test_crossings_and_cuts_are_found() -> None:
    def shot(clip: str, weight: float = 0) -> Shot:
        return Shot(clip, 0, "idle", leaving=Leaving("idle", 0, weight) if weight else None)

    shots = [shot("idle"), shot("talk", 0.3), shot("talk", 0.7), shot("talk"), shot("nod"), shot("nod")]
    assert spans(shots) == [(1, 3), (4, 5)]
    back_to_back = [shot("nod"), shot("nod", 0.3), shot("nod", 0.7), shot("nod", 0.3), shot("nod", 0.7)]
    assert spans(back_to_back) == [(1, 3), (3, 5)]


def test_a_cut_between_pictures_that_differ_breaks_the_bar(tiny: AvatarBundle) -> None:
    cut = [Shot("idle", 0, "idle"), Shot("idle", 1, "idle"), Shot("smile", 11, "idle"), Shot("smile", 10, "idle")]
    figures = judge_joins(tiny, Session(cut, [], 0))
    assert figures.ratio > BAR
    assert (figures.worst.left, figures.worst.entered, figures.worst.start) == ("idle", "smile", 2)


def test_what_changes_where_the_mouth_is_does_not_count(tiny: AvatarBundle) -> None:
    idle = tiny.clips["idle"]
    mouth = cv2.warpAffine(tiny.mask, idle.faces[4], (128, 128), flags=cv2.INTER_LINEAR) > 0
    frames = np.stack([idle.frames[4]] * 3)
    frames[1, :128][mouth] = 255
    frames[2, :128][~mouth] = 16
    faces, crops = (np.stack([array[4]] * 3) for array in (idle.faces, idle.crops))
    clip = Clip("idle", frames, faces, crops, {}, there_and_back=False)
    clips = {name: replace(each, joins={}) for name, each in tiny.clips.items()} | {"idle": clip}
    spoken, darkened = Eye(replace(tiny, clips=clips)).steps([Shot("idle", frame, "idle") for frame in range(3)])
    assert spoken == 0
    assert darkened > 20


def test_a_session_without_joins_gives_no_figure(tiny: AvatarBundle) -> None:
    with pytest.raises(BundleError, match="avatar 'tiny' shows 0 joins"):
        judge_joins(tiny, Session([Shot("idle", 0, "idle")] * 3, [], 0))


def test_the_embedded_avatars_clips_cross_without_a_jump(ava: AvatarBundle) -> None:
    session = scripted_session(ava, 60, seed=3)
    assert {shot.gesture for shot in session.shots} == {None, *ava.gestures}
    figures = judge_joins(ava, session)
    assert len(figures.crossings) > 20
    assert figures.ratio <= BAR, figures.summary()
    assert max(figures.gesture_waits_s) <= 1
    assert max(figures.state_waits_s) <= 2
    picture = joins_sheet(ava, session, figures, n=2)
    assert picture.shape[2] == 3


def test_joins_are_found_anew(tmp_path: Path) -> None:
    folder = make_tiny_avatar(tmp_path / "tiny")
    found = rejoin(folder)
    bundle = read_bundle(folder)
    for name, clip in bundle.clips.items():
        assert set(clip.joins) >= set(bundle.clips) - {name}
        for other, join in clip.joins.items():
            np.testing.assert_array_equal(join.entry, found[name][other].entry)
    assert set(bundle.clips["nod"].joins) == set(bundle.clips), "a gesture may follow itself"


def test_the_command_prints_figures_and_judges(tiny_avatar: Path, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["joins", str(tiny_avatar), "--seconds", "20", "--sheet", f"{tmp_path}/joins.png"])
    figures = json.loads(said.stdout)
    assert said.exit_code == int(figures["ratio"] > BAR)
    assert figures["joins"] > 5
    assert cv2.imread(f"{tmp_path}/joins.png") is not None
    (tmp_path / "empty").mkdir()
    said = CliRunner().invoke(app, ["joins", str(tmp_path / "empty")])
    assert said.exit_code == 1
    assert "avatar.toml" in said.output


SAMPLE = Path("server/studio/sample.wav")


def test_the_mouths_border_is_no_steeper_than_the_footage(tmp_path: Path) -> None:
    said = CliRunner().invoke(
        app, ["borders", str(EMBEDDED / "ava"), str(SAMPLE), "--sheet", f"{tmp_path}/borders.png"]
    )
    assert said.exit_code == 0, said.output
    figures = json.loads(said.stdout)
    assert figures["frames"] > 20
    assert figures["gradient_ratio"]["median"] <= 1.1
    assert figures["colour_step"]["Y"]["median"] < 3
    assert max(figures["colour_step"][channel]["median"] for channel in "UV") < 1
    assert cv2.imread(f"{tmp_path}/borders.png") is not None


def test_a_hard_mask_over_a_mouth_of_other_colours_breaks_the_bar(ava: AvatarBundle) -> None:
    class Reddened:
        """Draws the crop itself, but redder."""

        spec = LipSyncSpec(window=20, look_ahead_ms=80, patch=Size(*ava.mask.shape[::-1]))

        ear = None

        def hear(self, batch: Sequence[MouthJob]) -> NDArray[np.float32]:
            return np.zeros((len(batch), 1), np.float32)

        def paint(self, batch: Sequence[MouthJob], mouths: NDArray[np.float32]) -> list[Rgb]:
            return [np.asarray(job.crop.pixels // 2 + (90, 0, 0), np.uint8) for job in batch]

        def draw(self, batch: Sequence[MouthJob]) -> list[Rgb]:
            return self.paint(batch, self.hear(batch))

    hard = replace(ava, mask=np.where(ava.mask > 127, 255, 0).astype(np.uint8))
    figures = judge_borders(hard, Reddened(), resampled(*read_speech(SAMPLE), 48_000)[:96_000])
    assert figures.ratio > 1.1
    feathered = judge_borders(
        replace(hard, tuning=MouthTuning(mask_feather=20)), Reddened(), resampled(*read_speech(SAMPLE), 48_000)[:96_000]
    )
    assert feathered.ratio < figures.ratio, "the feather mends it"


def test_an_avatar_without_lips_has_no_border(tiny_body: Path) -> None:
    said = CliRunner().invoke(app, ["borders", str(tiny_body), str(SAMPLE)])
    assert said.exit_code == 1
    assert "no trained mouth" in said.output
