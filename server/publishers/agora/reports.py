"""What a child reports, made into events for the client and figures for the operator."""

from __future__ import annotations

from collections.abc import Callable

from server.publishers.agora import messages
from server.publishers.agora.figures import ChannelFigures
from server.publishers.agora.messages import Report, Trouble

Event = dict[str, object]

STATES: dict[type[Report], tuple[str, str]] = {
    messages.Connected: ("joined", "CHANNEL_JOINED"),
    messages.Reconnecting: ("reconnecting", "CHANNEL_RECONNECTING"),
    messages.Reconnected: ("joined", "CHANNEL_RECONNECTED"),
    messages.ConnectionLost: ("lost", "CHANNEL_LOST"),
}
"""The state that the client is told, and the code that is counted."""

GRADES = {0: "unknown", 1: "excellent", 2: "good", 3: "poor", 4: "bad", 5: "very_bad", 6: "down"}


class Reports:
    """Takes one channel's reports, from one child after another."""

    def __init__(self, figures: ChannelFigures, emit: Callable[[Event], None]) -> None:
        self._figures = figures
        self._emit = emit
        self._is_joined = False
        self._call: Event = {}
        self._sent_bytes = 0

    def take(self, report: Report) -> None:
        if type(report) in STATES:
            state, code = STATES[type(report)]
            self._set_joined(state == "joined")
            self.count(code)
            self._emit({"event": "channel_state", "state": state})
        match report:
            case messages.TransportStats():
                self._figures.add_transport(report, self._sent_bytes)
                self._sent_bytes = report.sent_bytes
                self._call |= {
                    "duration_s": report.duration_s,
                    "round_trip_ms": report.round_trip_ms,
                    "last_mile_ms": report.last_mile_ms,
                    "sent_kbit_s": report.sent_kbit_s,
                    "sent_video_kbit_s": report.sent_video_kbit_s,
                    "sent_audio_kbit_s": report.sent_audio_kbit_s,
                    "packet_loss_percent": report.loss_percent,
                    "users": report.users,
                }
                self._emit({"event": "call_metrics", **self._call})
            case messages.VideoStats():
                self._figures.add_video(report)
                self._call |= {
                    "encoded_fps": report.encoded_fps,
                    "target_kbit_s": report.target_bit_s // 1000,
                    "media_kbit_s": report.media_bit_s // 1000,
                    "width": report.width,
                    "height": report.height,
                }
            case messages.NetworkQuality():
                self._figures.add_quality(report)
                self._call |= {
                    "uplink_quality": GRADES.get(report.uplink, "unknown"),
                    "downlink_quality": GRADES.get(report.downlink, "unknown"),
                }
            case messages.Progress():
                self._figures.add_progress(report)
            case messages.IntraRequested():
                self._figures.intra_requests.inc()
            case messages.TokenWillExpire():
                message = "the channel's token will expire soon; send init with a new one"
                self.warn("TOKEN_WILL_EXPIRE", message)
                self.count("TOKEN_WILL_EXPIRE")
            case Trouble(code, message):
                self.warn(code, message)
                self.count(code)

    def lost(self) -> None:
        """The child is gone."""
        if self._is_joined:
            self._emit({"event": "channel_state", "state": "lost"})
        self.left()

    def left(self) -> None:
        """The child leaves, as it should."""
        self._set_joined(False)
        self._sent_bytes = 0
        self._call = {}

    def count(self, code: str) -> None:
        self._figures.events.labels(code).inc()

    def warn(self, code: str, message: str) -> None:
        self._emit({"event": "warning", "code": code, "message": message})

    def failed(self, code: str, message: str) -> None:
        self._emit({"event": "error", "code": code, "message": message, "event_id": ""})

    def _set_joined(self, is_joined: bool) -> None:
        self._figures.channels.inc(is_joined - self._is_joined)
        self._is_joined = is_joined
