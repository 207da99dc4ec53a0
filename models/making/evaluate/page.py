"""The figures as a page: docs/lips.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from models.making.evaluate.bars import (
    Bar,
    border_bars,
    cost_bars,
    encoder_bars,
    film_bars,
    join_bars,
    milliseconds,
    percent,
    rest_bars,
    share,
    unseen_bars,
)
from models.making.evaluate.cost import Cost
from models.making.evaluate.seen import SeenRest, SeenSpeech
from models.making.seams.borders_seen import BorderFigures
from models.making.seams.joins_seen import JoinFigures
from models.making.speech.evaluation import Score
from models.making.speech.report import KNOWN_WORDS

NOTES = """
Words of recordings are aligned by pocketsphinx; synthesisers tell their own timing. The bars of known words are held
against people and neural voices together, because an agent's speech is the latter; the tables show each alone, and of
people alone there are too few closures (P B M) to tell more than a rough figure. Closures count as found
when the lips are closed within ±40 ms of them; "right" is the share of closed lips that belong to one. "Shut" is an
open vowel (60 ms or more) over whose middle the lips are closed. The *encoder* is asked every 10 ms. The *film* is what
a viewer gets: all is spoken through the protocol, the server records it, and MediaPipe Face Mesh measures the gap
between the inner lips in every frame of the MP4; closed is below 15 % of the gap that 95 % of the spoken frames stay
under. r is Pearson's, of the gap (or the encoder's aperture) and the aperture that the phones ask for
(`avatar.articulation.aperture`); with other words, of the gap and what every other recording asks for.
"""


@dataclass(frozen=True)
class Figures:
    """All that was measured; what could not be is left out, and ``skipped`` says why.

    Attributes:
        about: what was measured and on what machine, one sentence each.
        heard: the encoder, by set of recordings.
        seen: the film, by set of recordings.
        sounds: the film, by sound that nobody speaks in.
        pauses: the film, between the words.
        joins: of a scripted session.
        borders: of the mouth in some speech.
    """

    about: Sequence[str]
    heard: Mapping[str, Score] = field(default_factory=dict)
    seen: Mapping[str, SeenSpeech] = field(default_factory=dict)
    sounds: Mapping[str, SeenRest] = field(default_factory=dict)
    pauses: SeenRest | None = None
    cost: Cost | None = None
    joins: JoinFigures | None = None
    borders: BorderFigures | None = None
    skipped: Sequence[str] = ()

    @property
    def bars(self) -> list[Bar]:
        """Every bar that there is a figure for."""
        return [
            *(join_bars(self.joins) if self.joins else ()),
            *(border_bars(self.borders) if self.borders else ()),
            *(encoder_bars(self.heard[KNOWN_WORDS]) if KNOWN_WORDS in self.heard else ()),
            *(unseen_bars(self.heard["unseen synthetic"]) if "unseen synthetic" in self.heard else ()),
            *(film_bars(self.seen[KNOWN_WORDS]) if KNOWN_WORDS in self.seen else ()),
            *rest_bars(self.sounds),
            *(cost_bars(self.cost) if self.cost else ()),
        ]


def page(figures: Figures, pictures: Mapping[str, str]) -> str:
    """Markdown; ``pictures`` are paths from the page, by their captions."""
    parts = [
        "# Lips\n\nWritten by `make evaluate`; what is measured, and how, is said at the end.",
        "\n".join(f"* {line}" for line in figures.about),
        "## The bars",
        _table("bar", "asked", "measured", "met", rows=[(b.what, b.asked, b.measured, _met(b)) for b in figures.bars]),
        *(["Not measured:", "\n".join(f"* {reason}" for reason in figures.skipped)] if figures.skipped else []),
        *_heard(figures.heard),
        *_seen(figures),
        *_seams(figures),
        *chain.from_iterable((f"## {caption}", f"![{caption}]({path})") for caption, path in pictures.items()),
        f"## How this is measured\n{NOTES.rstrip()}",
    ]
    return "\n\n".join(parts) + "\n"


def _heard(heard: Mapping[str, Score]) -> list[str]:
    if not heard:
        return []
    rows = [
        (
            f"{name}, {one.seconds:.0f} s",
            share(one.frame_accuracy),
            share(one.macro_f1),
            f"{one.closure_recall:.2f} / {one.closure_precision:.2f} of {one.n_closures}",
            percent(one.open_vowels_shut),
            share(one.aperture_r),
            f"{one.lag_ms:+.0f} ms",
        )
        for name, one in heard.items()
    ]
    head = ("set", "frames right", "macro-F1", "closures found / right", "open vowels shut", "aperture r", "lag")
    return ["## The speech encoder", _table(*head, rows=rows)]


def _seen(figures: Figures) -> list[str]:
    if not figures.seen:
        return []
    rows = [
        (
            f"{name}, {one.seconds:.0f} s",
            share(one.aperture_r),
            f"{one.closure_recall:.2f} / {one.closure_precision:.2f} of {one.n_closures}",
            f"{percent(one.open_vowels_shut)} of {one.n_open_vowels}",
            f"{one.lag_ms:+.1f} ms",
            share(one.swapped_r),
        )
        for name, one in figures.seen.items()
    ]
    head = (
        "set",
        "aperture r",
        "closures found / right",
        "open vowels shut",
        "lips later than sound",
        "r, other words",
    )
    rest = dict(figures.sounds) | ({"pauses between words": figures.pauses} if figures.pauses else {})
    still = [(name, str(one.n_frames), percent(one.closed)) for name, one in rest.items()]
    cost = figures.cost
    taken = (
        [
            f"One mouth on one thread: encoder {milliseconds(cost.encoder_ms)}, encoder and renderer "
            f"{milliseconds(cost.mouth_ms)} (medians)."
        ]
        if cost
        else []
    )
    return ["## The film", _table(*head, rows=rows), _table("nobody speaks", "frames", "closed", rows=still), *taken]


def _seams(figures: Figures) -> list[str]:
    found = {"joins of a scripted session": figures.joins, "border of the mouth": figures.borders}
    tables = [
        _table(what, "", rows=[(name.replace("_", " "), json.dumps(value)) for name, value in one.summary().items()])
        for what, one in found.items()
        if one
    ]
    return ["## The seams", *tables] if tables else []


def _met(bar: Bar) -> str:
    return "yes" if bar.met else "**no**"


def _table(*head: str, rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
