"""What a speaking session is likely to use, by a few frames that are drawn before there is any."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.loading import LoadedAvatar, n_cores
from models.speech_lips import SpeechLips
from server.budget import COMPOSE, ENCODER, PLAN, RENDERER, measure_budget
from server.load.monitor import CORES, EVENT_LOOP, INFERENCE
from server.session import SAMPLE_RATE

SPEECH_S = 0.4


def guessed_costs(avatar: LoadedAvatar, n_threads: int = 1, cores: float | None = None) -> Mapping[str, float]:
    """Shares by name, as ``Monitor.expect`` takes them; empty for an avatar without lips. Blocks for some 0.3 s.

    Args:
        n_threads: inference threads that there are.
        cores: as ``Monitor`` takes them.
    """
    if not isinstance(avatar.model, SpeechLips):
        return {}
    t = np.arange(int(SPEECH_S * SAMPLE_RATE)) / SAMPLE_RATE
    hum = (9000 * np.sin(2 * np.pi * 180 * t)).astype(np.int16)
    measure_budget(avatar, hum, SAMPLE_RATE)  # the frames of footage are seen for the first time, which takes longer
    budget, fps = measure_budget(avatar, hum, SAMPLE_RATE), float(avatar.bundle.fps)

    def share(*stages: str) -> float:
        return fps * sum(float(np.median(budget.taken_ms[stage])) for stage in stages) / 1000

    return {
        CORES: fps * budget.frame_ms / 1000 / (n_cores() if cores is None else cores),
        EVENT_LOOP: share(PLAN),
        INFERENCE: share(ENCODER, RENDERER, COMPOSE) / n_threads,
    }
