"""Footage in pictures of other sizes: nothing is stretched, no face is cut, what is empty is black."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.framing import Framing, face_columns, framed
from avatar.geometry import Box, Size
from avatar.pictures import from_rgb, planes, size_of, to_rgb
from models.bundles import read_bundle

WHITE = 235


@pytest.fixture(scope="module")
def bundle(tiny_avatar: Path) -> AvatarBundle:
    return read_bundle(tiny_avatar)  # 128x128


def framing(bundle: AvatarBundle, width: int, height: int) -> Framing:
    made = Framing.of(bundle, Size(width, height))
    assert made is not None
    return made


def test_a_picture_of_the_avatars_own_size_is_left_alone(bundle: AvatarBundle) -> None:
    assert Framing.of(bundle, bundle.size) is None


SIZES = [(256, 256), (64, 64), (360, 640), (640, 360), (128, 130), (480, 360), (90, 360), (1920, 480), (50, 44)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_picture_has_the_size_that_was_asked_for_and_is_not_stretched(
    bundle: AvatarBundle, width: int, height: int
) -> None:
    made = framing(bundle, width, height)
    picture = made.apply(bundle.clips["idle"].frames[0])
    assert size_of(picture) == Size(width, height)
    assert picture.flags.c_contiguous
    assert not picture.flags.writeable
    across, down = made.shown.width / made.kept.width, made.shown.height / made.kept.height
    assert abs(across / down - 1) < 2.1 / min(made.shown.width, made.shown.height)  # both sides are even numbers
    assert made.shown.width == width or made.shown.height == height


def test_a_wider_picture_has_black_at_both_sides(bundle: AvatarBundle) -> None:
    made = framing(bundle, 256, 128)
    assert (made.kept, made.shown) == (Box(0, 0, 128, 128), Box(64, 0, 128, 128))
    footage = bundle.clips["idle"].frames[0]
    shown = planes(made.apply(footage))
    assert np.array_equal(shown.y[:, 64:192], planes(footage).y)
    assert np.array_equal(shown.u[:, 32:96], planes(footage).u)
    assert not to_rgb(made.apply(footage))[:, :64].any()
    assert not to_rgb(made.apply(footage))[:, 192:].any()


def test_a_narrower_picture_loses_its_sides_but_never_its_face(bundle: AvatarBundle) -> None:
    left, right = face_columns(bundle)
    assert 20 < left < 40 < 90 < right < 110  # half of the width, and how far it sways
    for width in (120, 100, 80, 60, 20):
        made = framing(bundle, width, 128)
        assert made.kept.height == 128
        assert made.kept.left <= left
        assert made.kept.left + made.kept.width >= right
    assert made.shown.top > 0, "what is narrower than the face has black above and below"
    shown = planes(made.apply(bundle.clips["idle"].frames[0]))
    assert (shown.y[: made.shown.top] == 16).all()


def test_what_is_scaled_stays_where_it_was_and_keeps_its_colour(bundle: AvatarBundle) -> None:
    rgb = np.full((128, 128, 3), (200, 40, 60), np.uint8)
    rgb[32:64, 32:64] = (20, 60, 210)
    for width in (256, 96, 48):
        shown = to_rgb(framing(bundle, width, width).apply(from_rgb(rgb)))
        scale = width / 128
        inside = shown[int(36 * scale) : int(60 * scale), int(36 * scale) : int(60 * scale)]
        assert np.abs(inside.astype(int) - (20, 60, 210)).max() <= 3
        assert np.abs(shown[int(70 * scale) :].astype(int) - (200, 40, 60)).max() <= 3


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_mouth_on_framed_footage_is_where_it_would_be_on_a_framed_picture(
    bundle: AvatarBundle, width: int, height: int
) -> None:
    made = framing(bundle, width, height)
    shown, rng = framed(bundle, made), np.random.default_rng(1)
    assert shown.size == Size(width, height)
    ready, own = Compositor(shown), Compositor(bundle)
    side = bundle.mask.shape[0] // 4
    mouth = np.kron(rng.integers(0, 255, (side, side, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    shot = Shot("talk", 7, "talk")
    assert np.array_equal(ready.compose(shot), made.apply(own.compose(shot)))
    expected = planes(made.apply(own.compose(shot, mouth))).y.astype(float)
    drawn = ready.mask_of(shot) > 0

    def error(compositor: Compositor) -> NDArray[np.float64]:
        return np.asarray(np.abs(planes(compositor.compose(shot, mouth)).y - expected), np.float64)

    talk = shown.clips["talk"]
    beside = replace(talk, faces=talk.faces + np.array([[0, 0, 1], [0, 0, 1]], np.float32))
    assert error(ready)[~drawn].mean() < 0.01
    off_by_a_pixel = error(Compositor(replace(shown, clips={**shown.clips, "talk": beside})))
    assert error(ready)[drawn].mean() < 0.6 * off_by_a_pixel[drawn].mean()
