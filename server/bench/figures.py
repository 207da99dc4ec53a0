"""What was measured of some sessions, and which bars it breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

LATE_SHARE, FIRST_FRAME_MS, INTERRUPT_MS = 0.001, 150.0, 120.0
"""Bars: share of frames that may be late; 99th percentiles of voice to first frame, and of interruption to silence."""


@dataclass(slots=True)
class Figures:
    """Over all sessions; times in milliseconds.

    Attributes:
        spoken_frames: those with sound.
        encoded_ms: from when pictures were published until they were encoded, where that is known.
        cpu: CPU-seconds per second, by stage.
        batches: how often so many mouths were drawn at once.
        rss_mb: memory at the end, and when everybody had begun to speak.
        viewers_cpu: CPU-seconds per second of those who watch, which are not part of a server.
    """

    sessions: int = 0
    size: str = ""
    publisher: str = ""
    seconds: float = 0.0
    frames: int = 0
    late_frames: int = 0
    repeated_frames: int = 0
    spoken_frames: int = 0
    lateness_ms: list[float] = field(default_factory=list)
    first_frame_ms: list[float] = field(default_factory=list)
    interrupt_ms: list[float] = field(default_factory=list)
    encoded_ms: list[float] = field(default_factory=list)
    cpu_seconds_per_second: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    batches: Counter[int] = field(default_factory=Counter)
    rss_mb: float = 0.0
    rss_mb_before: float = 0.0
    viewers_cpu: float | None = None

    @classmethod
    def together(cls, parts: Sequence[Figures]) -> Figures:
        """Those of sessions in several processes at one time."""
        first, watched = parts[0], [one.viewers_cpu for one in parts if one.viewers_cpu is not None]
        stages = dict.fromkeys(name for one in parts for name in one.cpu)
        return cls(
            sessions=sum(one.sessions for one in parts),
            size=first.size,
            publisher=first.publisher,
            seconds=max(one.seconds for one in parts),
            frames=sum(one.frames for one in parts),
            late_frames=sum(one.late_frames for one in parts),
            repeated_frames=sum(one.repeated_frames for one in parts),
            spoken_frames=sum(one.spoken_frames for one in parts),
            lateness_ms=[value for one in parts for value in one.lateness_ms],
            first_frame_ms=[value for one in parts for value in one.first_frame_ms],
            interrupt_ms=[value for one in parts for value in one.interrupt_ms],
            encoded_ms=[value for one in parts for value in one.encoded_ms],
            cpu_seconds_per_second=sum(one.cpu_seconds_per_second for one in parts),
            cpu={name: sum(one.cpu.get(name, 0.0) for one in parts) for name in stages},
            batches=sum((one.batches for one in parts), Counter()),
            rss_mb=sum(one.rss_mb for one in parts),
            rss_mb_before=sum(one.rss_mb_before for one in parts),
            viewers_cpu=sum(watched) if watched else None,
        )

    @property
    def late_share(self) -> float:
        return self.late_frames / self.frames if self.frames else 0.0

    @property
    def mean_batch(self) -> float | None:
        n = sum(self.batches.values())
        return sum(size * times for size, times in self.batches.items()) / n if n else None

    def per_session(self) -> dict[str, float]:
        """CPU-seconds per second by stage, and in all, for each session."""
        return {name: used / self.sessions for name, used in {**self.cpu, "all": self.cpu_seconds_per_second}.items()}

    def as_json(self) -> dict[str, object]:
        mean_batch = self.mean_batch
        return {
            "sessions": self.sessions,
            "size": self.size,
            "publisher": self.publisher,
            "seconds": round(self.seconds, 1),
            "frames": self.frames,
            "late_frames": self.late_frames,
            "repeated_frames": self.repeated_frames,
            "late_share": round(self.late_share, 5),
            "speaking_share": round(self.spoken_frames / self.frames, 3) if self.frames else None,
            "lateness_ms": percentiles(self.lateness_ms, (50, 95, 99)),
            "first_frame_ms": percentiles(self.first_frame_ms, (50, 95, 99)),
            "interrupt_ms": percentiles(self.interrupt_ms, (50, 95, 99)),
            "encoded_ms": percentiles(self.encoded_ms, (50, 95, 99)),
            "utterances": len(self.first_frame_ms),
            "interrupts": len(self.interrupt_ms),
            "cpu_seconds_per_second": round(self.cpu_seconds_per_second, 3),
            "cpu": {name: round(used, 3) for name, used in self.cpu.items()},
            "batches": {str(size): self.batches[size] for size in sorted(self.batches)},
            "mean_batch": None if mean_batch is None else round(mean_batch, 2),
            "rss_mb": round(self.rss_mb, 1),
            "rss_mb_before": round(self.rss_mb_before, 1),
            "viewers_cpu": None if self.viewers_cpu is None else round(self.viewers_cpu, 3),
            "breaks": self.breaks(),
        }

    def breaks(self, late_share: float = LATE_SHARE) -> list[str]:
        """A sentence for each bar that does not hold."""
        first_frame, interrupt = percentile(self.first_frame_ms, 99), percentile(self.interrupt_ms, 99)
        found = []
        if self.late_share > late_share:
            found.append(f"{100 * self.late_share:.2f} % of the frames are late, at most {100 * late_share:g} % may be")
        if first_frame is not None and first_frame > FIRST_FRAME_MS:
            found.append(f"the first frame comes after {first_frame:.0f} ms (p99), at most {FIRST_FRAME_MS:.0f}")
        if interrupt is not None and interrupt > INTERRUPT_MS:
            found.append(f"an interruption takes {interrupt:.0f} ms (p99), at most {INTERRUPT_MS:.0f}")
        return found


def percentile(values: Sequence[float], which: float) -> float | None:
    """None where nothing was measured."""
    return float(np.percentile(values, which)) if values else None


def percentiles(values: Sequence[float], which: Sequence[int]) -> Mapping[str, float | None]:
    """By name (p50 …)."""
    found = {f"p{p}": percentile(values, p) for p in which}
    return {name: None if value is None else round(value, 2) for name, value in found.items()}
