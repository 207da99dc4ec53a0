"""eSpeak NG, a formant synthesiser of many languages and voices, through its C library."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from models.making.speech.utterances import PAUSE, Utterance, at_sample_rate, phones_from_ends

_RETRIEVAL, _PHONEME_EVENTS_IN_IPA, _UTF8, _PHONEME = 1, 0x0001 | 0x0002 | 0x8000, 1, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_LATE_S = 0.012
"""By how much eSpeak's phone events lag behind what is heard (onsets 5–14 ms, bilabials up to 26 ms)."""


class _Name(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@functools.cache
def _library() -> tuple[ctypes.CDLL, int]:
    """The library, made ready once in a process (a second time makes it hang), and its sample rate in hertz."""
    library = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
    sample_rate = int(library.espeak_Initialize(_RETRIEVAL, 0, None, _PHONEME_EVENTS_IN_IPA))
    if sample_rate < 0:
        raise RuntimeError("espeak-ng finds no voice data")
    return library, sample_rate


def utterances(
    texts: Sequence[str], voice: str, *, rate: int = 165, pitch: int = 50, pitch_range: int = 50
) -> Iterator[Utterance]:
    """Speak each text with a voice such as ``en-us+f2``; rate in words a minute, pitch and range 0 to 100.

    The library keeps one voice for the whole process: read one voice's utterances to the end before the next's.
    """
    library, sample_rate = _library()
    pieces: list[np.ndarray] = []
    events: list[tuple[float, str]] = []

    def hear(samples: ctypes._Pointer[ctypes.c_short], n_samples: int, first: ctypes._Pointer[_Event]) -> int:
        if n_samples > 0:
            pieces.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        index = 0
        while first[index].type != 0:
            if first[index].type == _PHONEME:
                label = first[index].id.string.decode("utf-8", "ignore")
                events.append((first[index].sample / sample_rate, label))
            index += 1
        return 0

    callback = _Callback(hear)  # kept by name: the library keeps only its address
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {voice!r}")
    for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
        library.espeak_SetParameter(parameter, value, 0)
    for text in texts:
        pieces.clear()
        events.clear()
        raw = text.encode() + b"\0"
        library.espeak_Synth(raw, ctypes.c_size_t(len(raw)), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        if not pieces:
            continue
        seconds = sum(map(len, pieces)) / sample_rate
        onsets = [*(onset for onset, _ in events), seconds]
        ends = [(label.strip("_:|ˈˌ ") or PAUSE, onsets[i + 1]) for i, (_, label) in enumerate(events)]
        if events and events[0][0] > 0:
            ends.insert(0, (PAUSE, events[0][0]))
        samples = np.concatenate(pieces).astype(np.float32) / np.float32(32768)
        yield Utterance(at_sample_rate(samples, sample_rate), phones_from_ends(ends, seconds, -_LATE_S))
