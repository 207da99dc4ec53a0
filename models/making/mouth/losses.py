"""How far a drawn mouth is from the rendered one."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def mouth_loss(patch: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of colours, of their steps from pixel to pixel, and of two smaller copies; 0–255 in, about 0–1 out.

    The steps keep teeth and lip borders sharp, the smaller copies keep shading right.

    Args:
        patch: float (b, 3, h, w).
        target: float (b, 3, h, w).
        weight: float (1, 1, h, w), with mean 1.
    """
    error = (patch - target) / 255
    across = (error[..., 1:] - error[..., :-1]).abs() * weight[..., 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
    loss = (error.abs() * weight).mean() + 0.5 * (across.mean() + down.mean())
    for share in (0.5, 0.5):
        error, weight = functional.avg_pool2d(error, 2), functional.avg_pool2d(weight, 2)
        loss = loss + share * (error.abs() * weight).mean()
    return loss
