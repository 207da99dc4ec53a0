"""The articulation channels of `avatar.articulation`, as blendshape weights of the scanned head.

The head speaks ARKit's vocabulary (`jawOpen`, `mouthFunnel`, …; a bare name such as `mouthSmile` drives both sides)
plus `tongueRaise`, which `head` adds. The weights come *on top of* the expression the face wears already, `REST`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS

Weights = dict[str, float]

REST: Mapping[str, float] = {
    "mouthSmile": 0.70,
    "mouthPress": 0.08,
    "jawOpen": -0.012,
    "cheekSquint": 0.18,
    "eyeSquint": 0.04,
    "eyeBlink": -0.10,
    "eyeWide": 0.22,
    "browInnerUp": 0.12,
    "browOuterUp": 0.06,
}
"""The face at rest: lips closed, a trace of a smile, eyes a little wider than the scan's."""

SMILE: Mapping[str, float] = {
    "mouthSmile": 0.46,
    "cheekSquint": 0.38,
    "eyeSquint": 0.24,
    "mouthUpperUp": 0.20,
    "mouthDimple": 0.16,
    "mouthPress": 0.04,
    "jawOpen": 0.035,
}
"""What a full smile adds to `REST`."""

_OPEN: Mapping[str, Mapping[str, float]] = {
    "jaw": {
        "jawOpen": 0.36,
        "mouthLowerDown": 0.30,
        "mouthUpperUp": 0.18,
        "mouthStretch": 0.12,
        "mouthSmile": -0.12,
        "tongueRaise": 0.30,
    },
    "round": {"jawOpen": 0.055, "mouthPucker": 0.72, "mouthFunnel": 0.22, "mouthSmile": -0.30},
    "spread": {
        "jawOpen": 0.055,
        "mouthStretch": 0.36,
        "mouthSmile": 0.16,
        "mouthUpperUp": 0.24,
        "mouthLowerDown": 0.36,
    },
    "tuck": {
        "jawOpen": 0.03,
        "jawForward": -0.22,
        "mouthRollLower": 0.62,
        "mouthUpperUp": 0.16,
        "mouthShrugLower": 0.10,
        "mouthSmile": -0.12,
    },
    "funnel": {
        "jawOpen": 0.035,
        "mouthFunnel": 0.62,
        "mouthPucker": 0.26,
        "mouthUpperUp": 0.08,
        "mouthLowerDown": 0.16,
        "mouthSmile": -0.26,
    },
    "tongue": {"jawOpen": 0.035, "tongueRaise": 1.0, "mouthLowerDown": 0.22, "mouthUpperUp": 0.14},
}
"""What each channel but ``close`` adds to the face at rest when it is 1 and alone."""

_PRESSED: Mapping[str, float] = {
    "mouthPress": 0.36,
    "mouthRollLower": 0.20,
    "mouthRollUpper": 0.15,
    "mouthSmile": -0.06,
}
"""What pressed lips add."""

_SEAL_PER_JAW = 0.93
"""`mouthClose` that brings the lips together for a `jawOpen` of 1, from the inner-lip landmarks of the scan."""

_LIP_PARTERS = ("mouthUpperUp", "mouthLowerDown", "mouthFunnel", "mouthStretch")


def mouth_weights(articulation: NDArray[np.float32], smile: float = 0.0) -> Weights:
    """Blendshape weights that articulation (7,) and a smile (0 to 1) add to `REST`; continuous in both.

    Speech takes the lips from the smile: the more they are rounded, pushed out or closed, the less of it is left.
    """
    amount = {name: float(value) for name, value in zip(CHANNELS, np.clip(articulation, 0, 1), strict=True)}
    close, rounding, funnel, spread = amount["close"], amount["round"], amount["funnel"], amount["spread"]
    # Lips can only go to one place: a round mouth does not spread, and rounding narrows what the jaw opens.
    amount["spread"] = spread * (1 - 0.6 * max(rounding, funnel))
    amount["tuck"] *= 1 - 0.5 * max(rounding, funnel)
    amount["funnel"] = funnel * (1 - 0.35 * rounding)
    pressed = close**2

    weights: Weights = {}
    for name, shape in _OPEN.items():
        for key, value in shape.items():
            weights[key] = weights.get(key, 0.0) + amount[name] * value
    weights["mouthLowerDown"] = weights["mouthLowerDown"] * (1 - 0.7 * max(rounding, amount["tuck"]))
    weights["mouthPress"] = -0.10 * max(amount["jaw"], rounding, spread, funnel, amount["tuck"], amount["tongue"])
    for key, value in SMILE.items():
        left = 1 - 0.6 * max(rounding, funnel, close, 0.7 * amount["tuck"], 0.5 * amount["jaw"])
        weights[key] = weights.get(key, 0.0) + smile * left * value

    jaw = min(weights["jawOpen"], 0.46)
    for key in _LIP_PARTERS:
        weights[key] *= 1 - close
    weights["mouthRollLower"] = weights["mouthRollLower"] * (1 - close)
    weights["tongueRaise"] *= 1 - 0.8 * close
    # The jaw stays where speech has it, less a third: the cheeks show it; `mouthClose` keeps the lips together.
    weights["jawOpen"] = jaw * (1 - 0.35 * close)
    weights["mouthClose"] = _SEAL_PER_JAW * weights["jawOpen"] * close
    for key, value in _PRESSED.items():
        weights[key] = weights.get(key, 0.0) + pressed * value
    return weights


def added(*parts: Mapping[str, float]) -> Weights:
    """The sum of several sets of weights."""
    total: Weights = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, 0.0) + value
    return total
