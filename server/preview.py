"""What an avatar's mouth does with other knobs: a stretch of speech as a strip of pictures, without a film."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS, aperture
from avatar.audio import Pcm
from avatar.compositor import Compositor
from avatar.geometry import Size, footprint
from avatar.lipsync import MouthJob, MouthTuning
from avatar.pictures import Rgb, to_rgb
from models.loading import LoadedAvatar
from models.making.look.labelled import fitted
from models.speech_lips import CLOSE, SpeechLips
from server.render import drawn
from server.session import SAMPLE_RATE

TILE = Size(96, 96)


@dataclass(frozen=True, slots=True)
class Preview:
    """A stretch of speech.

    Attributes:
        strip: the face in each frame, side by side.
        times_s: (n,) the middle of each frame.
        aperture: (n,) how far the mouth is open that is drawn, 0 to 1.
        closure: (n,) how firmly the lips are closed, 0 to 1.
    """

    strip: Rgb
    times_s: NDArray[np.float64]
    aperture: NDArray[np.float32]
    closure: NDArray[np.float32]


def preview(avatar: LoadedAvatar, pcm: Pcm, tuning: MouthTuning, first: int, n_frames: int) -> Preview:
    """Frames ``first`` to ``first + n_frames`` of a speech, int16 mono at ``SAMPLE_RATE``, as they would be published.

    An avatar that draws no mouth shows its footage.
    """
    bundle = dataclasses.replace(avatar.bundle, tuning=tuning)
    compositor, crop = Compositor(bundle), Size(bundle.mask.shape[1], bundle.mask.shape[0])
    frames = chain.from_iterable(
        ((plan, patches.get(place)) for place, plan in enumerate(plans))
        for plans, patches in drawn(pcm, bundle, avatar.model)
    )
    tiles, times, mouths = [], [], []
    for plan, patch in islice(frames, first, first + n_frames):
        picture = to_rgb(compositor.compose(plan.shot, patch, plan.mouth.strength if plan.mouth else 0))
        box = footprint(compositor.face(plan.shot), crop, bundle.size)
        tiles.append(fitted(picture[box.rows, box.columns], TILE))
        times.append((plan.tick.first_sample + plan.tick.n_samples / 2) / SAMPLE_RATE)
        mouths.append(np.zeros(len(CHANNELS), np.float32))
        if plan.mouth and isinstance(avatar.model, SpeechLips):
            job = MouthJob(plan.mouth.features, compositor.crop(plan.shot), plan.mouth.openness, tuning)
            mouths[-1] = avatar.model.hear([job])[0]
    return Preview(np.hstack(tiles), np.array(times), aperture(np.stack(mouths)), np.stack(mouths)[:, CLOSE])
