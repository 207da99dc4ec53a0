"""Who speaks: recordings whose words are known, and synthetic voices that the encoder was never trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from models.making.evaluate.programme import Kind
from models.making.speech import corpus
from models.making.speech.alignment import recordings
from models.making.speech.corpus import Recorded
from models.making.speech.report import aligned
from models.making.speech.synthesis import synthesise
from models.making.speech.voices import all_voices


@dataclass(frozen=True)
class Voices:
    """Recordings with their phones by kind, what is said in each (by its name), and held-out synthetic voices."""

    recorded: Mapping[Kind, Sequence[Recorded]]
    words: Mapping[str, str]
    synthetic: Sequence[Recorded]


def read_voices(folder: Path, speech: Path, console: Console) -> Voices:
    """The voices that there are; recordings are aligned and synthetic voices made where ``speech`` lacks them.

    Args:
        folder: recordings with known words.
        speech: the speech corpus, where more recordings were gathered or not.
    """
    more = speech / "recordings"
    given = aligned(speech / "aligned", folder, console)
    recorded: dict[Kind, Sequence[Recorded]] = {
        "human": [voice for voice in given if not voice.name.startswith("tts_")],
        "more human": aligned(speech / "aligned", more, console) if more.exists() else [],
        "neural": [voice for voice in given if voice.name.startswith("tts_")],
    }
    known = [place for place in (folder, more) if (place / "words.tsv").exists()]
    words = (
        {spoken.name: spoken.words for place in known for spoken in recordings(place)} if any(recorded.values()) else {}
    )
    held_out = tuple(voice for voice in all_voices() if voice.held_out)
    synthesise(held_out, speech / "corpus", n_processes=2)
    return Voices(recorded, words, corpus.load_all(speech / "corpus", held_out=True))
