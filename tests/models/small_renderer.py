"""A mouth renderer that is small enough to be exported and run in a moment."""

from __future__ import annotations

import torch

from avatar.geometry import Box
from models.nets.mouth_renderer import MouthRenderer, RendererConfig

SMALL = RendererConfig(
    patch=48,
    window=Box(8, 12, 32, 24),
    widths=(8, 12, 16),
    n_drawn=1,
    window_width=8,
    n_window=1,
    n_full=4,
    hidden=16,
    n_outline=4,
    rank=6,
    fade_px=4,
)


def small_renderer() -> MouthRenderer:
    """Untrained, with weights large enough that everything it does can be seen."""
    torch.manual_seed(3)
    network = MouthRenderer(SMALL).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(4 if name.startswith(("face_out", "window_out")) else 1.5)
    return network
