"""Whether this machine's GPU encodes H.264."""

from __future__ import annotations

from fractions import Fraction

import av


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
