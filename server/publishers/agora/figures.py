"""Figures of all channels for Prometheus, in base units and without any session's name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from server.publishers.agora.messages import NetworkQuality, Progress, TransportStats, VideoStats

RATES = (25e3, 50e3, 100e3, 200e3, 400e3, 800e3)
"""Bytes a second: 200 kbit/s to 6.4 Mbit/s."""


class ChannelFigures:
    """Counts what happens in channels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.channels = Gauge("avatar_channels", "Agora channels that are joined now", registry=registry)
        self.events = Counter(
            "avatar_channel_events", "What happened in channels, by code", ["code"], registry=registry
        )
        self.joins = Histogram(
            "avatar_channel_join_seconds",
            "From the start of a publisher process to its first frame in the channel",
            buckets=(0.25, 0.5, 1, 2, 3, 5, 10),
            registry=registry,
        )
        self.frames = Counter(
            "avatar_channel_frames",
            "Frames on their way to a channel, by what became of them",
            ["fate"],
            registry=registry,
        )
        self.key_frames = Counter("avatar_channel_key_frames", "Whole pictures that we encoded", registry=registry)
        self.intra_requests = Counter(
            "avatar_channel_intra_requests", "Whole pictures that were asked for", registry=registry
        )
        self.sent = Counter("avatar_channel_sent_bytes", "What was sent into channels", registry=registry)
        self.round_trip = Histogram(
            "avatar_channel_round_trip_seconds",
            "Round trip to Agora's edge, at each report",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8),
            registry=registry,
        )
        self.loss = Histogram(
            "avatar_channel_packet_loss_ratio",
            "Share of sent packets that were lost, at each report",
            buckets=(0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
            registry=registry,
        )
        self.target = Histogram(
            "avatar_channel_video_target_bytes_per_second",
            "What the network allows for pictures, at each report",
            buckets=RATES,
            registry=registry,
        )
        self.video = Histogram(
            "avatar_channel_video_bytes_per_second",
            "Pictures that were sent, at each report",
            buckets=RATES,
            registry=registry,
        )
        self.fps = Histogram(
            "avatar_channel_encoded_frames_per_second",
            "Pictures encoded, at each report",
            buckets=(5, 10, 15, 20, 24, 25, 30),
            registry=registry,
        )
        self.quality = Counter(
            "avatar_channel_network_quality_reports",
            "Reports of the uplink's quality, by its grade (1 excellent to 6 down)",
            ["grade"],
            registry=registry,
        )

    def add_transport(self, stats: TransportStats, sent_before: int) -> None:
        """``sent_before``: bytes of the previous report of the same connection."""
        self.sent.inc(max(0, stats.sent_bytes - sent_before))
        self.round_trip.observe(stats.round_trip_ms / 1000)
        self.loss.observe(stats.loss_percent / 100)

    def add_video(self, stats: VideoStats) -> None:
        self.target.observe(stats.target_bit_s / 8)
        self.video.observe(stats.media_bit_s / 8)
        self.fps.observe(stats.encoded_fps)

    def add_quality(self, quality: NetworkQuality) -> None:
        self.quality.labels(str(quality.uplink)).inc()

    def add_progress(self, progress: Progress) -> None:
        self.frames.labels("pushed").inc(progress.pushed)
        self.frames.labels("flushed").inc(progress.flushed)
        self.frames.labels("skipped").inc(progress.skipped)
        self.key_frames.inc(progress.key_frames)
