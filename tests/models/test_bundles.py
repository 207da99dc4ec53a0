"""An avatar's folder is read once and checked whole, and every refusal says what is wrong."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from avatar.bundle import STATES
from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.lipsync import MouthTuning
from avatar.pictures import to_rgb
from models.bundles import (
    ClipEntry,
    Credit,
    TuningEntry,
    face_crop,
    read_bundle,
    read_manifest,
    write_manifest,
    write_mask,
)
from models.manifest import parse_manifest
from tests.tiny_avatar import CLIPS, face_track


@pytest.fixture
def folder(tiny_avatar: Path, tmp_path: Path) -> Path:
    """A copy of the tiny avatar, to be spoiled."""
    return Path(shutil.copytree(tiny_avatar, tmp_path / "tiny"))


def rewrite(folder: Path, **changes: Any) -> None:
    """Writes avatar.toml anew, with fresh hashes and these fields changed."""
    write_manifest(folder, msgspec.structs.replace(read_manifest(folder), **changes))


def edit(folder: Path, old: str, new: str) -> None:
    """Edits avatar.toml by hand."""
    text = (folder / "avatar.toml").read_text()
    assert old in text
    (folder / "avatar.toml").write_text(text.replace(old, new, 1))


def test_a_whole_avatar_is_read(tiny_avatar: Path) -> None:
    bundle = read_bundle(tiny_avatar)
    assert (bundle.id, bundle.name, bundle.version) == ("tiny", "Tiny", "1")
    assert (bundle.size, bundle.fps, bundle.tuning) == (Size(128, 128), Fraction(25), MouthTuning())
    assert {name: len(clip) for name, clip in bundle.clips.items()} == CLIPS
    assert tuple(bundle.loops) == STATES
    assert bundle.gestures == {"NOD": "nod", "SMILE": "smile"}
    for name, clip in bundle.clips.items():
        assert set(clip.joins) == set(CLIPS) - {name}
        assert clip.there_and_back == (name not in ("nod", "smile"))


@pytest.mark.parametrize("x", [-20.0, 0.0, 17.3, 75.5, 110.0])
def test_a_face_is_cropped_as_if_the_whole_picture_were_converted(x: float) -> None:
    picture = np.random.default_rng(5).integers(16, 236, (192, 128), np.uint8)
    face = np.array([[0.8, 0.1, x], [-0.1, 0.8, x / 2 + 11.7]], np.float32)
    crop = face_crop(picture, face, Size(48, 48))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    whole = cv2.warpAffine(to_rgb(picture), face, (48, 48), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(crop.astype(int) - whole).max() <= 1


def test_a_face_beside_its_picture_is_refused() -> None:
    face = np.array([[1, 0, 400], [0, 1, 0]], np.float32)
    with pytest.raises(BundleError, match="outside of its picture"):
        face_crop(np.zeros((192, 128), np.uint8), face, Size(48, 48))


def test_everything_in_a_bundle_is_read_only(tiny_avatar: Path) -> None:
    bundle = read_bundle(tiny_avatar)
    arrays = [bundle.mask]
    for clip in bundle.clips.values():
        assert not any(part.flags.writeable for part in (clip.frames, clip.faces, clip.crops))
        assert not any(join.entry.flags.writeable or join.cost.flags.writeable for join in clip.joins.values())
    assert not any(array.flags.writeable for array in arrays)


def test_crops_hold_the_face_still_while_it_moves_through_the_frame(tiny_avatar: Path) -> None:
    clip = read_bundle(tiny_avatar).clips["idle"]
    face = np.s_[:, 16:44, 16:32]
    sway = np.ptp(clip.faces[:, :, 2], axis=0)
    assert sway.min() > 1
    assert np.abs(clip.crops[face].astype(int) - clip.crops[face].astype(int).mean(axis=0)).mean() < 2
    frames = clip.frames[:, 48:96, 48:80].astype(int)
    assert np.abs(frames - frames.mean(axis=0)).mean() > 4


def test_a_manifest_survives_being_written(folder: Path) -> None:
    credit = Credit('the "face" of Zoë', "A. Painter\tand others", "https://example.org/?a=b#c", "CC-BY-4.0")
    before = msgspec.structs.replace(
        read_manifest(folder), name="Zoë \U0001f600 \x7f", credits=[credit, credit], tuning=TuningEntry(gain=1.25)
    )
    after = write_manifest(folder, before)
    assert after == msgspec.structs.replace(before, files=after.files) == read_manifest(folder)


def test_writing_a_manifest_lists_every_file_but_hidden_ones(folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    rewrite(folder)
    files = set(read_manifest(folder).files)
    assert files >= {"mask.png", "clips/idle.mp4", "tracks/idle.npz", "weights/mouth.onnx"}
    assert not files & {"avatar.toml", ".DS_Store"}


def test_files_that_are_not_listed_are_left_alone(folder: Path) -> None:
    (folder / "notes.txt").write_text("not part of the avatar")
    assert read_bundle(folder).id == "tiny"


def test_tuning_reaches_the_bundle(folder: Path) -> None:
    rewrite(folder, tuning=TuningEntry(gain=1.5, sync_offset_ms=-40, mask_feather=3))
    assert read_bundle(folder).tuning == MouthTuning(gain=1.5, sync_offset_ms=-40, mask_feather=3.0)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('id = "tiny"', 'id = "Tiny!"', r"avatar\.toml: id is 'Tiny!', allowed is \[a-z0-9\]\[a-z0-9_-\]\{0,63\}"),
        ("format = 1", "format = 2", "format is 2, this version reads format 1"),
        ("size = [128, 128]", "size = [127, 128]", "size is 127x128, allowed are even numbers from 2 to 4096"),
        ("size = [128, 128]", "size = [128, 128, 3]", r"Expected `array` of length 2, got 3 - at `\$\.size`"),
        ('fps = "25"', 'fps = "25.5"', r"fps is '25\.5', allowed are fractions from 1 to 240"),
        ('fps = "25"', 'fps = "1/0"', "fps is '1/0', allowed are fractions"),
        ('fps = "25"', "fps = 25", r"Expected `str`, got `int` - at `\$\.fps`"),
        ('version = "1"\n', "", "missing required field `version`"),
        ("gain = 1.0", "gian = 1.0", r"unknown field `gian` - at `\$\.tuning`; allowed are gain, closure, smoothing"),
        ("format = 1", 'colour = "red"', "unknown field `colour`; allowed are id, name, version"),
        ("frames = 20", "frames = 20\nlenght = 3", "unknown field `lenght`.*; allowed are file, track, frames, there"),
        ("gain = 1.0", "gain = 9.0", r"tuning\.gain is 9, allowed is 0 to 4"),
        ("smoothing_ms = 0", "smoothing_ms = 30", r"tuning\.smoothing_ms is 30, allowed are multiples of 20"),
        ("smoothing_ms = 0", "smoothing_ms = 180", r"tuning\.smoothing_ms is 180, allowed is 0 to 160"),
        ("sync_offset_ms = 0", "sync_offset_ms = -15", r"tuning\.sync_offset_ms is -15, allowed are multiples of 10"),
        (
            "sync_offset_ms = 0",
            "sync_offset_ms = 0.5",
            r"Expected `int`, got `float` - at `\$\.tuning\.sync_offset_ms`",
        ),
        ("mask_feather = 0.0", "mask_feather = -1.0", r"tuning\.mask_feather is -1, allowed is 0 to 64"),
        ("gain = 1.0", "gain = nan", r"tuning\.gain is nan, allowed is 0 to 4"),
        ("frames = 20", "frames = 0", "clip 'idle' has 0 frames, allowed are 1 to 10000"),
        ("[clips.nod]", '[clips."no/d"]', r"a clip is called 'no/d', allowed is"),
        ('NOD = "nod"', 'nod = "nod"', "a gesture is called 'nod', allowed is"),
        ('NOD = "nod"', 'NOD = "nodd"', "'NOD' plays clip 'nodd', the clips are idle, listen, talk, nod, smile"),
        ('talk = "talk"\n', "", "states are idle, listen; needed are idle, listen, talk"),
        ('file = "clips/idle.mp4"', 'file = "../idle.mp4"', r"'\.\./idle\.mp4' leads out of the avatar's folder"),
        ('file = "clips/idle.mp4"', 'file = "/idle.mp4"', "'/idle.mp4' leads out of the avatar's folder"),
        ('file = "clips/idle.mp4"', 'file = "c:\\\\idle.mp4"', "leads out of the avatar's folder"),
        ('"mask.png" =', '"../mask.png" =', r"'\.\./mask\.png' leads out of the avatar's folder"),
        ('"mask.png" =', '"mask2.png" =', r"'mask\.png' is used but not listed with its sha256"),
        ('id = "tiny"', "id = ", r"avatar\.toml is not TOML: Invalid value"),
    ],
)
def test_a_manifest_that_makes_no_avatar_is_refused(folder: Path, old: str, new: str, sentence: str) -> None:
    edit(folder, old, new)
    with pytest.raises(BundleError, match=sentence):
        read_manifest(folder)


def test_a_manifest_without_clips_is_refused() -> None:
    text = 'id = "a"\nname = "A"\nversion = "1"\nsize = [2, 2]\nfps = "25"\n[clips]\n[states]\n'
    with pytest.raises(BundleError, match=r"avatar\.toml: there are no clips"):
        parse_manifest(text)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"avatar\.toml cannot be read: No such file"):
        read_manifest(tmp_path)


def test_a_manifest_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / "avatar.toml").write_bytes(b'id = "\xff"')
    with pytest.raises(BundleError, match=r"avatar\.toml is not UTF-8 text: invalid start byte at byte 6"):
        read_manifest(folder)


def test_a_wrong_manifest_is_not_written(folder: Path) -> None:
    before = (folder / "avatar.toml").read_text()
    with pytest.raises(BundleError, match="id is 'NO'"):
        rewrite(folder, id="NO")
    assert (folder / "avatar.toml").read_text() == before


@pytest.mark.parametrize("file", ["clips/talk.mp4", "tracks/nod.npz", "mask.png", "weights/mouth.onnx"])
def test_a_changed_file_is_refused(folder: Path, file: str) -> None:
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(
        BundleError, match=f"{file} of avatar 'tiny' has sha256 [0-9a-f]+ but avatar.toml says [0-9a-f]+"
    ):
        read_bundle(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "clips/smile.mp4").unlink()
    with pytest.raises(BundleError, match=r"avatar 'tiny' lacks the file clips/smile\.mp4"):
        read_bundle(folder)


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    outside = folder.parent / "mask.png"
    shutil.move(folder / "mask.png", outside)
    os.symlink(outside, folder / "mask.png")
    with pytest.raises(BundleError, match=r"has a link mask\.png that leads out of its folder"):
        read_bundle(folder)


def test_a_clip_with_another_number_of_frames_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder)
    entry = ClipEntry("clips/nod.mp4", "tracks/nod.npz", 15)
    rewrite(folder, clips={**manifest.clips, "nod": entry})
    with pytest.raises(BundleError, match=r"nod\.mp4 has 14 frames but avatar\.toml says 15"):
        read_bundle(folder)


def change_track(folder: Path, clip: str, **changes: Any) -> None:
    """Writes a clip's track with these arrays replaced, or left out where they are None."""
    path = folder / "tracks" / f"{clip}.npz"
    with np.load(path) as archive:
        arrays = {**archive, **changes}
    np.savez(path, allow_pickle=True, **{name: array for name, array in arrays.items() if array is not None})
    rewrite(folder)


def flat() -> Any:
    faces = face_track(14, 128, 48, 0)
    faces[3, :, :2] = 0
    return faces


def not_a_number() -> Any:
    faces = face_track(14, 128, 48, 0)
    faces[5, 0, 0] = np.nan
    return faces


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"faces": face_track(13, 128, 48, 0)}, "clip 'nod' has 14 frames but 13 face tracks"),
        (
            {"faces": face_track(14, 128, 48, 0).astype(np.float64)},
            r"has face tracks float64 \(14, 2, 3\), needs float32",
        ),
        ({"faces": np.zeros((14, 4), np.float32)}, r"has face tracks float32 \(14, 4\), needs float32 \(14, 2, 3\)"),
        ({"faces": None}, r"track nod\.npz of clip 'nod' has \[.*\] but no 'faces'"),
        ({"faces": not_a_number()}, "clip 'nod' has a face track at frame 5 that is not a finite number"),
        ({"faces": flat()}, r"clip 'nod' has a face track at frame 3 that is flat or mirrored \(area 0\)"),
        ({"faces": np.array([None])}, r"track nod\.npz of clip 'nod' cannot be read: Object arrays cannot be loaded"),
        ({"entry_idle": np.zeros(9, np.int32)}, "has 14 steps but 9 entries and 14 costs of joins to 'idle'"),
        (
            {"entry_idle": np.zeros(14)},
            r"has joins to 'idle' of float64 \(14,\) and float32 \(14,\), needs int32 \(14,\)",
        ),
        ({"entry_idle": np.full(14, 38, np.int32)}, "clip 'nod' joins 'idle' outside of its 38 steps"),
        ({"cost_idle": None}, "clip 'nod' has only one of 'entry_idle' and 'cost_idle'"),
        ({"cost_idle": np.full(14, -1, np.float32)}, "has costs of joins to 'idle' that are negative or not finite"),
        ({"cost_idle": None, "entry_idle": None}, "clip 'nod' has no joins to idle"),
        (
            {"cost_wink": np.zeros(14, np.float32), "entry_wink": np.zeros(14, np.int32)},
            "clip 'nod' joins 'wink', which avatar 'tiny' does not have",
        ),
        ({"landmarks": np.zeros(3)}, r"track nod\.npz of clip 'nod' has unknown arrays \['landmarks'\]"),
    ],
)
def test_a_track_that_does_not_fit_its_clip_is_refused(folder: Path, changes: dict[str, Any], sentence: str) -> None:
    change_track(folder, "nod", **changes)
    with pytest.raises(BundleError, match=sentence):
        read_bundle(folder)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 broken", b"hello"])
def test_a_track_that_is_no_archive_is_refused(folder: Path, data: bytes) -> None:
    (folder / "tracks/nod.npz").write_bytes(data)
    rewrite(folder)
    with pytest.raises(BundleError, match=r"track nod\.npz of clip 'nod' cannot be read"):
        read_bundle(folder)


def test_a_track_that_is_a_single_array_is_refused(folder: Path) -> None:
    with (folder / "tracks/nod.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    rewrite(folder)
    with pytest.raises(BundleError, match=r"track nod\.npz of clip 'nod' cannot be read: it is a single array"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (np.zeros((48, 48), np.uint8), r"mask\.png is black everywhere"),
        (np.zeros((48, 48, 3), np.uint8), r"mask\.png is uint8 \(48, 48, 3\), needs 8-bit grey"),
        (np.zeros((48, 48), np.uint16), r"mask\.png is uint16 \(48, 48\), needs 8-bit grey"),
        (np.ones((2, 1025), np.uint8), r"mask\.png is 1025x2, allowed are up to 1024 pixels a side"),
    ],
)
def test_a_mask_that_is_none_is_refused(folder: Path, mask: Any, sentence: str) -> None:
    write_mask(folder, mask)
    rewrite(folder)
    with pytest.raises(BundleError, match=sentence):
        read_bundle(folder)


def test_a_mask_that_is_no_picture_is_refused(folder: Path) -> None:
    (folder / "mask.png").write_bytes(b"no picture")
    rewrite(folder)
    with pytest.raises(BundleError, match=r"mask\.png is no picture"):
        read_bundle(folder)


def test_a_mask_is_read_as_it_was_written(tiny_avatar: Path) -> None:
    mask = read_bundle(tiny_avatar).mask
    assert mask.shape == (48, 48)
    written = cv2.imread(str(tiny_avatar / "mask.png"), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert np.array_equal(mask, written)
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()
