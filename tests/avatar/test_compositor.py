from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from avatar.compositor import Compositor, feathered
from avatar.crossing import crossed
from avatar.director import Leaving, Shot
from avatar.framing import Framing
from avatar.geometry import Size
from avatar.kept import Kept
from avatar.lipsync import MouthTuning
from avatar.pictures import from_rgb, planes, to_rgb
from tests.avatar.clips import PATCH, SIZE, bundle

RED = np.full((PATCH.height, PATCH.width, 3), (255, 0, 0), np.uint8)


def test_outside_the_mask_every_bit_is_the_footages() -> None:
    avatar = bundle()
    compositor = Compositor(avatar)
    for name, clip in avatar.clips.items():
        for frame in range(len(clip)):
            picture = planes(compositor.compose(Shot(name, frame, "idle"), RED))
            footage = planes(clip.frames[frame])
            mask = cv2.warpAffine(avatar.mask, clip.faces[frame], (SIZE.width, SIZE.height), flags=cv2.INTER_LINEAR)
            assert np.array_equal(picture.y[mask == 0], footage.y[mask == 0])
            untouched = (mask == 0).reshape(SIZE.height // 2, 2, SIZE.width // 2, 2).any(axis=(1, 3))
            assert np.array_equal(picture.u[untouched], footage.u[untouched])
            assert np.array_equal(picture.v[untouched], footage.v[untouched])
            assert (picture.y != footage.y).any()


def test_inside_the_mask_the_mouth_is_the_drawn_one() -> None:
    avatar = bundle()
    picture = to_rgb(Compositor(avatar).compose(Shot("talk", 3, "talk"), RED))
    x, y = (avatar.clips["talk"].faces[3] @ np.array([11.5, 11.5, 1])).round().astype(int)
    assert picture[y, x, 0] > 240
    assert picture[y, x, 1:].max() < 15


def test_without_a_mouth_the_clips_own_frame_is_shown_without_a_copy() -> None:
    avatar = bundle()
    picture = Compositor(avatar).compose(Shot("idle", 4, "idle"))
    assert np.shares_memory(picture, avatar.clips["idle"].frames)
    assert not picture.flags.writeable


def test_footage_is_never_written_to() -> None:
    avatar = bundle()
    before = avatar.clips["idle"].frames.copy()
    Compositor(avatar).compose(Shot("idle", 4, "idle"), RED)
    assert np.array_equal(avatar.clips["idle"].frames, before)


def test_in_a_crossing_the_mouth_lies_on_the_picture_between_both_clips() -> None:
    avatar = bundle()
    compositor = Compositor(avatar)
    shot = Shot("talk", 0, "talk", leaving=Leaving("idle", 9, 0.25))
    mixed = compositor.compose(shot)
    assert np.array_equal(mixed, crossed(avatar.clips["idle"].frames[9], avatar.clips["talk"].frames[0], 0.25))
    assert (compositor.compose(shot, RED) != mixed).any()
    crop = compositor.crop(shot)
    assert np.array_equal(crop.pixels, avatar.clips["idle"].crops[9])
    assert (crop.clip, crop.frame) == ("idle", 9)


def test_a_crossing_is_made_once_and_is_then_at_hand() -> None:
    compositor = Compositor(bundle())
    shot = Shot("talk", 0, "talk", leaving=Leaving("idle", 9, 0.25))
    assert compositor.at_hand(shot) is None
    made = compositor.compose(shot)
    assert compositor.at_hand(shot) is made
    assert compositor.compose(shot) is made
    assert not made.flags.writeable
    assert np.array_equal(planes(compositor.compose(shot, RED)).y[:8], planes(made).y[:8])
    assert compositor.n_bytes > Compositor(bundle()).n_bytes


def test_what_is_seen_through_a_framing_is_framed_and_shares_what_is_kept() -> None:
    avatar = bundle()
    framing = Framing.of(avatar, Size(128, 96))
    assert framing is not None
    compositor = Compositor(avatar)
    through = compositor.through(framing)
    assert (compositor.size, through.size) == (SIZE, Size(128, 96))
    shot = Shot("talk", 0, "talk", leaving=Leaving("idle", 9, 0.25))
    assert np.array_equal(through.compose(shot, RED), framing.apply(compositor.compose(shot, RED)))
    assert through.at_hand(Shot("idle", 4, "idle")) is None
    assert compositor.at_hand(shot) is not None


def test_only_the_newest_are_kept() -> None:
    kept = Kept[str, int](2)
    assert [kept.put(key, value) for value, key in enumerate("abc")] == [0, 1, 2]
    assert [kept.get(key) for key in "abc"] == [None, 1, 2]
    assert len(kept) == 2


def test_half_strength_lies_between_the_footage_and_the_mouth() -> None:
    avatar = bundle()
    compositor, shot = Compositor(avatar), Shot("talk", 3, "talk")
    none, half, full = (compositor.compose(shot, RED, strength).astype(int) for strength in (0, 0.5, 1))
    assert np.abs(half - (none + full) / 2).max() <= 2


def test_colours_survive_the_way_into_i420_and_back() -> None:
    rgb = np.full((32, 32, 3), (200, 120, 90), np.uint8)
    assert np.abs(to_rgb(from_rgb(rgb)).astype(int) - rgb).max() <= 3


def test_a_feather_softens_the_masks_edge_from_within() -> None:
    hard = np.zeros((24, 24), np.uint8)
    hard[4:20, 4:20] = 255
    soft = feathered(hard, 5)
    assert np.array_equal(feathered(hard, 0), hard)
    assert not soft[hard == 0].any()
    row = soft[12].astype(int)
    assert row[4] < 30
    assert np.diff(row[3:10]).min() > 0
    assert set(row[9:15]) == {255}
    assert np.array_equal(feathered(soft, 2) <= soft, np.ones_like(hard, bool))


def test_the_bundles_feather_is_what_is_laid_on() -> None:
    avatar = replace(bundle(), mask=np.full((PATCH.height, PATCH.width), 255, np.uint8))
    tuned = replace(avatar, tuning=MouthTuning(mask_feather=8))
    shot, footage = Shot("talk", 3, "talk"), planes(avatar.clips["talk"].frames[3]).y.astype(int)
    hard, soft = (np.abs(planes(Compositor(each).compose(shot, RED)).y - footage) for each in (avatar, tuned))
    edge, middle = np.s_[20:38, 17:19], np.s_[27:31, 27:31]  # the crop lies at 16.4 and is 26 pixels wide
    assert 0 < soft[edge].mean() < 0.2 * hard[edge].mean()
    assert np.array_equal(soft[middle], hard[middle])
