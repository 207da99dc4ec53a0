"""Publishers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from avatar.bundle import AvatarBundle
from avatar.geometry import Size
from avatar.timeline import Timeline
from server.errors import SettingsError
from server.publisher import Publisher
from server.publishers.recording import RecordingPublisher
from server.session import SAMPLE_RATE


def recording(session_id: str, size: Size, timeline: Timeline, folder: Path) -> RecordingPublisher:
    """Records to ``folder/<session_id>.mp4``."""
    folder.mkdir(parents=True, exist_ok=True)
    return RecordingPublisher(folder / f"{session_id}.mp4", size, timeline)


def offline_publishers(name: str, folder: Path) -> Callable[[str, AvatarBundle], Sequence[Publisher]]:
    """What sessions without clients publish to: ``null`` is nothing, ``recording`` is a file in ``folder``.

    Raises:
        SettingsError: for any other name.
    """
    if name == "null":
        return lambda session_id, bundle: []
    if name == "recording":
        return lambda session_id, bundle: [
            recording(session_id, bundle.size, Timeline(bundle.fps, SAMPLE_RATE), folder)
        ]
    raise SettingsError(f"--publisher is '{name}', but must be null or recording")
