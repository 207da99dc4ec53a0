"""What is measured of a process at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TIGHT = 0.1
"""Share of a frame's time: a picture that is finished with less left was nearly late."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A stretch of time.

    Attributes:
        seconds: how long it was.
        quiet, speaking: sessions, on average.
        used: share in use of everything that can run out, by name: the process's cores, the event loop, the thread in
            which mouths are drawn.
        n_frames: that were shown.
        n_late: of these, those shown late or without their own picture.
        spare: for each drawn picture, which share of a frame's time was left when it was finished.
    """

    seconds: float
    quiet: float = 0
    speaking: float = 0
    used: Mapping[str, float] = field(default_factory=dict)
    n_frames: int = 0
    n_late: int = 0
    spare: Sequence[float] = ()

    @property
    def n_tight(self) -> int:
        """Frames that were late, or nearly."""
        return min(self.n_frames, max(self.n_late, sum(1 for left in self.spare if left < TIGHT)))
