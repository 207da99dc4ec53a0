"""Films to clips: read, timed, and with the face followed in all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from avatar.pictures import to_rgb
from models.making.assemble.footage import Footage
from models.making.filmed.faces import FaceBox, FaceFinder, FaceTracker, crop_maps
from models.making.filmed.film import read_film
from models.making.filmed.timing import pictures_at, played_once, there, tracks_at

PATCH = 96
"""Width and height of the face crops: nothing is drawn on them, so they need not be large."""


def read_clips(
    films: Mapping[str, Path],
    gestures: Collection[str],
    fps: Fraction,
    highest: int,
    longest_s: float,
    box: FaceBox | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Footage]:
    """Makes a clip of every film.

    Args:
        films: by the clip's name; the first one's first picture is what the face is compared with in all.
        gestures: names of the clips that are played once; all others loop there and back.
        fps: the avatar's.
        highest: higher films are shrunk to this height.
        longest_s: seconds of a film that a loop uses at most.
        box: where the face is in the first film, in pixels of the files; None looks for it in each film.
        progress: is told which film's turn it is.

    Raises:
        BundleError: a film that cannot be read, has another shape, or no face; the sentence names it.
    """
    finder = FaceFinder()
    clips: list[Footage] = []
    tracker, size = None, None
    for name, path in films.items():
        progress(name)
        film = read_film(path, highest, size)
        here = box.scaled(film.shrunk) if box else finder.find(film, path.name)
        if tracker is None:
            size, first = film.size, here
            tracker = FaceTracker(film.luma[0], first)
        heads = tracker.follow(film, here, path.name)
        places = played_once(film, fps) if name in gestures else there(film, fps, longest_s)
        pictures = np.stack([to_rgb(picture) for picture in pictures_at(film, places)])
        faces = crop_maps(tracks_at(heads, places), first, PATCH)
        clips.append(Footage(name, pictures, faces, there_and_back=name not in gestures))
    return clips
