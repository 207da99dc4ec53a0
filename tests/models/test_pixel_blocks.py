"""Pictures in blocks of pixels, and what is done to blocks instead of pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from models.nets import blocks
from models.pixel_blocks import in_blocks, in_pixels


def picture(height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(height).normal(size=(3, height, width)).astype(np.float32))


def batch(picture: torch.Tensor, side: int) -> torch.Tensor:
    return blocks.in_blocks(picture, side).permute(2, 0, 1)[None]


def test_blocks_hold_their_pixels_row_by_row_and_give_them_back() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (3, 24, 16, 3)).astype(np.uint8)
    there = in_blocks(list(pictures))
    assert there.shape == (3, 6, 4, 48)
    assert np.array_equal(there[2, 5, 1].reshape(4, 4, 3), pictures[2, 20:24, 4:8])
    assert np.array_equal(in_pixels(there), pictures)


def test_pictures_need_not_lie_together_in_memory() -> None:
    turned = np.random.default_rng(2).integers(0, 256, (8, 24, 3)).astype(np.uint8)[::-1, ::2]
    assert np.array_equal(in_pixels(in_blocks([turned, turned]))[1], turned)


def test_torch_and_numpy_agree_what_a_block_is() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (16, 24, 3)).astype(np.uint8)
    there = blocks.in_blocks(torch.from_numpy(pixels).permute(2, 0, 1), 4)
    assert np.array_equal(there.numpy(), in_blocks([pixels])[0])


def test_blocks_are_halved_and_joined() -> None:
    there = picture(16, 24)
    large, small = blocks.in_blocks(there, 4)[None], blocks.in_blocks(there, 2)[None]
    assert torch.equal(blocks.halved(large, 4, 6), small)
    assert torch.equal(blocks.joined(small, 4, 6), large)


def test_enlarging_blocks_is_bilinear_interpolation() -> None:
    small = picture(12, 16)
    large = functional.interpolate(small[None], scale_factor=2.0, mode="bilinear", align_corners=False)[0]
    enlarged = functional.conv2d(batch(small, 2), blocks.enlarging_kernel(), padding=1)
    torch.testing.assert_close(enlarged * batch(blocks.border_of(24, 32), 4), batch(large, 4))


def test_a_convolution_over_shuffled_pixels_is_one_over_blocks() -> None:
    channels, weights = torch.randn(1, 20, 6, 8), torch.randn(3, 5, 3, 3)
    pixels = functional.conv2d(functional.pixel_shuffle(channels, 2), weights, padding=1)
    there = functional.conv2d(channels, blocks.over_blocks(weights), padding=1)
    torch.testing.assert_close(there, batch(pixels[0], 2), rtol=1e-4, atol=1e-4)


def test_blocks_look_into_shuffled_channels_where_their_pixels_are() -> None:
    channels = torch.randn(1, 12, 6, 8)
    pixels = functional.pixel_shuffle(channels, 2)[0]
    assert torch.equal(channels[:, blocks.SHUFFLED], batch(pixels, 2))
