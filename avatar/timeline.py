"""The one clockwork of a session: which samples belong to which frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FrameTick:
    """One frame's place: its index, and the sound samples it owns."""

    index: int
    first_sample: int
    n_samples: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Frames and samples counted from a session's first frame, in whole numbers, so nothing drifts."""

    fps: Fraction
    sample_rate: int

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.sample_rate <= 0:
            raise ValueError(f"a timeline needs positive rates, not {self.fps} fps and {self.sample_rate} Hz")

    def samples_before(self, index: int) -> int:
        """How many samples belong to the frames before frame ``index``."""
        return index * self.sample_rate * self.fps.denominator // self.fps.numerator

    def tick(self, index: int) -> FrameTick:
        first = self.samples_before(index)
        return FrameTick(index, first, self.samples_before(index + 1) - first)

    def start_ns(self, index: int) -> int:
        """When frame ``index`` is due, in nanoseconds after the session's first frame."""
        return index * NS_PER_S * self.fps.denominator // self.fps.numerator

    def frames_holding(self, n_samples: int) -> int:
        """The least number of frames, from the first on, that own ``n_samples`` samples or more."""
        index = n_samples * self.fps.numerator // (self.sample_rate * self.fps.denominator)
        while self.samples_before(index) < n_samples:
            index += 1
        return index
