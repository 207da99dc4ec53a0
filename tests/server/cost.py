"""What a session's pictures cost, in milliseconds of CPU time: ``python -m tests.server.cost``.

``path SIDE [silent]``: every thread's share of one session's frame where networks take no time, at 8 sessions.
``h264 SIDE``: x264 by its settings, on pictures of the shipped avatar as she speaks; the least of five rounds.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avatar.audio import Pcm
from avatar.geometry import Size
from avatar.lipsync import LipSyncModel, LipSyncSpec, MouthJob
from avatar.pictures import Picture, Rgb, planes
from avatar.timeline import Timeline
from models.loading import Catalogue, LoadedAvatar
from models.speech_files import read_speech, resampled
from server.bench.audience import audience_of
from server.cli import SAMPLE
from server.inference import Inference
from server.pacing import MonotonicClock
from server.render import drawn
from server.session import SAMPLE_RATE, Session, Shown

N_SESSIONS, SECONDS, N_PICTURES, N_ROUNDS = 8, 8.0, 100, 5

Setting = Mapping[str, str]

SETTINGS: Mapping[str, Setting] = {
    **{f"{preset}, crf 23": {"preset": preset, "crf": "23"} for preset in ("ultrafast", "superfast", "veryfast")},
    "ultrafast, crf 25, deblocked, half pixels": {
        "preset": "ultrafast", "crf": "25", "x264-params": "subme=1:deblock=0,0",
    },
    "superfast, crf 24, even": {"preset": "superfast", "crf": "24", "aq-mode": "none"},
    **{
        f"superfast, qp {qp}": {"preset": "superfast", "qp": str(qp), "aq-mode": "none", "sc_threshold": "0"}
        for qp in (22, 23, 24)
    },
}  # fmt: skip


def speech() -> Pcm:
    return resampled(*read_speech(SAMPLE), SAMPLE_RATE)


class NoTime:
    """Draws the footage's own mouth, at once."""

    def __init__(self, model: LipSyncModel) -> None:
        self.spec: LipSyncSpec = model.spec
        self.ear = self

    def hear(self, batch: Sequence[MouthJob]) -> NDArray[np.float32]:
        return np.zeros((len(batch), 7), np.float32)

    def paint(self, batch: Sequence[MouthJob], mouths: NDArray[np.float32]) -> list[Rgb]:
        return self.draw(batch)

    def draw(self, batch: Sequence[MouthJob]) -> list[Rgb]:
        return [job.crop.pixels for job in batch]


async def path(loaded: LoadedAvatar, side: int, publisher: str, *, speaks: bool) -> dict[str, float]:
    """Milliseconds of one session's frame, by thread."""
    assert loaded.model
    size, timeline, n_shown = Size(side, side), Timeline(loaded.bundle.fps, SAMPLE_RATE), 0
    pcm = np.resize(speech(), int((SECONDS + 3) * SAMPLE_RATE))

    def count(shown: Shown) -> None:
        nonlocal n_shown
        n_shown += 1

    audience = audience_of(publisher, SAMPLE)
    async with audience:
        with Inference() as inference:
            sessions = [
                Session(
                    str(number), loaded.bundle, NoTime(loaded.model), inference,
                    audience.publishers(str(number), size, timeline), MonotonicClock(),
                    on_shown=count, compositor=loaded.sizes.at(size),
                )
                for number in range(N_SESSIONS)
            ]  # fmt: skip
            async with asyncio.TaskGroup() as tasks:
                for session in sessions:
                    tasks.create_task(session.run())
                    await asyncio.sleep(0.007)
                    if speaks:
                        session.hear(pcm)
                await asyncio.sleep(1.5)
                before, n_before = _used_s(), n_shown
                await asyncio.sleep(SECONDS)
                after, n_frames = _used_s(), n_shown - n_before
                for session in sessions:
                    session.stop()
    return {name: 1000 * (after[name] - begun) / n_frames for name, begun in before.items()}


def _used_s() -> dict[str, float]:
    """CPU-seconds of every thread that Python knows, and of the process."""
    used = {"all": time.process_time()}
    for thread in threading.enumerate():
        name = thread.name.partition("_")[0].partition("-")[0]
        used[name] = used.get(name, 0.0) + time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))
    return used


def pictures(loaded: LoadedAvatar, side: int) -> list[Picture]:
    """She speaks."""
    compositor = loaded.sizes.at(Size(side, side))
    made: list[Picture] = []
    for plans, mouths in drawn(speech(), loaded.bundle, loaded.model):
        for place, plan in enumerate(plans):
            made.append(compositor.compose(plan.shot, mouths.get(place), plan.mouth.strength if plan.mouth else 0))
        if len(made) >= 50 + N_PICTURES:
            break
    return made[50 : 50 + N_PICTURES]


def h264(shown: Sequence[Picture], setting: Setting) -> tuple[list[float], list[av.Packet[Any]]]:
    """Seconds that each picture took, and the packets."""
    side = shown[0].shape[1]
    context = av.CodecContext.create("libx264", "w")
    context.width = context.height = side
    context.pix_fmt, context.framerate, context.time_base = "yuv420p", Fraction(25), Fraction(1, 25)
    context.gop_size, context.thread_count, context.profile = 250, 1, "Baseline"
    context.options = {"tune": "zerolatency", **setting}
    taken, packets = [], []
    for index, picture in enumerate(shown):
        frame = av.VideoFrame.from_numpy_buffer(picture, "yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        began = time.thread_time()
        packets += context.encode(frame)
        taken.append(time.thread_time() - began)
    return taken, packets


def psnr(shown: Sequence[Picture], packets: Sequence[av.Packet[Any]]) -> float:
    """Of the luma, in decibels, over all pictures."""
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    errors = [
        np.square(frame.to_ndarray()[: frame.height].astype(np.float32) - planes(picture).y).mean()
        for frame, picture in zip(frames, shown, strict=True)
    ]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def compare_h264(loaded: LoadedAvatar, side: int) -> None:
    shown = pictures(loaded, side)
    least = {name: [1.0] * len(shown) for name in SETTINGS}
    packets: dict[str, list[av.Packet[Any]]] = {}
    for _ in range(N_ROUNDS):
        for name, setting in SETTINGS.items():
            taken, packets[name] = h264(shown, setting)
            least[name] = list(map(min, least[name], taken))
    for name in SETTINGS:
        kbit_s = sum(packet.size for packet in packets[name][1:]) * 8 * 25 / (len(shown) - 1) / 1000
        ms = 1000 * float(np.mean(least[name][1:]))
        print(f"{name:45} {ms:.2f} ms {kbit_s:5.0f} kbit/s {psnr(shown, packets[name]):.1f} dB")  # noqa: T201


def main(what: str, side: str, *how: str) -> None:
    loaded = Catalogue().load("ava")
    if what == "h264":
        compare_h264(loaded, int(side))
    for publisher in ("none", "null") if what == "path" else ():
        used = asyncio.run(path(loaded, int(side), publisher, speaks="silent" not in how))
        print(publisher, {name: round(ms, 2) for name, ms in used.items() if ms > 0.005})  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
