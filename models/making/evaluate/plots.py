"""What the figures look like over time: lips seen and lips asked for, their lag, and each viseme's gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avatar.articulation import VISEMES, aperture
from avatar.features import HOP_MS
from models.making.evaluate.programme import Piece
from models.making.evaluate.seen import Judge
from models.making.speech.evaluation import correlation, runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEEN, ASKED, CLOSURE = "#b5442e", "#2a5d8f", "#cfd8e3"
LAGS_MS = np.arange(-200, 201, HOP_MS)
STRIP_S = 7.0

Floats = NDArray[np.floating[Any]]


def plot_strips(judge: Judge, pieces: Sequence[Piece], to: Path) -> None:
    """The lips' gap over what the phones ask for, the first seconds of some recordings."""
    figure, rows = _figure(len(pieces), height=1.9)
    for axes, piece in zip(rows, pieces, strict=True):
        seen, true = judge.pair(piece)
        times = np.arange(len(seen)) * HOP_MS / 1000
        for start, end in runs(true.visemes == VISEMES.index("PP")):
            axes.axvspan(start * HOP_MS / 1000, end * HOP_MS / 1000, color=CLOSURE, lw=0)
        axes.plot(times, aperture(true.articulation), color=ASKED, lw=1, label="aperture that the phones ask for")
        axes.plot(times, seen / judge.wide, color=SEEN, lw=1, label="gap seen in the film, 1: wide open")
        axes.axhline(judge.closed_below / judge.wide, color=SEEN, lw=0.5, ls=":", label="closed below")
        axes.set(xlim=(0, min(STRIP_S, times[-1])), ylim=(-0.05, 1.4), title=piece.name)
    rows[0].plot([], [], color=CLOSURE, lw=6, label="P B M")
    rows[0].legend(loc="upper right", ncols=4, frameon=False)
    rows[-1].set_xlabel("seconds")
    _save(figure, to)


def plot_lag(judge: Judge, sets: Mapping[str, Sequence[Piece]], to: Path) -> None:
    """How well the lips fit the phones if they are taken earlier or later."""
    figure, (axes,) = _figure(1, width=6, height=3.2)
    for number, (name, pieces) in enumerate(sets.items()):
        opening = [(seen, aperture(true.articulation)) for seen, true in map(judge.pair, pieces)]
        axes.plot(
            LAGS_MS, [correlation(opening, int(lag) // HOP_MS) for lag in LAGS_MS], color=f"C{number}", label=name
        )
    axes.axvspan(-20, 20, color=CLOSURE, lw=0, alpha=0.5, label="± 20 ms")
    axes.set(xlabel="lips later than phones, ms", ylabel="r", xlim=(LAGS_MS[0], LAGS_MS[-1]))
    axes.legend(frameon=False)
    _save(figure, to)


def plot_visemes(judge: Judge, pieces: Sequence[Piece], to: Path) -> None:
    """For each viseme, the gap that is seen and the aperture that is asked for: median, and the middle 80 %."""
    figure, (axes,) = _figure(1, width=9, height=3.2)
    by_viseme = judge.by_viseme(pieces)
    for shift, colour, which, label in ((-0.15, ASKED, 1, "asked for"), (0.15, SEEN, 0, "seen, 1: wide open")):
        spread = np.array([np.percentile(values[which], (10, 50, 90)) for values in by_viseme.values()])
        _bars(axes, np.arange(len(spread)) + shift, spread, colour, label)
    axes.set_xticks(range(len(by_viseme)), list(by_viseme))
    axes.set_ylabel("opening of the lips")
    axes.legend(frameon=False)
    _save(figure, to)


def _bars(axes: Axes, x: Floats, spread: Floats, colour: str, label: str) -> None:
    low, middle, high = spread.T
    axes.errorbar(x, middle, yerr=(middle - low, high - middle), fmt="o", color=colour, ms=4, lw=1.5, label=label)


def _figure(n_rows: int, width: float = 12, height: float = 3) -> tuple[Figure, list[Axes]]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 8, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False})
    figure, rows = pyplot.subplots(n_rows, figsize=(width, height * n_rows), squeeze=False)
    return figure, list(rows[:, 0])


def _save(figure: Figure, to: Path) -> None:
    from matplotlib import pyplot

    to.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(to, dpi=90)
    pyplot.close(figure)
