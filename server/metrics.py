"""Figures for Prometheus: a few, counted, without any session's name in them."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """Counters of one avatar's frames."""

    all: Counter
    late: Counter
    repeated: Counter


class Metrics:
    """One server's figures, in a registry of their own, so that several servers may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions = Gauge("avatar_sessions", "Sessions that live now", registry=self.registry)
        self.sessions_ended = Counter(
            "avatar_sessions_ended", "Sessions that ended, by reason", ["reason"], registry=self.registry
        )
        self.refusals = Counter(
            "avatar_refusals", "Requests and messages that were refused, by code", ["code"], registry=self.registry
        )
        self.speech_seconds = Counter("avatar_speech_seconds", "Speech that was heard", registry=self.registry)
        self.frames = Counter("avatar_frames", "Frames that were published", ["avatar"], registry=self.registry)
        self.late_frames = Counter(
            "avatar_late_frames", "Frames that were published after their time", ["avatar"], registry=self.registry
        )
        self.repeated_frames = Counter(
            "avatar_repeated_frames",
            "Frames whose picture was not ready, so that the last was shown again",
            ["avatar"],
            registry=self.registry,
        )
        self.first_frame_seconds = Histogram(
            "avatar_first_frame_seconds",
            "From the first voice of an utterance to its first published frame",
            buckets=(0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1, 2),
            registry=self.registry,
        )

        self.start_seconds = Histogram(
            "avatar_start_seconds",
            "From a session's start to its first published frame",
            buckets=(0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5),
            registry=self.registry,
        )
        self.used = Gauge("avatar_used", "Share in use of what can run out", ["of"], registry=self.registry)
        self.sessions_that_fit = Gauge(
            "avatar_sessions_that_fit", "Sessions that fit by what they cost", registry=self.registry
        )
        self.level = Gauge(
            "avatar_level", "What is drawn: 0 everything, 1 every second mouth, 2 bodies alone", registry=self.registry
        )
        self.level_changes = Counter(
            "avatar_level_changes", "Changes of what is drawn, by what it came to", ["to"], registry=self.registry
        )

    def frames_of(self, avatar_id: str) -> FrameCounts:
        """What to count the frames of one avatar's sessions by."""
        return FrameCounts(
            self.frames.labels(avatar_id), self.late_frames.labels(avatar_id), self.repeated_frames.labels(avatar_id)
        )

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
