"""How large the published picture is: what a start request's quality, size and aspect ratio come to."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from avatar.geometry import Size
from server.rest_types import LONGEST_SIDE
from server.start_request import StartRequest

SHORTER_SIDE: Mapping[str, int] = {"low": 360, "medium": 480, "high": 720}
"""Pixels, by quality."""


def video_size(request: StartRequest, footage: Size) -> Size:
    """The size of the pictures that are published, in even numbers.

    Width and height are taken as they are asked for. Otherwise the quality says how long the shorter side is, and the
    aspect ratio, else that of the footage, how long the longer.
    """
    if request.video_size:
        width, height = request.video_size
        return Size(_even(width), _even(height))
    return size_of_quality(request.quality, Size(*request.aspect_ratio) if request.aspect_ratio else footage)


def size_of_quality(quality: str, shape: Size) -> Size:
    """The size for a quality, in the proportions of ``shape``."""
    longer, shorter = max(shape.width, shape.height), min(shape.width, shape.height)
    scale = min(Fraction(SHORTER_SIDE[quality], shorter), Fraction(LONGEST_SIDE, longer))
    return Size(_even(shape.width * scale), _even(shape.height * scale))


def _even(value: int | Fraction) -> int:
    return 2 * round(Fraction(value) / 2)
