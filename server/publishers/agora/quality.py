"""How many bits a second a picture is worth."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from avatar.geometry import Size

BITS_PER_PIXEL: Mapping[str, float] = {"low": 0.06, "medium": 0.09, "high": 0.12}
"""For H.264; a talking head on a still background needs no more."""

AGAINST_H264: Mapping[str, float] = {"H264": 1.0, "VP8": 1.2, "AV1": 1.0}

LEAST_KBIT_S: Mapping[str, int] = {"H264": 150, "VP8": 150, "AV1": 1500}
"""Below 1500 kbit/s the SDK silently sends H.264 where AV1 was asked for."""

MOST_KBIT_S = 6000


def kbit_s(quality: str, codec: str, size: Size, fps: Fraction) -> int:
    """The target bit rate in kbit/s (of 1000 bits)."""
    bits = BITS_PER_PIXEL[quality] * AGAINST_H264[codec] * size.width * size.height * float(fps)
    return min(MOST_KBIT_S, max(LEAST_KBIT_S[codec], round(bits / 1000)))
