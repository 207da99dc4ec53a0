"""The table of an encoder's figures over its test sets."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from models.making.speech import corpus
from models.making.speech.alignment import Spoken, Unaligned, align, recordings
from models.making.speech.coarticulation import Track
from models.making.speech.corpus import Recorded
from models.making.speech.evaluation import Answers, Encode, Score, answers, openvino_encoder, score, truth

KNOWN_WORDS = "every recording with known words"
"""The set that an encoder, and the lips of an avatar, are held to: people and neural voices, the typical input."""

_ALIGNMENT = "2"
"""Counted up when alignment changes, so that what was kept before is not used."""
_LONGEST_SYNTHETIC_S = 20.0
"""Of each held-out voice."""


def figures_of(encoder: Path, work: Path, folder: Path, console: Console) -> dict[str, Score]:
    """Score the encoder on each set there is.

    Those with known words, of ``folder`` and of ``work/recordings`` (see ``gathering``), are aligned and kept in
    ``work/aligned``: human speech, neural voices, all of it together. Then the synthetic voices never trained on,
    and the neural ones kept for validation.
    """
    facts = tomllib.loads(encoder.with_suffix(".toml").read_text(encoding="utf-8"))
    encode = openvino_encoder(encoder)
    voices = aligned(work / "aligned", folder, console)
    human = [voice for voice in voices if not voice.name.startswith("tts_")]
    neural = [voice for voice in voices if voice.name.startswith("tts_")]
    more = _more(work, console)
    sets = {
        "human": human,
        "more human": more,
        "neural": neural,
        KNOWN_WORDS: [*voices, *more],
        "unseen synthetic": corpus.load_all(work / "corpus", held_out=True),
        "validation": corpus.load_all(work / "validation", held_out=False),
    }
    scores = {}
    for name, chosen in sets.items():
        if not chosen:
            console.print(f"[yellow]{name}: skipped, nothing to measure on")
            continue
        limit = _LONGEST_SYNTHETIC_S if name == "unseen synthetic" else float("inf")
        pairs = [
            pair for voice in chosen for pair in _pairs(voice, encode, facts["window"], facts["look_ahead_ms"], limit)
        ]
        scores[name] = score(pairs)
    return scores


def known_words(work: Path, folder: Path, console: Console) -> list[Recorded]:
    """All recordings with known words there are, of ``folder`` and gathered."""
    return [*aligned(work / "aligned", folder, console), *_more(work, console)]


def _more(work: Path, console: Console) -> list[Recorded]:
    folder = work / "recordings"
    return aligned(work / "aligned", folder, console) if folder.exists() else []


def table(scores: dict[str, Score]) -> Table:
    """The scores as a table for a terminal."""
    shown = Table("set", "seconds", "frames", "macro-F1", "closures found / right", "open shut", "aperture r", "lag")
    for name, one in scores.items():
        shown.add_row(
            name,
            f"{one.seconds:.0f}",
            f"{one.frame_accuracy:.3f}",
            f"{one.macro_f1:.3f}",
            f"{one.closure_recall:.2f} / {one.closure_precision:.2f} of {one.n_closures}",
            f"{one.open_vowels_shut:.1%}",
            f"{one.aperture_r:.3f}",
            f"{one.lag_ms:+.1f} ms",
        )
    return shown


def _pairs(
    voice: Recorded, encode: Encode, window: int, look_ahead_ms: int, limit_s: float
) -> list[tuple[Answers, Track]]:
    pairs, seconds = [], 0.0
    for utterance in voice.utterances:
        if seconds >= limit_s:
            break
        seconds += utterance.seconds
        said = answers(encode, utterance.pcm, window, look_ahead_ms)
        pairs.append((said, truth(voice.alphabet, utterance)))
    return pairs


def aligned(cache: Path, folder: Path, console: Console) -> list[Recorded]:
    """The recordings with known words, aligned now or before."""
    if not (folder / "words.tsv").exists():
        console.print(f"[yellow]human speech: skipped, there is no {folder / 'words.tsv'}")
        return []
    for package in ("pocketsphinx", "soundfile"):
        if importlib.util.find_spec(package) is None:
            console.print(f"[yellow]human speech: skipped, {package} is not installed")
            return []
    found = []
    cache = cache / _ALIGNMENT
    for spoken in progress(recordings(folder), "aligning", console=console):
        path = corpus.path_of(spoken.name, cache)
        if not path.exists():
            try:
                _keep(spoken, cache)
            except Unaligned as error:
                console.print(f"[yellow]{error}")
                continue
        found.append(corpus.load(path))
    return found


def _keep(spoken: Spoken, cache: Path) -> None:
    corpus.save(Recorded(spoken.name, "arpabet", True, (align(spoken),)), cache)
