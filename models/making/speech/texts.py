"""What the synthesisers say: sentences written for this project, and words strung together at random."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

_WORD_LIST = Path("/usr/share/dict/american-english")
"""Debian's ``wamerican`` (public domain): more words for English where it is installed."""


def sentences(language: str) -> list[str]:
    """The sentences of a language (``en``, ``de``, …), as written."""
    text = resources.files("models.making.speech").joinpath("texts", f"{language}.txt").read_text(encoding="utf-8")
    return text.splitlines()


def endless(language: str, seed: int) -> Iterator[str]:
    """Sentences, the same with other words, and random strings of words by turns, for ever.

    Every sentence comes once before any comes again.
    """
    random = np.random.default_rng(seed)
    written = sentences(language)
    words = sorted({word for line in written for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", line)})
    if language == "en" and _WORD_LIST.exists():
        words += [word for word in _WORD_LIST.read_text(encoding="utf-8").split() if re.fullmatch("[a-z]{2,10}", word)]
    while True:
        for line in random.permutation(written):
            yield str(line)
            yield _altered(str(line), words, random)
            chosen = random.choice(words, random.integers(4, 9))
            comma = int(random.integers(1, len(chosen)))
            yield f"{' '.join(chosen[:comma])}, {' '.join(chosen[comma:])}."


def _altered(line: str, words: Sequence[str], random: np.random.Generator) -> str:
    """A sentence with half of its longer words exchanged: its small words and its melody stay."""
    return re.sub(r"[^\W\d_]{4,}", lambda word: str(random.choice(words)) if random.random() < 0.5 else word[0], line)
