"""What a mouth of ours costs, against one of Wav2Lip's run as avatar servers run it: torch, single precision, by 16."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count

import numpy as np
import torch

from avatar.compositor import Compositor
from avatar.director import Shot
from avatar.errors import BundleError
from avatar.features import HOP_MS, N_MELS
from avatar.lipsync import MouthJob
from models.loading import LoadedAvatar
from models.making.mouth.wav2lip import MEL, SIDE, Wav2Lip
from models.speech_lips import SpeechLips

BATCHES = (1, 4)
"""Of ours: one session, and what the server draws together when there are many."""

THEIRS, THEIR_BATCH = "Wav2Lip, 16 at once", 16


def compare(
    avatar: LoadedAvatar, n_times: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> Mapping[str, float]:
    """Milliseconds of processor time for one mouth on one thread, by what draws it: ``THEIRS``, and ours.

    In turns of as many mouths, so that whatever else the machine does falls on all alike; medians of ``n_times``. Ours
    is everything from features to patches, on frames of footage that were seen before.

    Raises:
        BundleError: the avatar draws no mouth.
    """
    model = avatar.model
    if not isinstance(model, SpeechLips):
        raise BundleError(f"avatar '{avatar.bundle.id}' draws no mouth, so there is nothing to compare")
    torch.set_num_threads(1)
    theirs = Wav2Lip().eval()
    heard, faces = torch.rand(THEIR_BATCH, 1, *MEL), torch.rand(THEIR_BATCH, 6, SIDE, SIDE)
    jobs, places = _jobs(avatar, model), count()
    for job in jobs:
        model.draw([job])

    def ours(n: int) -> None:
        at = next(places) * n
        model.draw([jobs[(at + i) % len(jobs)] for i in range(n)])

    def them() -> None:
        with torch.inference_mode():
            theirs(heard, faces)

    works: dict[str, tuple[Callable[[], None], int]] = {THEIRS: (them, THEIR_BATCH)}
    works |= {f"ours, {n} at once": (partial(ours, n), n) for n in BATCHES}
    spent: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(n_times + 1):
        for name, (work, n) in works.items():
            begin = time.process_time()
            n_calls = max(1, THEIR_BATCH // n)
            for _ in range(n_calls):
                work()
            spent[name].append(1000 * (time.process_time() - begin) / (n * n_calls))
        progress(turn, n_times)
    return {name: float(np.median(times[1:])) for name, times in spent.items()}


def _jobs(avatar: LoadedAvatar, model: SpeechLips) -> list[MouthJob]:
    """A mouth for every frame of the talking loop."""
    compositor, clip = Compositor(avatar.bundle), avatar.bundle.loops["talk"]
    n_heard = model.spec.window + avatar.bundle.tuning.smoothing_ms // HOP_MS
    random = np.random.default_rng(0)
    return [
        MouthJob(
            random.normal(0, 1, (n_heard, N_MELS)).astype(np.float32),
            compositor.crop(Shot(clip, frame, "talk")),
            1.0,
            avatar.bundle.tuning,
        )
        for frame in range(len(avatar.bundle.clips[clip]))
    ]
