"""Mouths drawn from speech: a speech encoder that avatars share, and the avatar's own mouth renderer."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS
from avatar.errors import BundleError
from avatar.features import HOP_MS, N_MELS
from avatar.lipsync import SMOOTHING_STEP_MS, LipSyncSpec, MouthJob
from avatar.pictures import Rgb
from models.renderers import Renderer
from models.runtimes.network import Network, require

CLOSE = CHANNELS.index("close")


class EncoderCard(msgspec.Struct, frozen=True):
    """What the file beside a speech encoder says of it; more may stand there.

    Attributes:
        window: feature frames that it hears at once.
        look_ahead_ms: how far the newest of them lies ahead of the mouth that is drawn.
    """

    window: int
    look_ahead_ms: int


def read_card(path: Path) -> EncoderCard:
    """Reads the ``.toml`` file beside a speech encoder.

    Raises:
        BundleError: no such file, or not these numbers.
    """
    try:
        card = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), EncoderCard)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BundleError(f"{path.name} does not say what its speech encoder hears: {error}") from error
    if card.window < 1 or not 0 <= card.look_ahead_ms <= 10 * card.window:
        raise BundleError(
            f"{path.name} has a window of {card.window} frames of 10 ms and looks {card.look_ahead_ms} ms ahead; "
            "the window must hold what lies ahead"
        )
    return card


class SpeechLips:
    """The lip-sync model made of a speech encoder and a mouth renderer; stateless.

    Args:
        encoder: mel float32 (B, window, 80) to articulation float32 (B, 7), 0 to 1; other outputs are left alone.
        renderer: draws mouths that do what an articulation says.
        card: of the encoder.

    Raises:
        BundleError: an encoder with other inputs or outputs.
    """

    def __init__(self, encoder: Network, renderer: Renderer, card: EncoderCard) -> None:
        require(encoder.inputs, "mel", (None, card.window, N_MELS), "speech encoder takes")
        require(encoder.outputs, "articulation", (None, len(CHANNELS)), "speech encoder gives")
        self.encoder = encoder
        self.renderer = renderer
        self._spec = LipSyncSpec(card.window, card.look_ahead_ms, renderer.patch)

    @property
    def spec(self) -> LipSyncSpec:
        return self._spec

    @property
    def ear(self) -> Network:
        return self.encoder

    def draw(self, batch: Sequence[MouthJob]) -> list[Rgb]:
        return self.paint(batch, self.hear(batch)) if batch else []

    def hear(self, batch: Sequence[MouthJob]) -> NDArray[np.float32]:
        """What the mouths of some jobs do, tuned: articulations float32 (B, 7)."""
        moments = [windows(job.features, self._spec.window) for job in batch]
        heard = self.articulations(np.concatenate(moments))
        ends = np.cumsum([len(each) for each in moments])[:-1]
        return tuned(np.stack([smoothed(each) for each in np.split(heard, ends)]), batch)

    def articulations(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the mouth does, as the encoder hears it, float32 (B, 7), of features float32 (B, window, 80)."""
        return np.asarray(
            self.encoder.run({"mel": features.astype(np.float32, copy=False)})["articulation"], np.float32
        )

    def paint(self, batch: Sequence[MouthJob], mouths: NDArray[np.float32]) -> list[Rgb]:
        """Patches uint8 (H, W, 3) of the jobs' crops, with mouths that do what ``mouths``, float32 (B, 7), says."""
        return self.renderer.paint([job.crop for job in batch], mouths)


def windows(features: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """What the encoder hears at the moments that are averaged, float32 (n, window, 80), the newest last."""
    starts = range(0, len(features) - window + 1, SMOOTHING_STEP_MS // HOP_MS)
    return np.stack([features[start : start + window] for start in starts])


def smoothed(articulations: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of articulations float32 (n, 7), but the newest lip closure: it is too short to be averaged."""
    mean = articulations.mean(axis=0)
    mean[CLOSE] = articulations[-1, CLOSE]
    return np.asarray(mean, np.float32)


def tuned(articulations: NDArray[np.float32], batch: Sequence[MouthJob]) -> NDArray[np.float32]:
    """Articulations float32 (B, 7) with each job's gain, closure and openness applied, within 0 to 1.

    Lips that are made to close more firmly take the mouth along on its way to the closed one: what else it does
    becomes less by as much as is left of its being open.
    """
    gain, closure, openness = (
        np.array(column, np.float32)[:, None]
        for column in zip(*((job.tuning.gain, job.tuning.closure, job.openness) for job in batch), strict=True)
    )
    close = articulations[:, [CLOSE]]
    firmly = np.clip(closure * close, 0, 1)
    left = np.divide(1 - firmly, 1 - close, out=np.ones_like(close), where=firmly > close)
    mouths = articulations * gain * left
    mouths[:, [CLOSE]] = firmly
    return np.asarray(np.clip(mouths * openness, 0, 1), np.float32)
