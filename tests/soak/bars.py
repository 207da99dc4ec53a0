"""Bars a, b, c and e: how many sessions this machine bears at two sizes, and what each of them costs then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from models.loading import EMBEDDED
from server.bench.chart import DEARER, FROM
from server.bench.figures import FIRST_FRAME_MS, INTERRUPT_MS, LATE_SHARE, Figures, percentile
from server.bench.search import Found
from server.bench.subject import Measuring, measuring, subject_of
from server.cli import SAMPLE
from tests.soak.figures import Figure, Progress, no_progress

BARS = {"medium": 10, "high": 6}
"""Sessions that are to be borne, by quality: 480 and 720 pixels."""


ALONE_S = 20.0
"""For how long one session is measured after all others: what networks keep of footage is there by then."""


def bars(
    avatar_id: str = "ava", seconds: float = 60, out: Path = Path("capacity.json"), progress: Progress = no_progress
) -> list[Figure]:
    """Searches at each quality, encodes as for WebRTC, and leaves everything that was measured in ``out``."""
    figures, everything = [], {}
    for number, (quality, least) in enumerate(BARS.items()):
        subject = subject_of([EMBEDDED], avatar_id, quality, [SAMPLE])
        with measuring(subject, "null") as measure:
            found, alone = asyncio.run(_measured(measure, seconds))
        everything[quality] = {**found.as_json(), "alone": alone.as_json()}
        figures += figures_of(found, alone, least)
        out.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")
        progress((number + 1) / len(BARS))
    return figures


async def _measured(measure: Measuring, seconds: float) -> tuple[Found, Figures]:
    found = await measure.found(seconds, 1, lambda done, total: None, Console(stderr=True).print)
    return found, await measure.run(1, min(ALONE_S, seconds), lambda done, total: None)


def figures_of(found: Found, alone: Figures, least: int) -> list[Figure]:
    one = found.confirmed
    return [
        Figure(f"sessions at {one.size} for {one.seconds:.0f} s", found.sessions, least=least),
        Figure("· late frames", 100 * one.late_share, "%", most=100 * LATE_SHARE),
        Figure("· lateness, p99", percentile(one.lateness_ms, 99) or 0, "ms"),
        Figure("· voice to first frame, p99", percentile(one.first_frame_ms, 99) or 0, "ms", most=FIRST_FRAME_MS),
        Figure("· interruption to silence, p99", percentile(one.interrupt_ms, 99) or 0, "ms", most=INTERRUPT_MS),
        Figure("· CPU-seconds per second", one.cpu_seconds_per_second),
        Figure("· mouths drawn at once, mean", one.mean_batch or 0),
        *_growth(alone.per_session(), one.per_session()),
    ]


def _growth(alone: Mapping[str, float], many: Mapping[str, float]) -> list[Figure]:
    """What each stage costs per session, against what it costs with one."""
    return [
        Figure(f"· {stage}, CPU per session against one session", many.get(stage, 0) / cost, "x", most=DEARER)
        for stage, cost in alone.items()
        if cost > FROM
    ]
