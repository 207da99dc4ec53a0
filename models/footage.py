"""Footage on disk: H.264 clips, read and written as I420 pictures without a change of colours."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.pictures import Picture, Rgb, from_rgb, shape_of

BT601 = (5, 6)
"""H.273 matrix coefficients of BT.601: 5 is its 625-line system (BT.470BG), 6 its 525-line system (SMPTE 170M)."""

UNSPECIFIED_MATRIX, UNSPECIFIED_RANGE, LIMITED_RANGE = 2, 0, 1


def encode_clip(path: Path, pictures: Iterable[Picture | Rgb], size: Size, fps: Fraction, crf: int = 16) -> int:
    """Writes a clip that any player reads: MP4, H.264, yuv420p, BT.601 limited, closed GOPs, no sound.

    Args:
        path: the file to write; its folder is made if it is not there.
        pictures: I420 pictures, uint8 (height * 3 / 2, width), or RGB pictures, uint8 (height, width, 3).
        size: of every picture; width and height are even.
        fps: frames per second; every frame lasts 1 / fps.
        crf: x264's constant rate factor, 0 (lossless) to 51; 16 looks like the original.

    Returns:
        How many frames were written.

    Raises:
        BundleError: a picture of another size, an odd size, or no picture at all.
    """
    refuse_odd(size, path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        stream.time_base = 1 / fps
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 6
        context.color_range = LIMITED_RANGE
        stream.options = {"crf": str(crf), "preset": "slow", "flags": "+cgop"}
        for picture in pictures:
            shape = picture.shape[:2] if picture.ndim == 3 else (picture.shape[0] * 2 // 3, picture.shape[1])
            if shape != (size.height, size.width):
                raise BundleError(f"picture {count} of {path.name} is {shape[1]}x{shape[0]}, the clip is {size}")
            i420 = from_rgb(picture) if picture.ndim == 3 else picture
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(i420), format="yuv420p")
            frame.pts, frame.time_base = count, 1 / fps
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    if count == 0:
        path.unlink(missing_ok=True)
        raise BundleError(f"{path.name} has no pictures")
    return count


def decode_clip(path: Path, size: Size, fps: Fraction, n_frames: int) -> NDArray[np.uint8]:
    """Every picture of a clip, I420 as it was coded, uint8 (n_frames, height * 3 / 2, width).

    Raises:
        BundleError: the file is no such clip; the sentence names the file, what it has and what is needed.
    """
    refuse_odd(size, path.name)
    pictures = np.empty((n_frames, *shape_of(size)), np.uint8)
    decode_into(pictures, path, size, fps)
    return pictures


def decode_into(pictures: NDArray[np.uint8], path: Path, size: Size, fps: Fraction) -> None:
    """As ``decode_clip``, for as many frames as ``pictures`` has; fills it."""
    name, n_frames, count = path.name, len(pictures), 0
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise BundleError(f"{name} has no picture track")
            stream = container.streams.video[0]
            codec = stream.codec_context
            if codec.name != "h264" or codec.pix_fmt != "yuv420p":
                raise BundleError(f"{name} is {codec.name} {codec.pix_fmt}, an avatar's clips are h264 yuv420p")
            if codec.colorspace not in (UNSPECIFIED_MATRIX, *BT601):
                raise BundleError(
                    f"{name} has colour matrix {codec.colorspace} (H.273), an avatar's clips are BT.601 (6)"
                )
            if codec.color_range not in (UNSPECIFIED_RANGE, LIMITED_RANGE):
                raise BundleError(f"{name} has full-range colours, an avatar's clips are in the limited range (16-235)")
            if (codec.width, codec.height) != (size.width, size.height):
                raise BundleError(f"{name} is {codec.width}x{codec.height}, the avatar is {size}")
            if stream.average_rate != fps:
                raise BundleError(f"{name} has {stream.average_rate} frames per second, the avatar {fps}")
            codec.thread_count = 1  # who has cores to spare decodes several clips at once, which is cheaper
            for frame in container.decode(stream):
                if count < n_frames:
                    copy_planes(frame, pictures[count])
                count += 1
    except av.FFmpegError as error:
        raise BundleError(f"{name} cannot be decoded: {error.strerror}") from error
    if count != n_frames:
        raise BundleError(f"{name} has {count} frames but avatar.toml says {n_frames}")


def copy_planes(frame: av.VideoFrame, picture: Picture) -> None:
    """Copies a decoded frame's planes into ``picture``, leaving out the padding at the end of FFmpeg's lines."""
    flat, start = picture.reshape(-1), 0
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        flat[start : start + rows.size].reshape(rows.shape)[...] = rows
        start += rows.size


def refuse_odd(size: Size, name: str) -> None:
    if size.width % 2 or size.height % 2 or size.width <= 0 or size.height <= 0:
        raise BundleError(f"{name} is {size}: I420 pictures need a width and a height that are even")
