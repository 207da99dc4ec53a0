"""The embedded avatar's motion and its geometry; rendering itself needs Blender and is not tested here."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="making needs SciPy")

from models.making.character.atlas import KEYS, renders
from models.making.character.camera import Camera
from models.making.character.config import FRAME_PX, CharacterConfig
from models.making.character.performance import PERFORMANCES, REST_POSE, Moment, blinking
from models.making.character.reprojection import displacement, seen_through

CAMERA = Camera.of(CharacterConfig())


def moments(name: str) -> list[Moment]:
    performance = PERFORMANCES[name]
    return [performance.motion(frame) for frame in range(performance.n_frames)]


@pytest.mark.parametrize("name", PERFORMANCES)
def test_every_clip_begins_and_ends_in_the_pose_that_all_share(name: str) -> None:
    for moment in (moments(name)[0], moments(name)[-1]):
        pose = moment.pose
        assert np.allclose([pose.yaw, pose.pitch, pose.roll, pose.lean, pose.breath], 0, atol=1e-9)
        for shape, weight in REST_POSE.weights.items():
            assert pose.weights[shape] == pytest.approx(weight, abs=1e-9)
        assert {look for look, share in moment.looks.items() if share} == {"rest"}


@pytest.mark.parametrize("name", PERFORMANCES)
def test_every_picture_a_clip_is_made_of_is_rendered(name: str) -> None:
    rendered = {each.name for each in renders()}
    for moment in moments(name):
        assert set(moment.looks) <= rendered
        assert moment.eyes is None or moment.eyes.picture in rendered
        assert sum(moment.looks.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["idle", "listen", "talk"])
def test_a_loop_comes_to_rest_about_every_second_and_a_half(name: str) -> None:
    poses = [moment.pose for moment in moments(name)]
    at_rest = [frame for frame, pose in enumerate(poses) if max(abs(pose.yaw), abs(pose.pitch), abs(pose.roll)) < 0.15]
    assert max(np.diff(at_rest)) <= 40


@pytest.mark.parametrize("name", ["idle", "listen", "talk"])
def test_a_loop_blinks_every_two_to_six_seconds_played_there_and_back(name: str) -> None:
    there = moments(name)
    whole = [*there, *there[-2:0:-1]] * 2
    shut = [moment.eyes is not None and moment.eyes.picture.endswith("1.00") for moment in whole]
    starts = [frame for frame in range(1, len(shut)) if shut[frame] and not shut[frame - 1]]
    gaps = np.diff(starts) / 25
    assert len(starts) >= 2
    assert gaps.max() <= 6
    assert gaps.min() >= 2


def test_a_blink_shuts_the_lids_and_opens_them_again() -> None:
    seen = [blinking(frame, 10) for frame in range(30)]
    assert seen[9] is None
    assert any(eyes is not None and eyes.picture == "rest lids 1.00" for eyes in seen)
    assert seen[20] is None


def test_points_that_stay_move_no_pixel() -> None:
    points = np.random.default_rng(1).uniform([-9, -9, 8], [9, 9, 9], (20_000, 3))
    assert np.abs(displacement(CAMERA, points, points)).max() == 0


def test_a_picture_follows_its_points_and_the_background_stays() -> None:
    random = np.random.default_rng(2)
    there = np.column_stack([random.uniform(-4, 4, (40_000, 2)), np.full(40_000, 9.0)])
    here = there + [0.5, 0, 0]
    field = displacement(CAMERA, here, there)
    moved = float(np.diff(CAMERA.project(np.array([[0.0, 0, 9], [0.5, 0, 9]]))[:, 0])[0])
    middle = field[FRAME_PX // 2 - 20 : FRAME_PX // 2 + 20, FRAME_PX // 2 - 20 : FRAME_PX // 2 + 20]
    np.testing.assert_allclose(middle[..., 0], -moved, atol=0.05)
    np.testing.assert_allclose(middle[..., 1], 0, atol=0.05)
    assert np.abs(field[:40]).max() < 0.5

    ramp = np.repeat(np.arange(FRAME_PX, dtype=np.float32)[None], FRAME_PX, axis=0)
    shown = seen_through(ramp, field)
    np.testing.assert_allclose(shown[FRAME_PX // 2, FRAME_PX // 2], FRAME_PX / 2 - moved, atol=0.1)


def test_a_key_is_the_pose_of_the_picture_with_its_name() -> None:
    poses = {each.name: each.pose for each in renders() if each.region is None}
    assert poses == dict(KEYS)
