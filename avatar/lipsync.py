"""The contract between the performance and whatever network draws its mouths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avatar.geometry import Size
from avatar.pictures import Rgb


@dataclass(frozen=True, slots=True)
class LipSyncSpec:
    """What a lip-sync network needs to hear and how large it draws.

    A mouth for time *t* is drawn from the ``window`` feature frames (``avatar.features``) of which the last ends at
    *t* + ``look_ahead_ms``.
    """

    window: int
    look_ahead_ms: int
    patch: Size


SMOOTHING_STEP_MS = 20
"""How far apart the moments are whose articulations are averaged."""


@dataclass(frozen=True, slots=True)
class MouthTuning:
    """Knobs that belong to an avatar and work while it runs. What each may be: ``models.manifest.TUNING_RANGES``.

    Attributes:
        gain: scales every articulation but lip closure; 1 is as trained.
        closure: scales lip closure (P B M), to which all else gives way; 1 is as trained.
        smoothing_ms: the articulation is the mean over this long before, in steps of ``SMOOTHING_STEP_MS``; lip
            closure is not smoothed, for it lasts no longer than that. The mouth lags by half of it.
        sync_offset_ms: the mouth moves this much after the sound, or before it (negative: speech begins that much
            later, for more of it must be heard first); in steps of 10 ms.
        mask_feather: width (crop pixels) of a soft edge inside of the mask; 0 leaves the mask as drawn.
        voice_threshold_db: level (dBFS, RMS of 10 ms) below which speech counts as silence.
    """

    gain: float = 1.0
    closure: float = 1.0
    smoothing_ms: int = 0
    sync_offset_ms: int = 0
    mask_feather: float = 0.0
    voice_threshold_db: float = -48.0


@dataclass(frozen=True, slots=True)
class Crop:
    """The face on one frame of footage.

    Attributes:
        pixels: uint8 (height, width, 3), read-only.
        clip, frame: which one; a network may remember it by these, for all who show the same avatar.
    """

    pixels: Rgb
    clip: str
    frame: int


@dataclass(frozen=True, slots=True)
class MouthJob:
    """One mouth to draw.

    Attributes:
        features: log-mel frames, float32 (window + tuning.smoothing_ms / 10, 80): with those of the moments before.
        crop: the face on the clip's own frame.
        openness: 0 (the mouth at rest) to 1 (as spoken); how a mouth opens and closes without a jump.
        tuning: the avatar's knobs.
    """

    features: NDArray[np.float32]
    crop: Crop
    openness: float
    tuning: MouthTuning


class LipSyncModel(Protocol):
    """Networks that draw mouths: stateless and batched, so that sessions share a batch. Several threads may call it."""

    @property
    def spec(self) -> LipSyncSpec: ...

    @property
    def ear(self) -> object:
        """What listens; of models with the same ear, one may hear the jobs of all."""
        ...

    def hear(self, batch: Sequence[MouthJob]) -> NDArray[np.float32]:
        """What the mouths of some jobs do, tuned: one row for each job, float32 (B, n)."""
        ...

    def paint(self, batch: Sequence[MouthJob], mouths: NDArray[np.float32]) -> list[Rgb]:
        """One patch per job, uint8 (patch.height, patch.width, 3), in the order of the jobs.

        Args:
            batch: jobs of this model's own avatar.
            mouths: what was heard for them.
        """
        ...

    def draw(self, batch: Sequence[MouthJob]) -> list[Rgb]:
        """Both after one another."""
        ...
