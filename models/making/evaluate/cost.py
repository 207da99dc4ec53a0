"""What a mouth costs: the networks on one thread, one frame at a time, as a single session asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.features import HOP_MS, N_MELS
from avatar.lipsync import MouthJob
from models.speech_lips import SpeechLips, windows

N_TIMES = 200


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one thread for each frame: the median, over ``N_TIMES``."""

    encoder_ms: float
    mouth_ms: float


def measure_cost(model: SpeechLips, bundle: AvatarBundle) -> Cost:
    """Time the encoder alone, and encoder and renderer together; ``model`` must have been opened for one thread."""
    n_frames = model.spec.window + bundle.tuning.smoothing_ms // HOP_MS
    features = np.random.default_rng(0).normal(0, 1, (n_frames, N_MELS)).astype(np.float32)
    crop = Compositor(bundle).crop(Shot(bundle.loops["talk"], 0, "talk"))
    job = MouthJob(features, crop, 1.0, bundle.tuning)
    return Cost(
        encoder_ms=_median_ms(lambda: model.articulations(windows(features, model.spec.window))),
        mouth_ms=_median_ms(lambda: model.draw([job])),
    )


def _median_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(N_TIMES + 20):
        begin = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - begin))
    return float(np.median(taken[20:]))
