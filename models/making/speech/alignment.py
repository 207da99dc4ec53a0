"""When each phone of a recording with known words is spoken, found with pocketsphinx."""

from __future__ import annotations

import csv
import functools
import re
import subprocess
from collections.abc import Callable, Sequence
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
_VOWELS = frozenset("aa ae ah ao aw ax axr ay eh er ey ih ix iy ow oy uh uw".split())


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
    """A recording's phones (ARPAbet, with ``ax`` for the neutral vowel) in time.

    First the words are aligned, which chooses their pronunciations, then the phones of these.
    """
    return _with_wider_beams(lambda beam: _align(spoken, beam))


def align_sounds(pcm: NDArray[np.int16], sounds: Sequence[tuple[str, str]]) -> Utterance:
    """Speech whose sounds are known, as (name, the ARPAbet phone that it sounds like), with the names in time."""
    return _with_wider_beams(lambda beam: Utterance(pcm, _placed(_lasting_decoder(beam), pcm, sounds)))


def _with_wider_beams(find: Callable[[float], Utterance]) -> Utterance:
    """A wider search, which is slower, is tried where a narrower one fails."""
    for beam in _BEAMS[:-1]:
        try:
            return find(beam)
        except Unaligned:
            continue
    return find(_BEAMS[-1])


def _decoder(beam: float) -> Decoder:
    from pocketsphinx import Decoder

    return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", beam=beam, wbeam=beam, pbeam=beam, lm=None)


@functools.cache
def _lasting_decoder(beam: float) -> Decoder:
    """A decoder for many utterances of one voice: it gets to know the channel."""
    return _decoder(beam)


def _align(spoken: Spoken, beam: float) -> Utterance:
    decoder = _decoder(beam)
    words = re.sub(r"[^a-z' ]", " ", spoken.words.lower().replace("-", " ")).split()
    for word in dict.fromkeys(words):
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, " ".join(_as_flite_says(word)), True)
    sounds: list[tuple[str, str]] = []
    for name, _, _ in _aligned(decoder, " ".join(words), spoken.pcm):
        pronunciation = None if name.startswith(("<", "[")) else decoder.lookup_word(name)
        if pronunciation:
            phones = pronunciation.split()
            sounds += zip(_with_neutral(name.split("(")[0], phones), phones, strict=True)
    return Utterance(spoken.pcm, _placed(decoder, spoken.pcm, sounds))


def _placed(decoder: Decoder, pcm: NDArray[np.int16], sounds: Sequence[tuple[str, str]]) -> tuple[Phone, ...]:
    """Sounds, as (name, ARPAbet phone), in time, with the pauses between them.

    Each phone is a word of its own, because pocketsphinx's own pass over phones often does not reach its end.
    """
    for phone in dict.fromkeys(phone for _, phone in sounds):
        if decoder.lookup_word(f"phone_{phone.lower()}") is None:
            decoder.add_word(f"phone_{phone.lower()}", phone, True)
    names = iter(name for name, _ in sounds)
    seconds = len(pcm) / SAMPLE_RATE
    found = []
    for word, first, last in _aligned(decoder, " ".join(f"phone_{phone.lower()}" for _, phone in sounds), pcm):
        label = next(names, PAUSE) if word.startswith("phone_") else PAUSE
        start, end = first * _FRAME_S + _FIRST_FRAME_S, (last + 1) * _FRAME_S + _FIRST_FRAME_S
        if end > 0 and start < seconds:
            found.append(Phone(label, max(start, 0.0), min(end, seconds)))
    return tuple(found)


def _aligned(decoder: Decoder, text: str, pcm: NDArray[np.int16]) -> list[tuple[str, int, int]]:
    """(Word, first frame, last frame) of each word and silence."""
    decoder.set_align_text(text)
    decoder.start_utt()
    quiet = np.random.default_rng(0).integers(-3, 4, round(_QUIET_S * SAMPLE_RATE)).astype(np.int16)
    decoder.process_raw(np.concatenate([quiet, pcm, quiet]).tobytes(), full_utt=True)
    decoder.end_utt()
    early = round(_QUIET_S / _FRAME_S)
    segments = [(one.word, one.start_frame - early, one.end_frame - early) for one in decoder.seg() or ()]
    n_found = sum(not name.startswith(("<", "[", "(NULL")) for name, _, _ in segments)
    if n_found < _ENOUGH * len(text.split()):
        raise Unaligned(f"pocketsphinx does not find {text!r}")
    return [segment for segment in segments if segment[0] != "(NULL)"]


def _with_neutral(word: str, phones: Sequence[str]) -> list[str]:
    """A word's phones with ``ax`` where its AH is the neutral vowel.

    pocketsphinx's dictionary has one AH for the vowels of "but" and of "a"; flite's tells them apart.
    """
    if "AH" not in phones:
        return list(phones)
    vowels = [phone for phone in _flite_phones(word) if phone in _VOWELS]
    places = [i for i, phone in enumerate(phones) if phone.lower() in _VOWELS]
    neutral = list(phones)
    if len(vowels) == len(places):
        for i, vowel in zip(places, vowels, strict=True):
            if phones[i] == "AH" and vowel not in {"aa", "ah"}:  # flite writes the vowel of "but" as either
                neutral[i] = "ax"
    return neutral


def _as_flite_says(word: str) -> list[str]:
    """The phones of a word that pocketsphinx does not know."""
    return [_FROM_FLITE.get(phone, phone.upper()) for phone in _flite_phones(word)]


@functools.cache
def _flite_phones(word: str) -> list[str]:
    command = ["flite", "-ps", "-t", word, "none"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
    return [phone for phone in printed.split() if phone != "pau"]
