"""When each phone of a recording with known words is spoken, found with pocketsphinx."""

from __future__ import annotations

import csv
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.making.speech.utterances import PAUSE, SAMPLE_RATE, Phone, Utterance, at_sample_rate

if TYPE_CHECKING:
    from pocketsphinx import Decoder

_FRAME_S = 0.010
_FIRST_FRAME_S = 0.0078
"""A frame of pocketsphinx is centred at 10 t + 12.8 ms, so it stands for the time from 10 t + 7.8 ms on."""

_BEAMS = (1e-50, 1e-64, 1e-80)
_ENOUGH = 0.95
"""Share of the words that must be found: a recording that stops in its last sound often lacks that one."""
_QUIET_S = 0.3
"""Put before and after a recording: pocketsphinx may fail to end in one that stops with its last sound."""

_FROM_FLITE = {"ax": "AH", "axr": "ER", "ix": "IH", "dx": "T", "nx": "N", "el": "L", "en": "N", "em": "M"}


class Unaligned(RuntimeError):
    """The words cannot be found in the recording."""


@dataclass(frozen=True)
class Spoken:
    """A recording, int16 (n,) at ``SAMPLE_RATE``, and what is said in it."""

    name: str
    pcm: NDArray[np.int16]
    words: str


def recordings(folder: Path) -> list[Spoken]:
    """The recordings of ``folder`` whose words its ``words.tsv`` (file, words) tells."""
    import soundfile

    with (folder / "words.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    spoken = []
    for row in rows:
        samples, sample_rate = soundfile.read(folder / row["file"], dtype="float32", always_2d=True)
        pcm = at_sample_rate(samples.mean(axis=1), sample_rate)
        spoken.append(Spoken(row["file"], pcm, row["words"]))
    return spoken


def align(spoken: Spoken) -> Utterance:
    """A recording's phones (ARPAbet) in time; a wider search, which is slower, is tried where a narrower one fails."""
    for beam in _BEAMS[:-1]:
        try:
            return _align(spoken, beam)
        except Unaligned:
            continue
    return _align(spoken, _BEAMS[-1])


def _align(spoken: Spoken, beam: float) -> Utterance:
    """Align with one beam.

    First the words are aligned, which chooses their pronunciations; then each phone of these as a word of its own,
    because pocketsphinx's own pass over phones often does not reach its end.
    """
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", beam=beam, wbeam=beam, pbeam=beam)
    words = re.sub(r"[^a-z' ]", " ", spoken.words.lower().replace("-", " ")).split()
    for word in dict.fromkeys(words):
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, " ".join(_guessed(word)), True)
    phones: list[str] = []
    for name, _, _ in _aligned(decoder, " ".join(words), spoken):
        pronunciation = None if name.startswith(("<", "[")) else decoder.lookup_word(name)
        if pronunciation:
            phones += pronunciation.split()
    for phone in dict.fromkeys(phones):
        decoder.add_word(f"phone_{phone.lower()}", phone, True)
    seconds = len(spoken.pcm) / SAMPLE_RATE
    found = []
    for name, first, last in _aligned(decoder, " ".join(f"phone_{phone.lower()}" for phone in phones), spoken):
        start, end = first * _FRAME_S + _FIRST_FRAME_S, (last + 1) * _FRAME_S + _FIRST_FRAME_S
        label = name.removeprefix("phone_").split("(")[0] if name.startswith("phone_") else PAUSE
        if end > 0 and start < seconds:
            found.append(Phone(label, max(start, 0.0), min(end, seconds)))
    return Utterance(spoken.pcm, tuple(found))


def _aligned(decoder: Decoder, text: str, spoken: Spoken) -> list[tuple[str, int, int]]:
    """(Word, first frame, last frame) of each word and silence."""
    decoder.set_align_text(text)
    decoder.start_utt()
    quiet = np.random.default_rng(0).integers(-3, 4, round(_QUIET_S * SAMPLE_RATE)).astype(np.int16)
    decoder.process_raw(np.concatenate([quiet, spoken.pcm, quiet]).tobytes(), full_utt=True)
    decoder.end_utt()
    early = round(_QUIET_S / _FRAME_S)
    segments = [(one.word, one.start_frame - early, one.end_frame - early) for one in decoder.seg() or ()]
    n_found = sum(not name.startswith(("<", "[", "(NULL")) for name, _, _ in segments)
    if n_found < _ENOUGH * len(text.split()):
        raise Unaligned(f"pocketsphinx does not find the words of {spoken.name!r}")
    return [segment for segment in segments if segment[0] != "(NULL)"]


def _guessed(word: str) -> list[str]:
    """The phones of a word that pocketsphinx does not know, as flite would say them."""
    command = ["flite", "-ps", "-t", word, "none"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
    phones = [phone for phone in printed.split() if phone != "pau"]
    return [_FROM_FLITE.get(phone, phone.upper()) for phone in phones]
