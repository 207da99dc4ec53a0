"""What was measured over the number of sessions: as tables with bars, or as a PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from avatar.errors import AvatarError
from server.bench.figures import Figures, percentile

WIDTH = 30
"""Characters of the longest bar."""

DEARER = 1.1
"""A stage is marked whose cost per session has grown by more than this since one session: it grows faster than they."""

FROM = 0.002
"""CPU-seconds per second: less than this is not judged."""


def lateness(one: Figures) -> float:
    return percentile(one.lateness_ms, 99) or 0.0


def late(one: Figures) -> float:
    return 100 * one.late_share


def first_frame(one: Figures) -> float:
    return percentile(one.first_frame_ms, 99) or 0.0


def cpu(one: Figures) -> float:
    return one.cpu_seconds_per_second


CURVES: Sequence[tuple[str, Callable[[Figures], float]]] = (
    ("late frames, %", late),
    ("lateness p99, ms", lateness),
    ("first frame p99, ms", first_frame),
    ("CPU-seconds per second", cpu),
)


def chart(ladder: Sequence[Figures]) -> list[Table]:
    """A table for each curve, and one of what a session costs, by stage."""
    tables = []
    for title, curve in CURVES:
        values = [curve(one) for one in ladder]
        rows, most = Table("sessions", title, "", box=None, padding=(0, 2, 0, 0)), max(values, default=0.0) or 1.0
        for one, value in zip(ladder, values, strict=True):
            rows.add_row(str(one.sessions), f"{value:.3g}", "█" * round(WIDTH * value / most))
        tables.append(rows)
    return [*tables, costs(ladder)]


def costs(ladder: Sequence[Figures]) -> Table:
    """CPU-seconds per second and session, by stage; what grows faster than the number of sessions is marked."""
    names = list(dict.fromkeys(name for one in ladder for name in one.per_session()))
    rows = Table("CPU per session", *(str(one.sessions) for one in ladder))
    for name in names:
        values = [one.per_session().get(name, 0.0) for one in ladder]
        rows.add_row(name, *(f"{value:.4f}{' ▲' if dearer(values[0], value) else ''}" for value in values))
    return rows


def dearer(first: float, value: float) -> bool:
    """Whether a stage costs more per session than with one session alone."""
    return value > max(FROM, DEARER * first)


def draw_png(ladder: Sequence[Figures], path: Path) -> None:
    """Raises AvatarError: matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise AvatarError("a plot needs matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(10, 7), layout="constrained")
    counts = [one.sessions for one in ladder]
    for place, (title, curve) in enumerate(CURVES, start=1):
        axes = figure.add_subplot(2, 2, place)
        axes.plot(counts, [curve(one) for one in ladder], marker="o")
        axes.set(title=title, xlabel="sessions")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png")
