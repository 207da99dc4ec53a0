"""Flite, a small English synthesiser (diphone, unit selection and statistical voices), through its command."""

from __future__ import annotations

import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from models.making.speech.utterances import Utterance, at_sample_rate, phones_from_ends


def utterances(texts: Sequence[str], voice: str, *, stretch: float = 1.0, mean_hz: float = 0.0) -> Iterator[Utterance]:
    """Speak each text with a voice of ``flite -lv``; ``stretch`` > 1 is slower, ``mean_hz`` 0 the voice's own pitch."""
    settings = ["--setf", f"duration_stretch={stretch}"]
    if mean_hz:
        settings += ["--setf", f"int_f0_target_mean={mean_hz}"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        for text in texts:
            command = ["flite", "-voice", voice, *settings, "-psdur", "-t", f"{text} ", "-o", str(path)]
            printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
            pairs = [pair.rpartition(":") for pair in printed.split() if ":" in pair]
            with wave.open(str(path)) as file:
                sample_rate = file.getframerate()
                samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(
                    32768
                )
            ends = [(name, float(end)) for name, _, end in pairs]
            yield Utterance(at_sample_rate(samples, sample_rate), phones_from_ends(ends, len(samples) / sample_rate))
