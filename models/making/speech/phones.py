"""Phones of every synthesiser's alphabet, sorted into visemes and into the shapes that the mouth takes for them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from avatar.articulation import VISEMES

SCHWA, BREATH = "schwa", "breath"
"""Shapes besides the visemes: the neutral vowel, and HH, which is spoken through the shape of what follows."""

SHAPES = (*VISEMES, SCHWA, BREATH)


class UnknownPhone(ValueError):
    """No class claims this phone."""


@dataclass(frozen=True)
class Part:
    """A stretch of a phone: its share of the phone's time, the viseme it is labelled with, its mouth shape."""

    share: float
    viseme: str
    shape: str


def _table(**members: str) -> dict[str, str]:
    return {phone: name for name, phones in members.items() for phone in phones.split()}


_ARPABET = _table(
    SIL="pau sil brth",
    PP="p b m",
    FF="f v",
    TH="th dh",
    DD="t d n l dx nx el en em",
    KK="k g ng hh hv q",
    CH="ch jh sh zh",
    SS="s z",
    RR="r er axr",
    WU="w uw uh",
    OO="ao ow oy",
    AA="aa ah ax aw ay",
    EH="eh ae ey",
    IH="iy ih ix y",
)
_SAMPA = _table(
    SIL="pau",
    PP="p b m",
    FF="f v nf",
    DD="t d n l r rr",
    KK="k g ng N J h x",
    CH="S Z tS dZ",
    SS="s z ts dz",
    WU="u w",
    OO="o O",
    AA="a ax",
    EH="e E",
    IH="i j y",
)
_SAMPA["L"] = "DD"
_CZECH = _table(
    SIL="pau",
    PP="p b m",
    FF="f v m*",
    DD="t d n l r",
    KK="k g n* h ch t~ d~ n~",
    CH="s~ z~ c~ dz~ r~ r~*",
    SS="s z c dz",
    WU="u",
    OO="o",
    AA="a",
    EH="e",
    IH="i j",
)
_FINNISH = _table(
    SIL="pau",
    PP="p b m",
    FF="f v",
    DD="t d n l r",
    KK="k g N h ?",
    CH="S",
    SS="s z",
    WU="u y w",
    OO="o 7",
    AA="a",
    EH="e @",
    IH="i j",
)
_RUSSIAN = _table(
    SIL="pau",
    PP="p pp b bb m mm",
    FF="f ff v vv",
    DD="t tt d dd n nn l ll r rr",
    KK="k kk g gg h hh",
    CH="sh sch zh ch",
    SS="s ss z zz c",
    WU="u uu ur",
    OO="o oo",
    AA="a aa ae ay",
    EH="e ee",
    IH="i ii y yy j ij",
)
_IPA = _table(
    PP="p b m ɓ β ɸ",
    FF="f v ʋ ɱ",
    TH="θ ð",
    DD="t d n l r ɾ ɫ ɭ ʈ ɖ ɳ ɬ ɽ ʎ ɗ",
    KK="k g ɡ ŋ h ɦ x ɣ ʁ χ q ħ ʔ ç c ɟ ɲ ʝ ʕ ɴ ɠ",
    CH="ʃ ʒ ɕ ʑ ʂ ʐ ʧ ʤ",
    SS="s z ʦ ʣ",
    RR="ɹ ɻ ɚ ɝ",
    WU="w ʍ u ʊ y ʏ ɥ ʉ",
    OO="o ɔ ø œ ɒ ɵ",
    AA="a ɑ ɐ ʌ ə ɜ ᵊ",
    EH="e ɛ æ ɤ",
    IH="i ɪ ᵻ ɨ j ɯ ʲ",
)
_VOWELS = frozenset("uʊyʏʉoɔøœɒɵaɑɐʌəɜeɛæɤiɪᵻɨɯɚɝᵊ")
_NEUTRAL = frozenset({"ə", "ɐ", "ɜ", "ᵊ"})
_KOKORO = {"A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ"}
_GLIDES = {"ey": ("EH", "IH"), "ay": ("AA", "IH"), "aw": ("AA", "WU"), "ow": ("OO", "WU"), "oy": ("OO", "IH")}
_ARPABET_NEUTRAL = frozenset({"ax", "em", "en", "el"})
_TABLES = {"sampa": _SAMPA, "czech": _CZECH, "finnish": _FINNISH, "russian": _RUSSIAN}


def parts(alphabet: str, phone: str) -> tuple[Part, ...]:
    """A phone of ``arpabet``, ``ipa``, ``sampa``, ``czech``, ``finnish`` or ``russian`` as one or more parts.

    Diphthongs keep the viseme of their first vowel, as the visemes' definition has it, while their shape moves.
    """
    if phone in {"pau", "", "?", "??"}:
        return (Part(1.0, "SIL", "SIL"),) if phone in {"pau", ""} else (Part(1.0, "KK", "KK"),)
    if alphabet == "arpabet":
        return _arpabet(phone)
    if alphabet == "ipa":
        return _ipa(phone)
    plain = phone.rstrip("1:")
    viseme = _TABLES[alphabet].get(plain)
    if viseme is None:
        raise UnknownPhone(f"no viseme claims the phone {phone!r} of the alphabet {alphabet!r}")
    return (Part(1.0, viseme, _shape(plain, viseme)),)


def _arpabet(phone: str) -> tuple[Part, ...]:
    phone = phone.lower().rstrip("012")
    viseme = _ARPABET.get(phone)
    if viseme is None:
        raise UnknownPhone(f"no viseme claims the phone {phone!r} of the alphabet 'arpabet'")
    if phone in _GLIDES:
        first, second = _GLIDES[phone]
        return (Part(0.6, viseme, first), Part(0.4, viseme, second))
    if phone in _ARPABET_NEUTRAL:
        return (Part(1.0, viseme, SCHWA if viseme == "AA" else viseme),)
    return (Part(1.0, viseme, _shape(phone, viseme)),)


def _shape(phone: str, viseme: str) -> str:
    if phone in {"hh", "hv", "h", "ɦ"} and viseme == "KK":
        return BREATH
    return SCHWA if phone in {"ax", "ae", "ay", "ə"} and viseme == "AA" else viseme


def _ipa(phone: str) -> tuple[Part, ...]:
    long = "ː" in phone
    letters = "".join(_KOKORO.get(letter, letter) for letter in phone)
    if "r̝" in letters:
        letters = "ʒ"
    letters = "".join(
        letter
        for letter in unicodedata.normalize("NFD", letters)
        if unicodedata.category(letter)[0] == "L" and letter not in "ːʰˑʱ"
    )
    letters = letters if letters == "ʲ" else letters.replace("ʲ", "")
    for pair, one in (("tʃ", "ʃ"), ("dʒ", "ʒ"), ("tɕ", "ɕ"), ("dʑ", "ʑ"), ("ts", "s"), ("dz", "z"), ("sx", "ʃ")):
        letters = letters.replace(pair, one)
    if not letters:
        return (Part(1.0, "KK", "KK"),)
    sounds: list[tuple[str, str]] = []
    for letter in letters:
        viseme = _IPA.get(letter)
        if viseme is None:
            raise UnknownPhone(f"no viseme claims {letter!r} of the phone {phone!r} of the alphabet 'ipa'")
        if letter == "ɜ" and long:
            viseme = "RR"
        shape = SCHWA if letter in _NEUTRAL and viseme == "AA" else _shape(letter, viseme)
        if sounds and letter in _VOWELS and letters[len(sounds) - 1] in _VOWELS and viseme != "RR":
            viseme = sounds[-1][0]
        sounds.append((viseme, shape))
    if letters == "əʊ":
        sounds = [("OO", SCHWA), ("OO", "WU")]  # what ARPAbet writes as OW
    if len(sounds) == 1:
        return (Part(1.0, *sounds[0]),)
    first = 0.6
    rest = (1 - first) / (len(sounds) - 1)
    return tuple(Part(first if i == 0 else rest, *sound) for i, sound in enumerate(sounds))
