"""Speech in files of any kind that FFmpeg reads."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from avatar.errors import AudioError

MAX_S = 3600
"""Longest speech that is read whole, in seconds."""


def read_speech(path: Path) -> tuple[NDArray[np.int16], int]:
    """The file's first audio stream, mixed to mono: int16 (n,), and its own sample rate.

    Raises:
        AudioError: the file is missing, is no audio, is empty or longer than ``MAX_S``.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioError(f"{path} holds no sound")
            stream = container.streams.audio[0]
            rate = stream.rate
            resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
            parts, n = [], 0
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    parts.append(piece.to_ndarray()[0])
                    n += len(parts[-1])
                if n > MAX_S * rate:
                    raise AudioError(f"{path} is longer than {MAX_S} s")
            parts.extend(piece.to_ndarray()[0] for piece in resampler.resample(None))
    except (OSError, av.FFmpegError) as error:
        raise AudioError(f"{path} cannot be read as sound: {error}") from error
    if not parts:
        raise AudioError(f"{path} holds no sound")
    return np.concatenate(parts).astype(np.int16), rate


def resampled(pcm: NDArray[np.int16], rate: int, new_rate: int) -> NDArray[np.int16]:
    """``pcm`` at another sample rate."""
    if rate == new_rate:
        return pcm
    return np.asarray(soxr.resample(pcm, rate, new_rate), np.int16)
