from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from avatar.errors import AvatarError
from models.loading import EMBEDDED
from server.bench.audience import audience_of
from server.bench.run import Subject, run
from server.bench.subject import measuring, subject_of
from server.bench.workers import InWorkers, Share
from server.cli import SAMPLE
from server.errors import SettingsError

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def subject(tiny_avatar: Path) -> Subject:
    return subject_of([tiny_avatar], "tiny", "low", [SAMPLE])


@pytest.mark.parametrize(
    ("publisher", "encodes"), [("none", False), ("null", True), ("recording", True), ("webrtc", True)]
)
async def test_sessions_are_measured_whatever_they_publish_to(
    subject: Subject, publisher: str, encodes: bool, tmp_path: Path
) -> None:
    figures = await run(subject, 2, 2, audience_of(publisher, tmp_path))
    assert 25 < figures.frames <= 2 * 2 * 25 + 60  # those that were late before are shown all at once
    assert 0 < figures.spoken_frames < figures.frames
    assert {"event loop", "composition", "speech encoder", "mouth"} <= set(figures.cpu)
    assert ("encoders" in figures.cpu) is encodes
    assert 0 < sum(figures.cpu.values()) <= 1.1 * figures.cpu_seconds_per_second + 0.1
    assert sum(size * n for size, n in figures.batches.items()) > 0
    assert (figures.viewers_cpu is not None) is (publisher == "webrtc")
    assert (len(figures.encoded_ms) > 25) is (publisher == "null")
    assert all(0 < ms < 10_000 for ms in figures.encoded_ms)
    assert len(os.listdir(tmp_path)) == (2 if publisher == "recording" else 0)
    assert figures.as_json()["size"] == "360x360"


async def test_one_run_is_measured_as_the_command_line_asks(subject: Subject) -> None:
    told = list[tuple[float, float]]()
    with measuring(subject, "recording") as measure:
        found = await measure.ran(1, 1, lambda done, total: told.append((done, total)))
        assert not os.listdir(measure.folder)
    assert (found.sessions, found.confirmed.publisher) == (1, "recording")
    assert told[-1][0] >= told[-1][1] > 0


async def test_sessions_in_several_processes_are_measured_together(tiny_avatar: Path) -> None:
    share = Share([str(tiny_avatar)], "tiny", "low", [str(SAMPLE)], "auto", 0, 0, "null")
    told = list[tuple[float, float]]()
    found = await InWorkers(share, 2).ran(3, 2, lambda done, total: told.append((done, total)))
    figures = found.confirmed
    assert (figures.sessions, figures.size, figures.publisher) == (3, "360x360", "null")
    assert 2 * 2 * 25 < figures.frames <= 3 * 2 * 25 + 90
    assert {"event loop", "composition", "encoders", "speech encoder", "mouth"} <= set(figures.cpu)
    assert len(figures.encoded_ms) > 2 * 25
    assert sum(size * n for size, n in figures.batches.items()) > 0
    assert told[-1][0] >= told[-1][1] > 0
    with pytest.raises(AvatarError, match="nobody"):
        await InWorkers(replace(share, avatar_id="nobody"), 2).ran(2, 2, lambda done, total: None)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(SettingsError, match="--quality is 'huge'"):
        subject_of([EMBEDDED], "ava", "huge", [SAMPLE])
    with pytest.raises(SettingsError, match="--publisher is 'film'"):
        audience_of("film", Path())
