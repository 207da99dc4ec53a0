"""When which picture of a film is shown: at the avatar's rate, and in loops that turn round without a jerk."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.crossing import crossed
from avatar.pictures import Picture
from models.making.filmed.film import Film

Places = NDArray[np.float64]
"""Where in a film each frame of a clip is taken from: places in its list of pictures, between two of them, too."""

EASING_S = 0.4
"""How long a loop takes to come to a stand at its ends, and to speed again."""

_SEARCH_S = 1.0
"""A loop turns at the quietest moment of the first and last second."""

_SHARP = 0.2
"""Pictures this near to one of the film's own (in frames) are that one: blur is seen, a few milliseconds are not."""


def played_once(film: Film, fps: Fraction) -> Places:
    """Places of a clip that plays the whole film at its own speed."""
    n = int(film.times_s[-1] * fps) + 1
    return np.asarray(np.interp(np.arange(n) / float(fps), film.times_s, np.arange(len(film.times_s))), np.float64)


def there(film: Film, fps: Fraction, longest_s: float) -> Places:
    """Places of a clip that is to be played there and back: it starts and ends at rest.

    Args:
        film: footage that need not have been made to loop.
        fps: the avatar's.
        longest_s: how much of the film is used at most; from its quietest moments, near its beginning.
    """
    times = film.times_s
    first = _quietest(film, 0.0, _SEARCH_S)
    end = min(times[-1], times[first] + longest_s)
    last = _quietest(film, max(end - _SEARCH_S, (times[first] + end) / 2), end)
    span = float(times[last] - times[first])
    easing = min(EASING_S, span / 4)
    # Speed rises evenly within the easing, so each end takes half of it longer than the film did.
    moments = np.arange(round((span + easing) * fps) + 1) / float(fps)
    moments *= (span + easing) / moments[-1]
    away = span + easing - moments
    played = np.where(moments < easing, moments**2 / (2 * easing), moments - easing / 2)
    played = np.where(away < easing, span - away**2 / (2 * easing), played)
    return np.asarray(np.interp(times[first] + played, times, np.arange(len(times))), np.float64)


def _quietest(film: Film, start_s: float, stop_s: float) -> int:
    """The picture between two times around which least moves."""
    small = [cv2.resize(luma, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32) for luma in film.luma]
    steps = np.array([np.abs(one - other).mean() for one, other in zip(small, small[1:], strict=False)])
    moving = np.convolve(np.r_[steps[0], steps, steps[-1]], np.ones(5) / 5, "same")[: len(small)]
    inside = (film.times_s >= start_s) & (film.times_s <= stop_s)
    return int(np.where(inside, moving, np.inf).argmin())


def pictures_at(film: Film, places: Places) -> list[Picture]:
    """The film's pictures at these places; between two of them, one that moved part of the way."""
    return [_picture_at(film.pictures, float(place)) for place in places]


def _picture_at(pictures: Sequence[Picture] | NDArray[np.uint8], place: float) -> Picture:
    nearest = round(place)
    if abs(place - nearest) <= _SHARP + 1e-6:
        exact: Picture = pictures[nearest]
        return exact
    before = int(place)
    return crossed(pictures[before], pictures[before + 1], place - before)


def tracks_at(faces: NDArray[np.float32], places: Places) -> NDArray[np.float32]:
    """Face maps (n, 2, 3) at these places, as ``pictures_at`` shows them."""
    before = np.minimum(places.astype(int), len(faces) - 2)
    share = (places - before)[:, None, None]
    return np.asarray(faces[before] * (1 - share) + faces[before + 1] * share, np.float32)
