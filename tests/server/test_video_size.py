from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avatar.geometry import Size
from server.start_request import start_request
from server.video_size import video_size
from tests.server.player import Player
from tests.server.running import START, calling, running_whole

SQUARE, TALL = Size(512, 512), Size(720, 1280)


def size_for(footage: Size, **changes: Any) -> tuple[int, int]:
    size = video_size(start_request({**START, **changes}), footage)
    return size.width, size.height


@pytest.mark.parametrize(
    ("footage", "changes", "expected"),
    [
        (SQUARE, {"quality": "low"}, (360, 360)),
        (SQUARE, {"quality": "medium"}, (480, 480)),
        (SQUARE, {"quality": "high"}, (720, 720)),
        (TALL, {"quality": "low"}, (360, 640)),
        (TALL, {"quality": "high"}, (720, 1280)),
        (SQUARE, {"quality": "low", "aspect_ratio": "16:9"}, (640, 360)),
        (SQUARE, {"quality": "medium", "aspect_ratio": "9:16"}, (480, 854)),
        (SQUARE, {"quality": "high", "aspect_ratio": "2x3"}, (720, 1080)),
        (SQUARE, {"quality": "high", "aspect_ratio": "2/3"}, (720, 1080)),
        (SQUARE, {"quality": "high", "aspect_ratio": "4:1"}, (1920, 480)),
        (SQUARE, {"quality": "high", "aspect_ratio": "1:4"}, (480, 1920)),
        (SQUARE, {"video_width": 640, "video_height": 480}, (640, 480)),
        (SQUARE, {"video_width": 640, "video_height": 480, "aspect_ratio": "9:16"}, (640, 480)),
        (SQUARE, {"video_width": 853, "video_height": 481}, (852, 480)),
        (SQUARE, {"video_width": 1280.0, "video_height": 720}, (1280, 720)),
    ],
)
def test_the_published_size_follows_from_the_start_request(
    footage: Size, changes: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert size_for(footage, **changes) == expected


@pytest.mark.anyio
async def test_recordings_and_viewers_show_the_size_that_was_asked_for(tiny_avatar: Path, tmp_path: Path) -> None:
    publishers = ("webrtc", "recording")
    async with running_whole(tiny_avatar.parent, publishers=publishers, record_dir=str(tmp_path)) as server:
        answer = await server.start(avatar_id="tiny", quality="low", aspect_ratio="9:16")
        async with calling(answer) as caller:
            headers = {"Authorization": f"Bearer {answer['session_token']}"}
            async with Player(f"{server.url}/whep/{answer['session_id']}", headers) as player:
                await caller.voice(np.random.default_rng(0).integers(-9000, 9000, 24_000).astype("<i2").tobytes())
                await caller.event("speak_ended")
                await player.until(20)
                assert player.sizes == {Size(360, 640)}
        await server.stop(answer)
    with av.open(str(tmp_path / f"{answer['session_id']}.mp4")) as film:
        pictures = [frame.to_ndarray(format="yuv420p") for frame in film.decode(video=0)]
    assert {picture.shape for picture in pictures} == {(960, 360)}
    moved = [np.abs(one.astype(int) - other).mean() for one, other in itertools.pairwise(pictures)]
    assert np.mean(np.array(moved) > 0) > 0.8
