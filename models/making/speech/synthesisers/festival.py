"""Festival, with diphone, unit selection and statistical voices of several languages, through its command."""

from __future__ import annotations

import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from models.making.speech.utterances import PAUSE, Utterance, at_sample_rate, phones_from_ends

_SAY = """
(define (say_to number text)
  (let ((utt (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utt (string-append "{folder}/" number ".wav") 'riff)
    (let ((file (fopen (string-append "{folder}/" number ".segments") "w")))
      (mapcar (lambda (segment) (format file "%s %f\\n" (item.name segment) (item.feat segment "end")))
              (utt.relation.items utt 'Segment))
      (fclose file))))
(voice_{voice})
(Parameter.set 'Duration_Stretch {stretch})
"""
_SILENCES = frozenset({"#", "_", "pau", "sil", "SIL", "H#", "h#", "##"})


def utterances(
    texts: Sequence[str], voice: str, *, encoding: str = "utf-8", stretch: float = 1.0
) -> Iterator[Utterance]:
    """Speak each text with the voice ``voice``; ``encoding`` is what its text rules were written in."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "say.scm")
        lines = [_SAY.format(folder=folder, voice=voice, stretch=stretch)]
        for number, text in enumerate(texts):
            quoted = text.replace("\\", " ").replace('"', " ")
            lines.append(f'(unwind-protect (say_to "{number}" "{quoted}") nil)\n')
        script.write_bytes("".join(lines).encode(encoding, "ignore"))
        subprocess.run(["festival", "-b", str(script)], capture_output=True, check=False)  # noqa: S603, S607
        for number in range(len(texts)):
            sound, segments = Path(folder, f"{number}.wav"), Path(folder, f"{number}.segments")
            if not (sound.exists() and segments.exists()):
                continue  # this voice cannot say this text
            with wave.open(str(sound)) as file:
                sample_rate = file.getframerate()
                samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(
                    32768
                )
            ends = []
            for line in segments.read_text(encoding="latin-1").splitlines():
                name, _, end = line.rpartition(" ")
                ends.append((PAUSE if name in _SILENCES else name, float(end)))
            if len(samples) and ends:
                pcm = at_sample_rate(samples, sample_rate)
                yield Utterance(pcm, phones_from_ends(ends, len(samples) / sample_rate))
