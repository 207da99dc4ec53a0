"""Other names of gestures: the lexemes of the Behavior Markup Language, and words that an agent would try."""

from __future__ import annotations

from collections.abc import Collection, Mapping

LEXEMES: Mapping[str, str] = {
    "AGREE": "NOD",
    "BOW": "NOD",
    "HEAD_NOD": "NOD",
    "NODS": "NOD",
    "YES": "NOD",
    "DISAGREE": "SHAKE",
    "HEAD_SHAKE": "SHAKE",
    "NO": "SHAKE",
    "SHAKE_HEAD": "SHAKE",
    "GRIN": "SMILE",
    "HAPPY": "SMILE",
    "HAPPINESS": "SMILE",
    "JOY": "SMILE",
    "SMILES": "SMILE",
    "CONSIDER": "THINK",
    "LOOK_AWAY": "THINK",
    "LOOK_UP": "THINK",
    "PONDER": "THINK",
    "THINKING": "THINK",
    "THOUGHTFUL": "THINK",
    "AMAZED": "SURPRISE",
    "ASTONISHED": "SURPRISE",
    "RAISE_BROWS": "SURPRISE",
    "RAISE_EYEBROWS": "SURPRISE",
    "SURPRISED": "SURPRISE",
    "BLINK": "WINK",
    "TEASE": "WINK",
    "WINKS": "WINK",
}
"""The gesture that is meant by a name which the avatar does not have itself. All in upper case."""


def gesture_named(name: str, gestures: Collection[str]) -> str | None:
    """The gesture of the avatar that a name means: its own first, then by ``LEXEMES``; None if there is none.

    Case does not matter, and spaces and hyphens are as good as underscores.
    """
    plain = "_".join(name.upper().replace("-", " ").replace("_", " ").split())
    if plain in gestures:
        return plain
    meant = LEXEMES.get(plain)
    return meant if meant in gestures else None


def aliases_of(gesture: str, gestures: Collection[str]) -> tuple[str, ...]:
    """The other names that mean a gesture of an avatar that has ``gestures``."""
    return tuple(name for name, meant in LEXEMES.items() if meant == gesture and name not in gestures)
