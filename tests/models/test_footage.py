"""Clips go to disk and come back as the pictures they were."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.pictures import from_rgb, to_rgb
from models.footage import decode_clip, encode_clip

SIZE = Size(132, 98)
"""Lines of 132 and 66 pixels, which FFmpeg pads."""
FPS = Fraction(30000, 1001)


def pictures(n: int, size: Size = SIZE) -> list[NDArray[np.uint8]]:
    """Smooth RGB pictures that differ from frame to frame and from edge to edge."""
    y, x = np.mgrid[0 : size.height, 0 : size.width]
    return [
        np.stack([x * 255 // size.width, y * 255 // size.height, np.full_like(x, 20 + 200 * i // n)], 2).astype(
            np.uint8
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("n", [1, 2, 13, 60])
def test_every_frame_that_was_written_is_read(tmp_path: Path, n: int) -> None:
    written = pictures(n)
    assert encode_clip(tmp_path / "a.mp4", iter(written), SIZE, FPS) == n
    read = decode_clip(tmp_path / "a.mp4", SIZE, FPS, n)
    assert read.shape == (n, 147, 132)
    for before, after in zip(written, read, strict=True):
        assert np.abs(to_rgb(after).astype(int) - before).mean() < 3


def test_lossless_clips_come_back_bit_for_bit(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(16, 236, (5, 147, 132)).astype(np.uint8)
    encode_clip(tmp_path / "a.mp4", noise, SIZE, FPS, crf=0)
    with av.open(tmp_path / "a.mp4") as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert np.array_equal(decode_clip(tmp_path / "a.mp4", SIZE, FPS, 5), noise)


def test_i420_and_rgb_pictures_make_the_same_clip(tmp_path: Path) -> None:
    written = pictures(3)
    encode_clip(tmp_path / "rgb.mp4", written, SIZE, FPS)
    encode_clip(tmp_path / "i420.mp4", [from_rgb(picture) for picture in written], SIZE, FPS)
    assert np.array_equal(
        decode_clip(tmp_path / "rgb.mp4", SIZE, FPS, 3), decode_clip(tmp_path / "i420.mp4", SIZE, FPS, 3)
    )


def test_clips_say_which_colours_they_use(tmp_path: Path) -> None:
    encode_clip(tmp_path / "a.mp4", pictures(2), SIZE, FPS)
    with av.open(tmp_path / "a.mp4") as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (6, 6, 6, 1)
        assert not container.streams.audio


def write(path: Path, codec: str = "libx264", pix_fmt: str = "yuv420p", **colours: int) -> Path:
    """A clip as other tools might write it."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pix_fmt
        for name, value in colours.items():
            setattr(stream.codec_context, name, value)
        for index in range(3):
            frame = av.VideoFrame(64, 64, pix_fmt)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("size", "fps", "n", "sentence"),
    [
        (Size(64, 62), 25, 3, r"a\.mp4 is 64x64, the avatar is 64x62"),
        (Size(64, 64), 30, 3, r"a\.mp4 has 25 frames per second, the avatar 30"),
        (Size(64, 64), 25, 4, r"a\.mp4 has 3 frames but avatar\.toml says 4"),
        (Size(64, 64), 25, 2, r"a\.mp4 has 3 frames but avatar\.toml says 2"),
        (Size(63, 64), 25, 3, r"a\.mp4 is 63x64: I420 pictures need a width and a height that are even"),
    ],
)
def test_a_clip_that_is_not_as_announced_is_refused(
    tmp_path: Path, size: Size, fps: int, n: int, sentence: str
) -> None:
    with pytest.raises(BundleError, match=sentence):
        decode_clip(write(tmp_path / "a.mp4"), size, Fraction(fps), n)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "colours", "sentence"),
    [
        ("mpeg4", "yuv420p", {}, "is mpeg4 yuv420p, an avatar's clips are h264 yuv420p"),
        ("libx264", "yuv444p", {}, "is h264 yuv444p, an avatar's clips are h264 yuv420p"),
        (
            "libx264",
            "yuv420p",
            {"colorspace": 1},
            r"has colour matrix 1 \(H\.273\), an avatar's clips are BT\.601 \(6\)",
        ),
        ("libx264", "yuv420p", {"color_range": 2}, "is h264 yuvj420p, an avatar's clips are h264 yuv420p"),
    ],
)
def test_other_codecs_and_colours_are_refused(
    tmp_path: Path, codec: str, pix_fmt: str, colours: dict[str, int], sentence: str
) -> None:
    path = write(tmp_path / "a.mp4", codec, pix_fmt, **colours)
    with pytest.raises(BundleError, match=sentence):
        decode_clip(path, Size(64, 64), Fraction(25), 3)


def test_clips_without_colour_tags_are_taken_as_bt601(tmp_path: Path) -> None:
    assert decode_clip(write(tmp_path / "a.mp4"), Size(64, 64), Fraction(25), 3).shape == (3, 96, 64)


def test_a_file_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a clip at all" * 50)
    with pytest.raises(BundleError, match=r"a\.mp4 cannot be decoded: Invalid data found"):
        decode_clip(tmp_path / "a.mp4", Size(64, 64), Fraction(25), 3)


def test_a_clip_that_breaks_off_is_refused(tmp_path: Path) -> None:
    encode_clip(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 255, (9, 96, 64), np.uint8), Size(64, 64), FPS)
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(BundleError, match=r"a\.mp4"):
        decode_clip(tmp_path / "a.mp4", Size(64, 64), FPS, 9)


def test_pictures_of_another_size_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="picture 0 of a.mp4 is 132x98, the clip is 64x64"):
        encode_clip(tmp_path / "a.mp4", pictures(1), Size(64, 64), FPS)


def test_a_clip_without_pictures_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="a.mp4 has no pictures"):
        encode_clip(tmp_path / "a.mp4", [], SIZE, FPS)
    assert not (tmp_path / "a.mp4").exists()
