from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatar.crossing import crossed
from avatar.pictures import Picture, from_rgb, planes, to_rgb

SIDE = 160


def face(x: float, y: float = 80.0, ground: int = 90) -> Picture:
    """A light disc with dark eyes at x, y, on a ground with a pattern that stands still."""
    shift = 5
    picture = np.full((SIDE, SIDE, 3), ground, np.uint8)
    picture[::8] = ground + 20
    at = (round(x * 2**shift), round(y * 2**shift))
    cv2.circle(picture, at, 40 << shift, (200, 170, 150), -1, cv2.LINE_AA, shift)
    for side in (-14, 14):
        eye = (round((x + side) * 2**shift), round((y - 8) * 2**shift))
        cv2.circle(picture, eye, 6 << shift, (30, 30, 40), -1, cv2.LINE_AA, shift)
    return from_rgb(picture)


def apart(one: Picture, other: Picture) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def eyes(picture: Picture) -> float:
    """The middle of what is darkest."""
    dark = planes(picture).y < 70
    return float(np.flatnonzero(dark.any(axis=0)).mean())


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_face_moves_over_instead_of_shining_through(share: float) -> None:
    old, new = face(74), face(84)
    between = crossed(old, new, share)
    assert eyes(between) == pytest.approx(74 + 10 * share, abs=1)
    mix = np.asarray(cv2.addWeighted(old, 1 - share, new, share, 0), np.uint8)
    there = face(74 + 10 * share)
    assert apart(between, there) < 0.4 * apart(mix, there)


def test_a_crossing_begins_at_the_old_picture_and_ends_at_the_new() -> None:
    old, new = face(74), face(84, y=78)
    assert apart(crossed(old, new, 0.0), old) < 0.5
    assert apart(crossed(old, new, 1.0), new) < 0.5
    steps = [old, *(crossed(old, new, share) for share in (0.2, 0.4, 0.6, 0.8)), new]
    moves = [apart(one, other) for one, other in zip(steps, steps[1:], strict=False)]
    assert max(moves) < 2 * min(moves), "it goes over evenly"


def test_pictures_that_are_alike_are_only_mixed() -> None:
    old, new = face(80), face(80, ground=96)
    mix = np.asarray(cv2.addWeighted(old, 0.5, new, 0.5, 0), np.uint8)
    assert np.abs(crossed(old, new, 0.5).astype(int) - mix).max() <= 1


def test_what_stands_still_stays_sharp_and_colours_follow() -> None:
    old, new = face(74), face(84)
    between = crossed(old, new, 0.5)
    assert np.abs(to_rgb(between)[:24].astype(int) - to_rgb(old)[:24]).max() <= 4
    assert np.abs(to_rgb(between)[100, 79].astype(int) - (200, 170, 150)).max() <= 6


def test_a_crossing_is_a_new_picture() -> None:
    old, new = face(74), face(84)
    for picture in (old, new):
        picture.setflags(write=False)
    assert crossed(old, new, 0.5).flags.writeable
