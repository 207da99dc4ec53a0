"""What the avatar is given to say: recordings with known words, synthetic voices, then sounds without a voice."""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.making.evaluate.sounds import SOUNDS
from models.making.speech.coarticulation import Track, track
from models.making.speech.corpus import Recorded
from models.making.speech.utterances import PAUSE, SAMPLE_RATE, Phone, Utterance

PAUSE_S = 0.8
"""Before and after every piece; long enough for a mouth to come to rest."""

SYNTHETIC_S = 8.0
"""Of each synthetic voice, at least."""

Kind = Literal["human", "more human", "neural", "synthetic", "sound"]
"""Of all but the last the phones are known: told by the synthesiser of synthetic speech, else aligned."""


Phones = tuple[tuple[str, float, float], ...]


class Piece(msgspec.Struct, frozen=True):
    """One recording or sound between two times of the programme, in seconds.

    Attributes:
        words: what is said.
        phones: (name, start, end) in ``alphabet``, the times counted from the piece's start.
    """

    name: str
    kind: Kind
    start_s: float
    seconds: float
    words: str = ""
    alphabet: str = "arpabet"
    phones: Phones = ()

    @property
    def end_s(self) -> float:
        return self.start_s + self.seconds

    @property
    def sounds(self) -> list[tuple[float, float]]:
        """When each phone that is no pause begins and ends, in seconds of the programme."""
        return [(self.start_s + start, self.start_s + end) for name, start, end in self.phones if name != PAUSE]

    @property
    def truth(self) -> Track:
        """What the mouth should do, every 10 ms of the piece."""
        return track(self.alphabet, [Phone(*phone) for phone in self.phones], self.seconds)


class Programme(msgspec.Struct, frozen=True):
    """The pieces in the order in which they are heard."""

    pieces: tuple[Piece, ...]

    @property
    def spoken(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.kind != "sound"]

    def of(self, *kinds: Kind) -> list[Piece]:
        return [piece for piece in self.pieces if piece.kind in kinds]


def write_programme(
    recorded: Mapping[Kind, Sequence[Recorded]], words: Mapping[str, str], synthetic: Sequence[Recorded], to: Path
) -> Programme:
    """Write the sound of all pieces as ``to`` (16 kHz, 16 bit) and where they are as ``.json`` beside it.

    Args:
        recorded: recordings with their phones, by kind.
        words: what is said in each, by its name.
        synthetic: voices of which only the first ``SYNTHETIC_S`` are taken.
    """
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.int16)
    sound, pieces, n = [pause], [], len(pause)

    def add(
        kind: Kind, name: str, pcm: NDArray[np.int16], said: str = "", alphabet: str = "", phones: Phones = ()
    ) -> None:
        nonlocal n
        pieces.append(Piece(name, kind, n / SAMPLE_RATE, len(pcm) / SAMPLE_RATE, said, alphabet, phones))
        sound.extend([pcm, pause])
        n += len(pcm) + len(pause)

    for kind, voice in ((kind, voice) for kind, voices in recorded.items() for voice in voices):
        for utterance in voice.utterances:
            add(kind, voice.name, utterance.pcm, words[voice.name], voice.alphabet, _times(utterance))
    for voice in synthetic:
        seconds = 0.0
        for number, utterance in enumerate(voice.utterances):
            if seconds < SYNTHETIC_S:
                add("synthetic", voice.name, utterance.pcm, f"{voice.name} {number}", voice.alphabet, _times(utterance))
            seconds += utterance.seconds
    for name, make in SOUNDS.items():
        add("sound", name, np.asarray(np.clip(np.round(32767 * make()), -32768, 32767), np.int16))
    programme = Programme(tuple(pieces))
    to.parent.mkdir(parents=True, exist_ok=True)
    to.with_suffix(".json").write_bytes(msgspec.json.encode(programme))
    with wave.open(str(to), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.concatenate(sound).tobytes())
    return programme


def _times(utterance: Utterance) -> Phones:
    return tuple((phone.name, phone.start_s, phone.end_s) for phone in utterance.phones)


def read_programme(sound: Path) -> Programme:
    """The pieces of a programme that was written."""
    return msgspec.json.decode(sound.with_suffix(".json").read_bytes(), type=Programme)
