"""The bars that lips are held to: what is asked, what was measured, and whether that is enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.making.evaluate.cost import Cost
from models.making.evaluate.seen import SeenRest, SeenSpeech
from models.making.seams import borders_seen, joins_seen
from models.making.seams.borders_seen import BorderFigures
from models.making.seams.joins_seen import JoinFigures
from models.making.speech.evaluation import Score

Show = Callable[[float], str]


@dataclass(frozen=True)
class Bar:
    """One requirement, and the figure that was measured."""

    what: str
    asked: str
    measured: str
    met: bool


def share(value: float) -> str:
    return f"{value:.3f}"


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def milliseconds(value: float) -> str:
    return f"{value:.1f} ms"


def at_least(what: str, bound: float, value: float, show: Show = share) -> Bar:
    return Bar(what, f"≥ {show(bound)}", show(value), value >= bound)


def at_most(what: str, bound: float, value: float, show: Show = share) -> Bar:
    return Bar(what, f"≤ {show(bound)}", show(value), value <= bound)


def within(what: str, bound: float, value: float, show: Show = milliseconds) -> Bar:
    return Bar(what, f"± {show(bound)}", show(value), abs(value) <= bound)


def join_bars(joins: JoinFigures) -> list[Bar]:
    """Footage where one clip gives way to another."""
    what = "a · joins: largest step over the 99th percentile inside the clips"
    return [at_most(what, joins_seen.BAR, joins.ratio)]


def border_bars(borders: BorderFigures) -> list[Bar]:
    """The drawn mouth's edge."""
    what = "b · gradient along the mask's border over the footage's own (median)"
    return [at_most(what, borders_seen.BAR, borders.ratio)]


def encoder_bars(known: Score) -> list[Bar]:
    """The speech encoder alone, on every recording whose words are known."""
    return [
        at_least("d · known words, encoder: frames right", 0.66, known.frame_accuracy),
        at_least("d · … macro-F1", 0.61, known.macro_f1),
        at_least("d · … closures found", 0.88, known.closure_recall),
        at_least("d · … closures right", 0.62, known.closure_precision),
        at_most("d · … open vowels shut", 0.015, known.open_vowels_shut, percent),
        at_least("d · … aperture r", 0.82, known.aperture_r),
        within("d · … lag", 10, known.lag_ms),
    ]


def unseen_bars(unseen: Score) -> list[Bar]:
    """The speech encoder alone, on synthetic voices that it was never trained on."""
    return [
        at_least("d2 · unseen synthetic voices, encoder: frames right", 0.80, unseen.frame_accuracy),
        at_least("d2 · … macro-F1", 0.77, unseen.macro_f1),
        at_least("d2 · … aperture r", 0.89, unseen.aperture_r),
    ]


def film_bars(known: SeenSpeech) -> list[Bar]:
    """Lips in the film against the phones of every recording whose words are known."""
    return [
        at_least("d3 · known words, film: aperture r", 0.65, known.aperture_r),
        at_least("d3 · … closures found", 0.85, known.closure_recall),
        at_most("d3 · … open vowels shut", 0.05, known.open_vowels_shut, percent),
        at_most("e · … r with other words", 0.15, abs(known.swapped_r)),
        within("f · … lips later than sound", 20, known.lag_ms),
    ]


def rest_bars(sounds: Mapping[str, SeenRest]) -> list[Bar]:
    """Lips in the film while something sounds that nobody says."""
    return [at_least(f"g · {name}, film: closed", 0.98, rest.closed, percent) for name, rest in sounds.items()]


def cost_bars(cost: Cost) -> list[Bar]:
    """Time on one thread."""
    return [
        at_most("i · encoder, for 40 ms on one thread", 2, cost.encoder_ms, milliseconds),
        at_most("i · encoder and renderer", 8, cost.mouth_ms, milliseconds),
    ]
