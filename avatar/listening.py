"""What the lip-sync has heard of the speech: log-mel frames, and whether there is a voice in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatar.audio import Pcm, silence
from avatar.features import HOP_MS, N_MELS, SILENCE, LogMel
from avatar.lipsync import LipSyncSpec, MouthTuning

FULL_SCALE = 32768.0


class Listening:
    """The newest stretch of one utterance as the lip-sync network sees it.

    Args:
        spec: of the network.
        sample_rate: of the speech, in hertz.
        tuning: the avatar's.
        delay: samples by which everything is heard later than it comes.
        hangover_ms: how long a voice counts as present after it was last heard.
    """

    def __init__(
        self, spec: LipSyncSpec, sample_rate: int, tuning: MouthTuning, delay: int = 0, hangover_ms: int = 60
    ) -> None:
        self._window = spec.window + tuning.smoothing_ms // HOP_MS
        self._sample_rate = sample_rate
        self._hop = sample_rate * HOP_MS // 1000
        self._voice = self._hop * FULL_SCALE**2 * 10 ** (tuning.voice_threshold_db / 10)
        self._delay = delay
        # A voice may open the mouth as soon as it is within the look-ahead, and keeps it open for the hangover.
        self._reach = (spec.look_ahead_ms + hangover_ms) // HOP_MS
        self.begin()

    def begin(self) -> None:
        """A new utterance: silence lies behind it."""
        self._mel = LogMel(self._sample_rate)
        self._frames = np.full((self._window, N_MELS), SILENCE, np.float32)
        self._unmeasured = silence(0)
        self._held_back = silence(self._delay)
        self._n_quiet: int = self._reach

    def hear(self, news: Pcm) -> None:
        """Takes in the samples that follow those heard before."""
        if self._delay:
            arrived = np.concatenate([self._held_back, news])
            news, self._held_back = arrived[: len(news)], arrived[len(news) :]
        frames = np.concatenate([self._frames, self._mel.push(news)])
        self._frames = np.asarray(frames[-self._window :], np.float32)
        sound = np.concatenate([self._unmeasured, news]) if len(self._unmeasured) else news
        n_hops = len(sound) // self._hop
        self._unmeasured = sound[n_hops * self._hop :]
        hops = sound[: n_hops * self._hop].reshape(n_hops, self._hop).astype(np.float32)
        voiced = np.flatnonzero(np.einsum("ij,ij->i", hops, hops) > self._voice)
        self._n_quiet = n_hops - 1 - int(voiced[-1]) if len(voiced) else self._n_quiet + n_hops

    @property
    def features(self) -> NDArray[np.float32]:
        """The newest log-mel frames, as `MouthJob` takes them."""
        return self._frames

    @property
    def voiced(self) -> bool:
        """Whether a voice is, was just now, or soon will be heard."""
        return self._n_quiet < self._reach
