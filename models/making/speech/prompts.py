"""A person to train with: the announcements that Asterisk, a telephone exchange, plays, with the words of each.

Debian's ``asterisk-core-sounds-en`` (the words) and ``asterisk-core-sounds-en-g722`` (16 kHz), read by Allison Smith,
CC-BY-SA 3.0. Nothing of them is shipped. None of the recordings that encoders are tested with is hers.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from rich.console import Console
from rich.progress import track as progress

from models.making.speech import corpus
from models.making.speech.alignment import Spoken, Unaligned, align
from models.making.speech.utterances import SAMPLE_RATE

NAME = "person_allison"
_PACKAGES = ("asterisk-core-sounds-en", "asterisk-core-sounds-en-g722")
WORDS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison"
_DIGITS = dict(zip("0123456789", "zero one two three four five six seven eight nine".split(), strict=True))
_SHORTEST_S = 0.4


def listen(folder: Path, console: Console) -> float:
    """Fetch the packages (apt-get must reach its registry) and write the aligned voice into ``folder``, unless there.

    Returns the seconds of speech.

    Raises:
        subprocess.CalledProcessError: a package cannot be fetched.
    """
    path = corpus.path_of(NAME, folder)
    if not path.exists():
        with tempfile.TemporaryDirectory() as place:
            subprocess.run(["apt-get", "download", "-qq", *_PACKAGES], cwd=place, check=True)  # noqa: S603, S607
            for package in sorted(Path(place).glob("*.deb")):
                subprocess.run(["dpkg", "-x", str(package), place], check=True)  # noqa: S603, S607
            found = []
            for spoken in progress(list(announcements(Path(place))), "aligning", console=console):
                try:
                    found.append(align(spoken))
                except Unaligned as error:
                    console.print(f"[yellow]{error}")
            corpus.save(corpus.Recorded(NAME, "arpabet", False, tuple(found)), folder)
    return corpus.load(path).seconds


def announcements(place: Path) -> Iterator[Spoken]:
    """The announcements of unpacked packages whose words are all that is heard."""
    for line in gzip.decompress((place / WORDS).read_bytes()).decode("utf-8").splitlines():
        name, _, text = line.partition(":")
        path = place / SOUNDS / f"{name}.g722"
        words = re.sub(r"\d", lambda digit: f" {_DIGITS[digit[0]]} ", text)
        if not path.exists() or not re.fullmatch(r"[A-Za-z ,.:;'’?!\"-]*[a-z]{2}[A-Za-z ,.:;'’?!\"-]*", words):
            continue
        with av.open(str(path), format="g722") as file:
            pcm = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])
        if len(pcm) >= _SHORTEST_S * SAMPLE_RATE:
            yield Spoken(name, pcm, words)
