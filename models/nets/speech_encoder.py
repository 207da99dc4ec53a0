"""The speech encoder: a causal network from log-mel frames to articulation and visemes.

It looks back about a second and ahead not at all: fed with frames that end ``LOOK_AHEAD_MS`` after a time, it tells
what the mouth does at that time. Two convolutional stages, at 50 and at 25 steps a second, so that most of the work is
done at the lower rate. All its convolutions are unpadded: ``WINDOW`` frames give exactly one answer, ``WINDOW + 4 n``
frames give ``n + 1``, 40 ms apart, each equal to the answer of its own window. A window may start at any frame, so
answers can be had every 10 ms.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avatar.articulation import CHANNELS, VISEMES
from avatar.features import N_MELS

LOOK_AHEAD_MS = 80
STRIDE = 4
"""Frames from one answer to the next when a long stretch is put through."""

_PP, _CLOSE = VISEMES.index("PP"), CHANNELS.index("close")
_FIRMNESS = 0.8
"""Added to the log-odds of a closure: smoothed labels teach too low ones, and a missing closure is seen more than one
too many. The one number that was chosen by recordings with known words."""

_FINE, _COARSE = 192, 256
_FINE_DILATIONS = (1, 2)
_COARSE_DILATIONS = (1, 2, 4, 1, 2)


class _Block(nn.Module):
    """A residual step (batch, channels, time): a dilated convolution over three moments, then one moment's mixing."""

    def __init__(self, n_channels: int, dilation: int) -> None:
        super().__init__()
        self.trim = 2 * dilation
        self.normed = _Norm(n_channels)
        self.over_time = nn.Conv1d(n_channels, n_channels, 3, dilation=dilation)
        self.mix = nn.Conv1d(n_channels, n_channels, 1)

    def forward(self, steps: Tensor) -> Tensor:
        change = self.mix(nn.functional.silu(self.over_time(self.normed(steps))))
        changed: Tensor = steps[:, :, self.trim :] + change
        return changed


class _Norm(nn.Module):
    """Each moment's channels (batch, channels, time) to unit root mean square, then scaled."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n_channels, 1))

    def forward(self, steps: Tensor) -> Tensor:
        power = steps.square().mean(dim=1, keepdim=True)
        return steps * torch.rsqrt(power + 1e-5) * self.scale


class SpeechEncoder(nn.Module):
    """Log-mel (batch, frames, 80) to viseme logits (batch, answers, 14) and articulation (batch, answers, 7) in 0…1."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(N_MELS, _FINE, 4, stride=2)
        self.fine = nn.Sequential(*(_Block(_FINE, dilation) for dilation in _FINE_DILATIONS))
        self.down = nn.Conv1d(_FINE, _COARSE, 4, stride=2)
        self.coarse = nn.Sequential(*(_Block(_COARSE, dilation) for dilation in _COARSE_DILATIONS))
        self.final = _Norm(_COARSE)
        self.visemes = nn.Conv1d(_COARSE, len(VISEMES), 1)
        self.hidden = nn.Conv1d(_COARSE, 128, 1)
        self.articulation = nn.Conv1d(128, len(CHANNELS), 1)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Viseme logits and articulation *before* the sigmoid, for training."""
        return self.answer(self.coarse(self.down(self.fine(self.stem(mel.transpose(1, 2))))))

    def answer(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """What the last stage's steps (batch, channels, time) mean, as ``forward``."""
        steps = self.final(steps)
        channels = self.articulation(nn.functional.silu(self.hidden(steps)))
        return self.visemes(steps).transpose(1, 2), channels.transpose(1, 2)


def _window() -> int:
    fine = 2 + 2 * sum(_COARSE_DILATIONS) * 2 + 2 + 2 * sum(_FINE_DILATIONS)
    return 2 * (fine - 1) + 4


WINDOW = _window()
"""Frames that one answer needs."""


class SpeechWindow(nn.Module):
    """What is exported: a window of mel frames (batch, WINDOW, 80) to articulation (batch, 7), logits (batch, 14)."""

    def __init__(self, encoder: SpeechEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        logits, channels = self.encoder(mel)
        logits, channels = logits[:, -1], channels[:, -1]
        return torch.sigmoid(_pressed_by_both(channels, logits)), logits


def _pressed_by_both(channels: Tensor, logits: Tensor) -> Tensor:
    """Articulation (batch, 7) before the sigmoid, in which lips press together as channel and viseme say on average.

    Either errs by itself, and not always in the same places.
    """
    others = torch.cat([logits[:, :_PP], logits[:, _PP + 1 :]], dim=1)
    bilabial = logits[:, _PP] - torch.logsumexp(others, dim=1)
    pressed = 0.5 * (channels[:, _CLOSE] + bilabial) + _FIRMNESS
    return torch.cat([channels[:, :_CLOSE], pressed[:, None], channels[:, _CLOSE + 1 :]], dim=1)
