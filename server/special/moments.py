"""Numbers and points in time, as attributes say them."""

from __future__ import annotations

import re

from avatar.cues import Edge, Moment

LATEST_S = 3600
"""How far from its reference a moment may lie, in seconds."""

NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}", re.ASCII)
REFERENCE = re.compile(r"(?P<of>[^\s:+]{1,64}):(?P<edge>[a-z]{1,16})\s*(?:(?P<sign>[+-])\s*(?P<offset>\S+))?")


class Unusable(Exception):
    """A value that cannot be used, and what is allowed."""


def number(text: str, low: float, high: float) -> float:
    """A plain decimal number.

    Raises:
        Unusable: not a number, or out of its range.
    """
    text = text.strip()
    if not NUMBER.fullmatch(text) or not low <= float(text) <= high:
        raise Unusable(f"allowed are numbers from {low:g} to {high:g}")
    return float(text)


def whole(text: str, low: int, high: int) -> int:
    text = text.strip()
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
        raise Unusable(f"allowed are whole numbers from {low} to {high}")
    return int(text)


def moment(text: str) -> Moment:
    """``0.4``, ``g1:end``, ``speech:start + 0.2``.

    Raises:
        Unusable: none of these.
    """
    if match := REFERENCE.fullmatch(text.strip()):
        edge: Edge = "start" if match["edge"] == "start" else "end"
        if match["edge"] != edge:
            raise Unusable("after the colon comes start or end")
        offset_s = number(match["offset"], 0, LATEST_S) if match["sign"] else 0.0
        return Moment(-offset_s if match["sign"] == "-" else offset_s, match["of"], edge)
    try:
        return Moment(number(text, 0, LATEST_S))
    except Unusable:
        allowed = (
            f"allowed are seconds from 0 to {LATEST_S}, id:start, id:end, speech:start, speech:end, + or - seconds"
        )
        raise Unusable(allowed) from None
