from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from server.bench.chart import chart, costs, draw_png
from server.bench.figures import Figures
from server.bench.search import counts, find_capacity

pytestmark = pytest.mark.anyio


def measured(n: int, seconds: float = 60, *, late: int = 0, cost: float = 0.1, first_ms: float = 60) -> Figures:
    figures = Figures(n, "480x480", "null", seconds, frames=1000, late_frames=late)
    figures.first_frame_ms, figures.lateness_ms = [first_ms], [2.0]
    figures.cpu_seconds_per_second, figures.cpu = n * cost, {"event loop": n * cost / 2, "encoders": n * cost / 2}
    return figures


@pytest.mark.parametrize("first", [1, 3, 20])
@pytest.mark.parametrize("most", [0, 1, 2, 7, 11, 16, 33])
def test_the_most_that_hold_are_found_with_few_tries(most: int, first: int) -> None:
    tried = list[int]()
    assert answer(counts(first), lambda n: n <= most, tried) == most
    assert len(tried) == len(set(tried)) <= 12


def answer(search: Generator[int, bool, int], holds: Callable[[int], bool], tried: list[int]) -> int:
    try:
        n = next(search)
        while True:
            tried.append(n)
            n = search.send(holds(n))
    except StopIteration as found:
        return int(found.value)


async def test_what_probes_found_is_confirmed_by_a_full_run_and_taken_back_where_it_breaks() -> None:
    runs = []

    async def measure(n: int, seconds: float) -> Figures:
        runs.append((n, seconds))
        return measured(n, seconds, late=2 if n > 4 else 0) if n <= 6 else measured(n, seconds, late=100)

    found = await find_capacity(measure, 60)
    assert [n for n, seconds in runs if seconds == 60] == [6, 5, 4]
    assert found.sessions == found.confirmed.sessions == 4
    assert [one.sessions for one in found.ladder()] == [1, 2, 4, 5, 6, 7, 8]
    assert all(one.seconds == 60 for one in found.ladder() if one.sessions in (4, 5, 6))


async def test_a_machine_that_bears_not_even_one_says_so() -> None:
    async def measure(n: int, seconds: float) -> Figures:
        return measured(n, seconds, first_ms=200)

    found = await find_capacity(measure, 60)
    assert found.sessions == 0
    assert "first frame comes after 200 ms" in found.confirmed.breaks()[0]


def test_bars() -> None:
    assert not measured(1, late=1).breaks()
    assert "0.20 % of the frames are late" in measured(1, late=2).breaks()[0]
    slow = measured(1)
    slow.interrupt_ms = [121.0]
    assert "interruption takes 121 ms" in slow.breaks()[0]
    assert not Figures().breaks()


def test_a_stage_that_grows_faster_than_the_sessions_is_marked() -> None:
    ladder = [measured(1), measured(2), measured(4, cost=0.2)]
    rows = costs(ladder)
    marked = [str(cell) for column in rows.columns for cell in column.cells if "▲" in str(cell)]
    assert marked == ["0.1000 ▲", "0.1000 ▲", "0.2000 ▲"]
    assert len(chart(ladder)) == 5


def test_the_plot_is_a_png(tmp_path: Path) -> None:
    draw_png([measured(n) for n in (1, 2, 4)], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
