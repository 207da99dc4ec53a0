"""The MP4 writer, judged by what a player makes of its files."""

from __future__ import annotations

import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.errors import AvatarError
from avatar.geometry import Size
from avatar.pictures import from_rgb, to_rgb
from avatar.timeline import Timeline
from server.encoding import Mp4Writer
from tests.server.show import Show, delay, watch

FILM = Timeline(Fraction(30000, 1001), 44100)


def record(path: Path, show: Show, n_frames: int, first: int = 0) -> None:
    with Mp4Writer(path, show.size, show.timeline) as writer:
        for frame in show.frames(n_frames, first):
            writer.write(frame.picture, frame.tick, frame.sound)


@pytest.mark.parametrize("timeline", [Timeline(Fraction(25), 24000), Timeline(Fraction(30), 16000), FILM], ids=str)
def test_every_picture_is_shown_at_the_first_sample_that_it_owns(tmp_path: Path, timeline: Timeline) -> None:
    show = Show(timeline=timeline)
    record(tmp_path / "a.mp4", show, 100)
    seen = watch(tmp_path / "a.mp4")
    assert seen.numbers == list(range(100))
    assert seen.times == [Fraction(timeline.samples_before(i), timeline.sample_rate) for i in range(100)]


@pytest.mark.parametrize("timeline", [Timeline(Fraction(25), 24000), Timeline(Fraction(30), 16000), FILM], ids=str)
def test_the_sound_begins_with_the_first_picture_and_ends_with_the_last(tmp_path: Path, timeline: Timeline) -> None:
    show = Show(timeline=timeline)
    record(tmp_path / "a.mp4", show, 100)
    seen = watch(tmp_path / "a.mp4")
    offset, correlation = delay(seen.sound, show.sound_of(100), within=200)
    assert offset == 0
    assert correlation > 0.98
    longer = len(seen.sound) - timeline.samples_before(100)
    assert 0 <= longer < timeline.tick(0).n_samples + 1024
    assert seen.duration_s == pytest.approx(timeline.samples_before(100) / timeline.sample_rate, abs=0.001)


def test_a_picture_comes_back_as_it_was_but_for_the_codec(tmp_path: Path) -> None:
    size, show = Size(128, 96), Show()
    rows, columns = np.mgrid[0 : size.height, 0 : size.width]
    rgb = np.stack([40 + columns, 220 - rows, 90 + columns // 2], axis=2).astype(np.uint8)
    picture = from_rgb(rgb)
    with Mp4Writer(tmp_path / "a.mp4", size, show.timeline) as writer:
        for frame in show.frames(30):
            writer.write(picture, frame.tick, frame.sound)
    seen = watch(tmp_path / "a.mp4").pictures[20].astype(int)
    assert np.abs(seen - to_rgb(picture)).mean() < 2
    assert np.abs(seen - rgb).mean(axis=(0, 1)).max() < 3


def test_a_player_is_told_which_colours_are_meant(tmp_path: Path) -> None:
    record(tmp_path / "a.mp4", Show(), 10)
    with av.open(str(tmp_path / "a.mp4")) as file:
        codec = file.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (6, 6, 6, 1)
        assert file.streams.audio[0].codec_context.name == "aac"


def test_a_recording_that_joins_late_begins_at_zero(tmp_path: Path) -> None:
    show = Show()
    record(tmp_path / "a.mp4", show, 50, first=1000)
    seen = watch(tmp_path / "a.mp4")
    assert seen.numbers == list(range(1000, 1050))
    assert seen.times[0] == 0
    assert delay(seen.sound, show.sound_of(50, first=1000), within=200)[0] == 0


def test_a_shorter_file_than_one_sound_frame_can_be_played(tmp_path: Path) -> None:
    record(tmp_path / "a.mp4", Show(), 1)
    assert watch(tmp_path / "a.mp4").numbers == [0]


def test_the_folder_is_made_when_it_is_missing(tmp_path: Path) -> None:
    record(tmp_path / "new" / "folder" / "a.mp4", Show(), 2)
    assert len(watch(tmp_path / "new" / "folder" / "a.mp4").numbers) == 2


def test_an_error_while_writing_still_completes_the_file(tmp_path: Path) -> None:
    def broken_off() -> None:
        show = Show()
        with Mp4Writer(tmp_path / "a.mp4", show.size, show.timeline) as writer:
            for frame in show.frames(30):
                writer.write(frame.picture, frame.tick, frame.sound)
            raise KeyError("something else")

    with pytest.raises(KeyError):
        broken_off()
    assert watch(tmp_path / "a.mp4").numbers == list(range(30))


def test_frames_that_do_not_fit_are_refused_with_both_numbers(tmp_path: Path) -> None:
    show, other = Show(), Show(size=Size(64, 64))
    with Mp4Writer(tmp_path / "a.mp4", show.size, show.timeline) as writer:
        first, second, third = show.frames(3)
        writer.write(first.picture, first.tick, first.sound)
        with pytest.raises(AvatarError, match="a picture is 64x64 but its recording is 128x96"):
            writer.write(other.frame(1).picture, second.tick, second.sound)
        with pytest.raises(AvatarError, match="frame 1 has 100 samples but owns 960"):
            writer.write(second.picture, second.tick, second.sound[:100])
        with pytest.raises(AvatarError, match="frame 2 begins at sample 1920, not at 960"):
            writer.write(third.picture, third.tick, third.sound)


def test_what_a_killed_process_leaves_can_be_played(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from server.encoding import Mp4Writer
from tests.server.show import Show
show = Show()
with Mp4Writer(Path({str(tmp_path / "a.mp4")!r}), show.size, show.timeline) as writer:
    for frame in show.frames(400):
        writer.write(frame.picture, frame.tick, frame.sound)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    seen = watch(tmp_path / "a.mp4")
    assert len(seen.numbers) >= 250
    assert seen.numbers == list(range(len(seen.numbers)))
    offset, correlation = delay(seen.sound[:200000], Show().sound_of(250), within=200)
    assert offset == 0
    assert correlation > 0.98
