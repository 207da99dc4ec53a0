"""PSNR and SSIM of pictures within a mask."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.pictures import Rgb

Inside = NDArray[np.bool_]
"""Which pixels count, (height, width)."""


def psnr(picture: Rgb, reference: Rgb, inside: Inside) -> float:
    """Peak signal-to-noise ratio of the RGB values inside, dB; infinite for equal pictures."""
    error = picture[inside].astype(np.float64) - reference[inside]
    mean_square = float(np.mean(error**2))
    return math.inf if mean_square == 0 else 10 * math.log10(255**2 / mean_square)


def ssim(picture: Rgb, reference: Rgb, inside: Inside) -> float:
    """Mean structural similarity of the luma inside, with the 11-pixel Gaussian window of Wang et al. (2004)."""
    a, b = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float64) for each in (picture, reference))
    mean_a, mean_b = _window(a), _window(b)
    var_a, var_b = _window(a * a) - mean_a**2, _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return float(similarity[inside].mean())


def _window(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)
