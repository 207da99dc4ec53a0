"""Publishers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from avatar.bundle import AvatarBundle
from avatar.timeline import Timeline
from server.errors import SettingsError
from server.publisher import Publisher
from server.publishers.recording import RecordingPublisher
from server.session import SAMPLE_RATE


def recording(session_id: str, bundle: AvatarBundle, folder: Path) -> RecordingPublisher:
    """Records to ``folder/<session_id>.mp4``."""
    folder.mkdir(parents=True, exist_ok=True)
    return RecordingPublisher(folder / f"{session_id}.mp4", bundle.size, Timeline(bundle.fps, SAMPLE_RATE))


def offline_publishers(name: str, folder: Path) -> Callable[[str, AvatarBundle], Sequence[Publisher]]:
    """What sessions without clients publish to: ``null`` is nothing, ``recording`` is a file in ``folder``.

    Raises:
        SettingsError: for any other name.
    """
    if name == "null":
        return lambda session_id, bundle: []
    if name == "recording":
        return lambda session_id, bundle: [recording(session_id, bundle, folder)]
    raise SettingsError(f"--publisher is '{name}', but must be null or recording")
