"""How large the published picture is: what a start request's quality, size and aspect ratio come to."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from avatar.geometry import Size
from server.start_request import LONGEST_SIDE, StartRequest

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
    width, height = request.aspect_ratio or (footage.width, footage.height)
    scale = min(Fraction(SHORTER_SIDE[request.quality], min(width, height)), Fraction(LONGEST_SIDE, max(width, height)))
    return Size(_even(width * scale), _even(height * scale))


def _even(value: int | Fraction) -> int:
    return 2 * round(Fraction(value) / 2)
