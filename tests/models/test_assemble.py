"""Assembling an avatar: joins with known answers, and folders that load."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from avatar.errors import BundleError
from models.bundles import read_bundle, read_manifest
from models.making.assemble.footage import Footage, read_footage
from models.making.assemble.join_sheet import join_sheet
from models.making.assemble.joins import GESTURE_ENTRIES, find_joins

SIZE, PATCH = 64, 16
MASK = np.zeros((PATCH, PATCH), np.uint8)
MASK[6:12, 4:12] = 255


def pictures_of(places: list[float], mouth: int = 0) -> NDArray[np.uint8]:
    """A light ball at x = each of ``places`` on a dark ground; the mouth's middle is of the level ``mouth``."""
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    drawn = []
    for place in places:
        level = 40 + 180 * np.exp(-((x - place) ** 2 + (y - 16) ** 2) / 60)
        level[44:52, 24:40] = mouth
        drawn.append(np.repeat(level[:, :, None], 3, axis=2))
    return np.round(np.stack(drawn)).astype(np.uint8)


def clip(name: str, places: list[float], mouth: int = 0, there_and_back: bool = True) -> Footage:
    face = np.array([[4, 0, 0], [0, 4, 0]], np.float32) * [[1, 1, 0], [1, 1, 0]]
    face[:, 2] = (0, 12)
    return Footage(
        name, pictures_of(places, mouth), np.repeat(face[None], len(places), axis=0).astype(np.float32), there_and_back
    )


def once(name: str, places: list[float], mouth: int = 0) -> Footage:
    return clip(name, places, mouth, there_and_back=False)


def steps(start: float, n: int, step: float = 2.0) -> list[float]:
    return [start + step * index for index in range(n)]


def test_a_join_leads_to_the_frame_that_looks_the_same() -> None:
    idle, talk = once("idle", steps(20, 10)), once("talk", steps(14, 16))
    joins = find_joins([idle, talk], MASK, gestures=())
    assert joins["idle"]["talk"].entry.tolist() == list(range(3, 13))
    assert joins["talk"]["idle"].entry[3:13].tolist() == list(range(10))
    assert joins["idle"]["talk"].entry.dtype == np.int32
    assert joins["idle"]["talk"].cost.dtype == np.float32


def test_a_step_between_neighbours_costs_one() -> None:
    one = clip("one", steps(20, 12), there_and_back=False)
    ahead = clip("ahead", steps(22, 11), there_and_back=False)
    cost = find_joins([one, ahead], MASK, gestures=("ahead",))["one"]["ahead"].cost
    assert cost[2] == pytest.approx(0, abs=0.05)
    assert cost[0] == pytest.approx(1, abs=0.5)
    assert cost[6] > 2, "the ball is far from where it enters"


def test_what_the_mouth_does_does_not_count() -> None:
    still, speaking = once("still", steps(20, 8)), once("speaking", steps(20, 8), mouth=255)
    joins = find_joins([still, speaking], MASK, gestures=())
    assert joins["still"]["speaking"].entry.tolist() == list(range(8))
    assert joins["still"]["speaking"].cost.max() < 3


def test_a_clip_that_moves_the_other_way_is_a_worse_join() -> None:
    right = clip("right", steps(16, 12), there_and_back=False)
    same, other = (
        clip("same", steps(16, 12), there_and_back=False),
        clip("other", steps(16, 12)[::-1], there_and_back=False),
    )
    joins = find_joins([right, same, other], MASK, gestures=())["right"]
    assert joins["same"].cost[5] < 0.1
    assert joins["other"].cost[5] > 2


def test_a_loop_is_best_left_where_it_turns_round() -> None:
    swinging, still = clip("swinging", steps(20, 6)), clip("still", [30.0] * 3)
    still_before = clip("still", [20.0] * 3)
    assert find_joins([swinging, still], MASK, gestures=())["swinging"]["still"].cost.argmin() == 5
    assert find_joins([swinging, still_before], MASK, gestures=())["swinging"]["still"].cost[0] == pytest.approx(
        0, abs=0.05
    )


def test_a_gesture_is_entered_at_its_beginning() -> None:
    idle, nod = clip("idle", steps(20, 10)), clip("nod", steps(14, 16), there_and_back=False)
    joins = find_joins([idle, nod], MASK, gestures={"nod"})
    assert joins["idle"]["nod"].entry.max() < GESTURE_ENTRIES
    assert joins["nod"]["idle"].entry.max() >= GESTURE_ENTRIES


def test_joins_can_be_looked_at() -> None:
    clips = [clip("idle", steps(20, 5)), clip("talk", steps(22, 5))]
    picture = join_sheet(clips, find_joins(clips, MASK, gestures=()))
    assert picture.ndim == 3
    assert picture.std() > 0


def write_pngs(folder: Path, footage: Footage) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(footage.pictures):
        cv2.imwrite(str(folder / f"{number:04d}.png"), picture)
    np.savez(folder / "track.npz", faces=footage.faces)


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """Five clips as PNGs, and a mask."""
    for number, name in enumerate(("idle", "listen", "talk", "nod", "smile")):
        write_pngs(tmp_path / "clips" / name, clip(name, steps(18 + number, 6 + number)))
    cv2.imwrite(str(tmp_path / "mask.png"), MASK)
    return tmp_path


def run(folder: Path, *more: str) -> tuple[int, str]:
    import typer

    from models.making.assemble.__main__ import assemble

    app = typer.Typer()
    app.command()(assemble)
    said = CliRunner().invoke(
        app, ["--clips", f"{folder}/clips", "--mask", f"{folder}/mask.png", "--out", f"{folder}/ava", *more]
    )
    return said.exit_code, said.output


def test_pngs_become_an_avatar_that_loads(rendered: Path) -> None:
    weights = rendered / "mouth.onnx"
    weights.write_bytes(b"weights")
    code, said = run(rendered, "--renderer", str(weights), "--look", str(rendered / "joins.png"))
    assert code == 0, said
    bundle = read_bundle(rendered / "ava")
    assert {name: len(each) for name, each in bundle.clips.items()} == {
        "idle": 6, "listen": 7, "talk": 8, "nod": 9, "smile": 10,
    }  # fmt: skip
    assert bundle.gestures == {"NOD": "nod", "SMILE": "smile"}
    assert bundle.clips["idle"].there_and_back
    assert not bundle.clips["nod"].there_and_back
    assert bundle.clips["idle"].joins["nod"].entry.max() < GESTURE_ENTRIES
    np.testing.assert_array_equal(bundle.mask, MASK)
    manifest = read_manifest(rendered / "ava")
    assert manifest.lipsync is not None
    assert (rendered / "ava" / manifest.lipsync.weights).read_bytes() == b"weights"
    assert any("ICT-FaceKit" in credit.author for credit in manifest.credits)
    assert (rendered / "joins.png").is_file()


def test_both_halves_of_a_renderer_are_taken_from_their_folder(rendered: Path) -> None:
    (rendered / "renderer").mkdir()
    (rendered / "renderer" / "mouth_look.onnx").write_bytes(b"looks")
    (rendered / "renderer" / "mouth_paint.onnx").write_bytes(b"paints")
    code, said = run(rendered, "--renderer", str(rendered / "renderer"))
    assert code == 0, said
    lipsync = read_manifest(rendered / "ava").lipsync
    assert lipsync is not None
    assert lipsync.look is not None
    assert (rendered / "ava" / lipsync.look).read_bytes() == b"looks"
    assert (rendered / "ava" / lipsync.weights).read_bytes() == b"paints"


def test_an_avatar_is_replaced_whole(rendered: Path) -> None:
    (rendered / "ava").mkdir()
    (rendered / "ava" / "left over").touch()
    assert run(rendered)[0] == 0
    assert not (rendered / "ava" / "left over").exists()
    assert read_manifest(rendered / "ava").lipsync is None


def test_a_missing_picture_is_refused_by_name(rendered: Path) -> None:
    (rendered / "clips" / "talk" / "0003.png").unlink()
    with pytest.raises(BundleError, match=r"no 0003\.png"):
        read_footage(rendered / "clips" / "talk", there_and_back=True)
    code, said = run(rendered)
    assert code == 1
    assert not (rendered / "ava").exists()
    assert "0003.png" in said.replace("\n", "")


def test_a_short_track_is_refused_with_both_numbers(rendered: Path) -> None:
    np.savez(rendered / "clips" / "nod" / "track.npz", faces=np.zeros((4, 2, 3), np.float32))
    with pytest.raises(BundleError, match="clip 'nod' has 9 pictures but 4 face tracks"):
        read_footage(rendered / "clips" / "nod", there_and_back=False)
