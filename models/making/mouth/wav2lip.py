"""The architecture of Wav2Lip (Prajwal et al., "A Lip Sync Expert Is All You Need", 2020), to measure ours against.

Layers, sizes and strides as published; weights are random, since only its time is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 96
"""Of the face, in pixels."""

MEL = (80, 16)
"""Mel bands and steps that one mouth hears."""

Stride = int | tuple[int, int]


class _Layer(nn.Module):
    """A convolution, or with ``enlarge`` a transposed one, batch normalisation, and what is negative cut off."""

    def __init__(
        self, above: int, width: int, size: int, stride: Stride = 1, padding: int = 0, *, enlarge: bool = False
    ) -> None:
        super().__init__()
        if enlarge:
            more = 1 if stride == 2 else 0
            self.convolution: nn.Module = nn.ConvTranspose2d(above, width, size, cast(int, stride), padding, more)
        else:
            self.convolution = nn.Conv2d(above, width, size, stride, padding)
        self.normed = nn.BatchNorm2d(width)

    def forward(self, image: Tensor) -> Tensor:
        return functional.relu(self.normed(self.convolution(image)))


class _Residual(_Layer):
    def __init__(self, width: int) -> None:
        super().__init__(width, width, 3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        return functional.relu(self.normed(self.convolution(image)) + image)


def _residuals(width: int, n: int) -> list[_Residual]:
    return [_Residual(width) for _ in range(n)]


class Wav2Lip(nn.Module):
    """Mel (b, 1, 80, 16) and faces (b, 6, 96, 96), one half hidden and one for reference, to faces (b, 3, 96, 96)."""

    def __init__(self) -> None:
        super().__init__()
        down: Sequence[tuple[int, int, int]] = ((16, 32, 2), (32, 64, 3), (64, 128, 2), (128, 256, 2), (256, 512, 1))
        self.face = nn.ModuleList(
            [
                _Layer(6, 16, 7, 1, 3),
                *(nn.Sequential(_Layer(a, w, 3, 2, 1), *_residuals(w, n)) for a, w, n in down),
                nn.Sequential(_Layer(512, 512, 3), _Layer(512, 512, 1)),
            ]
        )
        heard: Sequence[tuple[int, int, Stride, int]] = (
            (1, 32, 1, 2),
            (32, 64, (3, 1), 2),
            (64, 128, 3, 2),
            (128, 256, (3, 2), 1),
        )
        self.audio = nn.Sequential(
            *(nn.Sequential(_Layer(a, w, 3, stride, 1), *_residuals(w, n)) for a, w, stride, n in heard),
            _Layer(256, 512, 3),
            _Layer(512, 512, 1),
        )
        up: Sequence[tuple[int, int, int]] = (
            (1024, 512, 2), (768, 384, 2), (512, 256, 2), (320, 128, 2), (160, 64, 2),
        )  # fmt: skip
        self.drawing = nn.ModuleList(
            [
                _Layer(512, 512, 1),
                nn.Sequential(_Layer(1024, 512, 3, enlarge=True), *_residuals(512, 1)),
                *(nn.Sequential(_Layer(a, w, 3, 2, 1, enlarge=True), *_residuals(w, n)) for a, w, n in up),
            ]
        )
        self.out = nn.Sequential(_Layer(80, 32, 3, 1, 1), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, faces: Tensor) -> Tensor:
        seen, image = [], faces
        for layer in self.face:
            image = layer(image)
            seen.append(image)
        image = self.audio(mel)
        for layer in self.drawing:
            image = torch.cat([layer(image), seen.pop()], dim=1)
        return cast(Tensor, self.out(image))


def multiplications(network: Wav2Lip) -> int:
    """Of one face, in its convolutions."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            places = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else result
            total += layer.weight.numel() * places.shape[2] * places.shape[3]

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.inference_mode():
        network(torch.zeros(1, 1, *MEL), torch.zeros(1, 6, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    return total
