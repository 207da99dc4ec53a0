"""How much it helps to hear what comes: one network with an answer for each of several look-aheads.

All share the trunk and what they are trained on, so what differs between them is the look-ahead alone.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from avatar.features import HOP_MS, SILENCE, log_mel
from models.making.speech.batches import Stretches
from models.making.speech.corpus import Recorded
from models.making.speech.evaluation import Answers, Score, score, truth
from models.making.speech.export import exported_weights
from models.making.speech.training import loss_of
from models.making.speech.utterances import SAMPLE_RATE
from models.nets.speech_encoder import STRIDE, WINDOW, SpeechEncoder

LOOK_AHEADS_MS = (0, 80, 120, 200)
_STEPS_TO_FULL_RATE = 30


class ManyLookAheads(nn.Module):
    """Log-mel (batch, frames, 80) to viseme logits and articulation of each look-ahead, as ``SpeechEncoder`` gives."""

    def __init__(self, encoder: SpeechEncoder, n: int) -> None:
        super().__init__()
        self.trunks = nn.ModuleList([encoder])
        self.trunks.extend(copy.deepcopy(encoder) for _ in range(n - 1))
        for other in self.trunks[1:]:  # all but the heads is the first one's
            for part in ("stem", "fine", "down", "coarse"):
                setattr(other, part, getattr(encoder, part))

    def forward(self, mel: Tensor) -> list[tuple[Tensor, Tensor]]:
        first = self.trunks[0]
        steps = first.coarse(first.down(first.fine(first.stem(mel.transpose(1, 2)))))  # type: ignore[operator]
        return [trunk.answer(steps) for trunk in self.trunks]  # type: ignore[operator]


def train(
    corpus: Path, start: Path, steps: int, console: Console, *, n_batch: int = 24, bf16: bool = False
) -> ManyLookAheads:
    """Go on from the exported encoder ``start`` with one answer for each of ``LOOK_AHEADS_MS``."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    encoder = SpeechEncoder()
    encoder.load_state_dict(exported_weights(start))
    many = ManyLookAheads(encoder, len(LOOK_AHEADS_MS))
    optimiser = torch.optim.AdamW(many.parameters(), lr=1e-3, weight_decay=0.02, betas=(0.9, 0.98))
    stretches = Stretches(corpus, n_batch=n_batch, n_answers=100, seed=1, look_aheads_ms=LOOK_AHEADS_MS)
    loader = torch.utils.data.DataLoader(stretches, batch_size=None, num_workers=1, prefetch_factor=4)
    for step, (mel, visemes, articulation) in enumerate(loader):
        if step >= steps:
            break
        rate = 1e-3 * min(1.0, (step + 1) / _STEPS_TO_FULL_RATE, max(0.02, 2 * (1 - step / steps)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            said = many(mel)
        loss = torch.zeros(())
        for (logits, channels), classes, targets in zip(
            said, visemes.chunk(len(said), 1), articulation.chunk(len(said), 1), strict=True
        ):
            by_class, by_channel, opening = loss_of(logits.float(), channels.float(), classes, targets)
            loss = loss + (by_class + 1.5 * by_channel + 6 * opening) / len(said)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(many.parameters(), 1.0)
        optimiser.step()
        if step % 20 == 0:
            console.log(f"step {step} of {steps}: loss {float(loss.detach()):.3f}")
    return many


def scores(many: ManyLookAheads, voices: Sequence[Recorded]) -> dict[int, Score]:
    """The figures of each look-ahead (ms) over ``voices``."""
    found = {}
    for which, look_ahead in enumerate(LOOK_AHEADS_MS):
        pairs = [
            (_answers(many, which, look_ahead, utterance.pcm), truth(voice.alphabet, utterance))
            for voice in voices
            for utterance in voice.utterances
        ]
        found[look_ahead] = score(pairs)
    return found


@torch.no_grad()
def _answers(many: ManyLookAheads, which: int, look_ahead_ms: int, pcm: NDArray[np.int16]) -> Answers:
    """The answers every 10 ms, from long stretches that begin at each of the first frames."""
    mel = log_mel(np.concatenate([pcm, np.zeros(SAMPLE_RATE * look_ahead_ms // 1000, np.int16)]), SAMPLE_RATE)
    mel = np.concatenate([np.full((WINDOW - look_ahead_ms // HOP_MS, mel.shape[1]), SILENCE, np.float32), mel])
    n = len(mel) - WINDOW + 1
    articulation, visemes = np.zeros((n, 7), np.float32), np.zeros(n, np.intp)
    for first in range(STRIDE):
        logits, channels = many(torch.from_numpy(mel[None, first:]))[which]
        articulation[first::STRIDE] = torch.sigmoid(channels)[0, : len(articulation[first::STRIDE])].numpy()
        visemes[first::STRIDE] = logits[0, : len(visemes[first::STRIDE])].argmax(-1).numpy()
    return Answers(articulation, visemes)
