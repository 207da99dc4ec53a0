"""What a mouth does: the channels that drive every mouth renderer, and the visemes that speech is sorted into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHANNELS = ("jaw", "close", "round", "spread", "tuck", "funnel", "tongue")
"""Articulation channels, each 0 (at rest) to 1 (as far as clear speech goes).

* ``jaw``: how far the jaw is lowered; 1 is an open "ah".
* ``close``: lips pressed together (P B M); 1 seals them whatever the jaw does.
* ``round``: lips drawn into a small circle (W, OO).
* ``spread``: corners of the mouth pulled apart (EE, S).
* ``tuck``: lower lip under the upper teeth (F, V).
* ``funnel``: lips pushed forward and open, teeth to be seen (SH, CH, R).
* ``tongue``: tip of the tongue raised to where it is seen (TH, L, less for T D N).

All zero is the face's own mouth at rest: closed, as the footage shows it.
"""

VISEMES = ("SIL", "PP", "FF", "TH", "DD", "KK", "CH", "SS", "RR", "WU", "OO", "AA", "EH", "IH")
"""Classes of sounds that look alike. ARPAbet members, in the order of the names: silence · P B M · F V · TH DH ·
T D N L · K G NG HH · CH JH SH ZH · S Z · R ER · W UW UH · AO OW OY · AA AH AW AY · EH AE EY · IY IH Y."""

TARGETS: NDArray[np.float32] = np.array(
    [
        # jaw  close round spread tuck funnel tongue
        [0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00],  # SIL
        [0.05, 1.00, 0.00, 0.00, 0.00, 0.00, 0.00],  # PP
        [0.15, 0.00, 0.00, 0.05, 1.00, 0.00, 0.00],  # FF
        [0.25, 0.00, 0.00, 0.10, 0.00, 0.00, 1.00],  # TH
        [0.22, 0.00, 0.00, 0.15, 0.00, 0.00, 0.55],  # DD
        [0.30, 0.00, 0.00, 0.10, 0.00, 0.00, 0.00],  # KK
        [0.15, 0.00, 0.20, 0.00, 0.00, 1.00, 0.00],  # CH
        [0.10, 0.00, 0.00, 0.60, 0.00, 0.15, 0.15],  # SS
        [0.22, 0.00, 0.40, 0.00, 0.00, 0.55, 0.00],  # RR
        [0.15, 0.00, 1.00, 0.00, 0.00, 0.20, 0.00],  # WU
        [0.50, 0.00, 0.70, 0.00, 0.00, 0.20, 0.00],  # OO
        [1.00, 0.00, 0.00, 0.05, 0.00, 0.00, 0.00],  # AA
        [0.60, 0.00, 0.00, 0.50, 0.00, 0.00, 0.00],  # EH
        [0.25, 0.00, 0.00, 0.90, 0.00, 0.00, 0.00],  # IH
    ],
    np.float32,
)
"""Articulation of each viseme spoken clearly and alone, (14, 7), rows as ``VISEMES``, columns as ``CHANNELS``."""
TARGETS.setflags(write=False)


def aperture(articulation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Opening between the lips, 0 (shut) to 1 (open "ah"), of articulations (..., 7); the result is (...)."""
    jaw, close, rounding, _, tuck, funnel, _ = np.moveaxis(articulation, -1, 0)
    opening = jaw * (1 - 0.5 * rounding) + 0.1 * funnel
    return np.asarray(np.clip(opening * (1 - close) * (1 - 0.8 * tuck), 0, 1), np.float32)
