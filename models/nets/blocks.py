"""Pictures in blocks of pixels, in torch: what is done to a picture's pixels, done to its blocks.

A block's channels are its pixels, row by row, each with its three colours: ``(row, column, colour)``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHUFFLED = [colour * 4 + pixel for pixel in range(4) for colour in range(3)]
"""Where ``torch.pixel_shuffle`` looks for each channel of a block of 2x2."""


def in_blocks(picture: Tensor, side: int) -> Tensor:
    """A picture (3, h, w) in blocks of ``side`` x ``side`` pixels: (h / side, w / side, 3 side²)."""
    height, width = picture.shape[1] // side, picture.shape[2] // side
    split = picture.reshape(3, height, side, width, side)
    return split.permute(1, 3, 2, 4, 0).reshape(height, width, 3 * side * side)


def halved(blocks: Tensor, height: int, width: int) -> Tensor:
    """Blocks of 4x4 (b, height, width, 48) as blocks of 2x2 (b, 2 height, 2 width, 12)."""
    split = blocks.reshape(-1, width, 2, 2, 2, 6)
    return split.permute(0, 2, 1, 4, 3, 5).reshape(-1, 2 * height, 2 * width, 12)


def joined(blocks: Tensor, height: int, width: int) -> Tensor:
    """Blocks of 2x2 (b, 2 height, 2 width, 12) as blocks of 4x4 (b, height, width, 48)."""
    split = blocks.reshape(-1, 2, width, 2, 2, 6)
    return split.permute(0, 2, 1, 4, 3, 5).reshape(-1, height, width, 48)


def enlarging_kernel() -> Tensor:
    """The convolution (48, 12, 3, 3) that enlarges blocks of 2x2 to 4x4 as bilinear interpolation does.

    Pixels outside of the picture count as zero, see `border_of`.
    """
    kernel = torch.zeros(4, 4, 3, 2, 2, 3, 3, 3)  # a pixel of the new block, one of the old, and where that block is
    for row in range(4):
        for column in range(4):
            for from_row, share in _bilinear(row):
                for from_column, other in _bilinear(column):
                    (up, y), (left, x) = divmod(from_row, 2), divmod(from_column, 2)
                    for colour in range(3):
                        kernel[row, column, colour, y, x, colour, up + 1, left + 1] += share * other
    return kernel.reshape(48, 12, 3, 3)


def _bilinear(pixel: int) -> list[tuple[int, float]]:
    """The pixels of a row half as long that one is mixed from, and how much of each."""
    place = (pixel + 0.5) / 2 - 0.5
    before = math.floor(place)
    return [(before, 1 - place + before), (before + 1, place - before)]


def border_of(height: int, width: int) -> Tensor:
    """What makes up for the zeros around a picture that was enlarged to this size: its edge was to be repeated instead.

    A pixel at the border is three quarters of its neighbour and a quarter of nothing. (3, height, width)
    """
    rows, columns = torch.ones(height), torch.ones(width)
    for edge in (rows, columns):
        edge[0] = edge[-1] = 4 / 3
    return (rows[:, None] * columns[None, :])[None].expand(3, -1, -1)


def over_blocks(weights: Tensor) -> Tensor:
    """A convolution over pixels (3, n, 3, 3) that were shuffled out of 4 n channels, as one over those (12, 4 n, 3, 3).

    Its result comes in blocks of 2x2.
    """
    n = weights.shape[1]
    kernel = torch.zeros(2, 2, 3, n, 2, 2, 3, 3)
    for row in range(2):
        for column in range(2):
            for down in range(3):
                for right in range(3):
                    (up, y), (left, x) = divmod(row + down - 1, 2), divmod(column + right - 1, 2)
                    kernel[row, column, :, :, y, x, up + 1, left + 1] = weights[:, :, down, right]
    return kernel.reshape(12, 4 * n, 3, 3)
