"""Whether this machine's GPU encodes H.264."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from functools import cache

import av

from models.parent import environment
from models.runtimes.choice import has_cuda_device

FOUND_WITHIN_S = 30.0


@cache
def nvenc_opens() -> bool:
    """Whether it does; the first who asks waits for a second, unless there is no GPU.

    It is tried in a process of its own: it makes a CUDA context first, for half a second, and PyAV holds the
    interpreter's lock meanwhile. On a GPU without NVENC each session would else hold up all others when it begins.
    """
    if not has_cuda_device():
        return False
    trying = [sys.executable, "-P", "-m", "server.publishers.nvenc"]
    try:
        return not subprocess.run(trying, env=environment(), capture_output=True, timeout=FOUND_WITHIN_S).returncode  # noqa: S603
    except subprocess.TimeoutExpired:
        return False


def nvenc_fails() -> str:
    """Why NVENC does not open here, in a few words; empty where it does. A GPU may have none: H100 and A100 do not."""
    try:
        context = av.CodecContext.create("h264_nvenc", "w")
        context.width, context.height, context.pix_fmt, context.framerate = 256, 256, "yuv420p", Fraction(25)
        context.open()
    except ValueError:
        return "FFmpeg was built without it"
    except av.FFmpegError as error:
        return error.strerror or str(error)
    return ""


if __name__ == "__main__":
    sys.exit(nvenc_fails() or None)  # an empty sentence would count as a failure, too
