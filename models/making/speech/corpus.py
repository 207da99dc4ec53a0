"""The corpus on disk: one file a voice, with its speech and the times of its phones."""

from __future__ import annotations

import itertools
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.making.speech.phones import UnknownPhone, parts
from models.making.speech.texts import endless
from models.making.speech.utterances import Phone, Utterance
from models.making.speech.voices import Voice


@dataclass(frozen=True)
class Recorded:
    """All that one voice says."""

    name: str
    alphabet: str
    held_out: bool
    utterances: tuple[Utterance, ...]

    @property
    def seconds(self) -> float:
        return sum(utterance.seconds for utterance in self.utterances)


def record(voice: Voice, folder: Path) -> tuple[float, dict[str, int]]:
    """Let a voice speak its minutes into ``folder``; returns the seconds spoken and phones that no class claims.

    An utterance with an unclaimed phone is left out.
    """
    kept: list[Utterance] = []
    unclaimed: dict[str, int] = {}
    seconds = 0.0
    texts = endless(voice.language, zlib.crc32(voice.name.encode()))
    while seconds < 60 * voice.minutes:
        heard = 0
        for utterance in voice.speak(list(itertools.islice(texts, 40))):
            heard += 1
            unknown = [phone.name for phone in utterance.phones if not _claimed(voice.alphabet, phone.name)]
            for name in unknown:
                unclaimed[name] = unclaimed.get(name, 0) + 1
            if not unknown and len(utterance.phones) > 2:
                kept.append(utterance)
                seconds += utterance.seconds
            if seconds >= 60 * voice.minutes:
                break
        if not heard:
            raise RuntimeError(f"the voice {voice.name!r} says nothing")
    save(Recorded(voice.name, voice.alphabet, voice.held_out, tuple(kept)), folder)
    return seconds, unclaimed


def _claimed(alphabet: str, phone: str) -> bool:
    try:
        parts(alphabet, phone)
    except UnknownPhone:
        return False
    return True


def path_of(name: str, folder: Path) -> Path:
    return folder / f"{name}.npz"


def save(recorded: Recorded, folder: Path) -> None:
    """Write a voice's file whole or not at all."""
    phones = [phone for utterance in recorded.utterances for phone in utterance.phones]
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(recorded.name, folder)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            alphabet=np.array(recorded.alphabet),
            held_out=np.array(recorded.held_out),
            pcm=np.concatenate([utterance.pcm for utterance in recorded.utterances]),
            n_samples=np.array([len(utterance.pcm) for utterance in recorded.utterances], np.int64),
            n_phones=np.array([len(utterance.phones) for utterance in recorded.utterances], np.int64),
            phones=np.array([phone.name for phone in phones]),
            starts_s=np.array([phone.start_s for phone in phones], np.float32),
            ends_s=np.array([phone.end_s for phone in phones], np.float32),
        )
    os.replace(part, path)


def load(path: Path) -> Recorded:
    """Read one voice's file."""
    with np.load(path, allow_pickle=False) as file:
        phones = [
            Phone(str(name), float(start), float(end))
            for name, start, end in zip(file["phones"], file["starts_s"], file["ends_s"], strict=True)
        ]
        pcm = np.split(file["pcm"], np.cumsum(file["n_samples"])[:-1])
        edges = np.concatenate([[0], np.cumsum(file["n_phones"])])
        utterances = tuple(
            Utterance(samples, tuple(phones[first:last]))
            for samples, first, last in zip(pcm, edges[:-1], edges[1:], strict=True)
        )
        return Recorded(path.stem, str(file["alphabet"]), bool(file["held_out"]), utterances)


def load_all(folder: Path, *, held_out: bool) -> list[Recorded]:
    """Every voice of ``folder`` that is (or is not) held out, by name."""
    voices = [load(path) for path in sorted(folder.glob("*.npz"))]
    return [voice for voice in voices if voice.held_out == held_out]
