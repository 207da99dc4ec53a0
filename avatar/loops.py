"""Where in its clips a body is, and how it goes on from there."""

from __future__ import annotations

from dataclasses import dataclass

from avatar.bundle import Clip


@dataclass(frozen=True, slots=True)
class Position:
    """A clip, and how many frames of it were played (from its first frame on, turns included)."""

    clip: str
    step: int

    def next(self) -> Position:
        return Position(self.clip, self.step + 1)


def loop_frame(clip: Clip, step: int) -> int:
    """The frame of a loop after ``step`` steps: there and back (0 1 2 1 0 …), or over and over (0 1 2 0 …)."""
    step %= clip.cycle
    return step if step < len(clip) else clip.cycle - step


def gesture_frame(clip: Clip, step: int) -> int:
    """The frame of a gesture after ``step`` steps; it stays on its last."""
    return min(step, len(clip) - 1)
