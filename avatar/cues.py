"""What the body is asked to do beside speaking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Composition = Literal["MERGE", "APPEND", "REPLACE"]
"""How a cue gets on with those before it: MERGE and APPEND wait for them, REPLACE sends them away."""


@dataclass(frozen=True, slots=True)
class Enter:
    """Go into a state: idle, listen or talk."""

    state: str


@dataclass(frozen=True, slots=True)
class Perform:
    """Play a gesture, by its name in the avatar's list (upper case)."""

    gesture: str
    composition: Composition = "MERGE"


Wish = Enter | Perform
