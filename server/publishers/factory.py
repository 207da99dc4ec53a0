"""Publishers by name."""

from __future__ import annotations

from pathlib import Path

from avatar.geometry import Size
from avatar.timeline import Timeline
from server.publishers.recorder import Recorder
from server.publishers.recording import RecordingPublisher


def recording(session_id: str, size: Size, timeline: Timeline, folder: Path, recorder: Recorder) -> RecordingPublisher:
    """Records to ``folder/<session_id>.mp4``."""
    folder.mkdir(parents=True, exist_ok=True)
    return RecordingPublisher(folder / f"{session_id}.mp4", size, timeline, recorder)
