"""A whole speech made into a film, as fast as the machine can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from avatar.audio import AudioChunk, Pcm
from avatar.bundle import AvatarBundle
from avatar.compositor import Compositor
from avatar.lipsync import LipSyncModel, MouthJob
from avatar.performance import Performance, Plan
from avatar.pictures import Rgb
from avatar.timeline import Timeline
from server.encoding import Mp4Writer
from server.session import SAMPLE_RATE

BATCH = 16
"""Frames whose mouths are drawn together."""


def render(
    pcm: Pcm,
    bundle: AvatarBundle,
    model: LipSyncModel | None,
    out: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes a film of the avatar speaking, exactly as long as the speech (rounded up to a frame).

    Args:
        pcm: the speech, int16 mono at ``SAMPLE_RATE``.
        progress: is told how many frames are done, of how many.

    Returns:
        The number of frames.

    Raises:
        OSError: the film cannot be written.
    """
    timeline = Timeline(bundle.fps, SAMPLE_RATE)
    compositor = Compositor(bundle)
    n_frames = timeline.frames_holding(len(pcm))
    with (
        Mp4Writer(out, bundle.size, timeline) as writer,
        ThreadPoolExecutor(1, thread_name_prefix="encoder") as encoder,
    ):
        writing: Future[None] | None = None
        for plans, mouths in drawn(pcm, bundle, model):
            if writing:
                writing.result()
                progress(plans[0].tick.index, n_frames)
            writing = encoder.submit(_write, writer, compositor, plans, mouths)
        if writing:
            writing.result()
    progress(n_frames, n_frames)
    return n_frames


def drawn(pcm: Pcm, bundle: AvatarBundle, model: LipSyncModel | None) -> Iterator[tuple[list[Plan], dict[int, Rgb]]]:
    """A whole speech, int16 mono at ``SAMPLE_RATE``, planned and its mouths drawn: up to ``BATCH`` frames at a time.

    Yields:
        The frames' plans, and the mouths that they ask for, by place in that list.
    """
    timeline = Timeline(bundle.fps, SAMPLE_RATE)
    performance = Performance(bundle, timeline, model.spec if model else None, capacity_s=len(pcm) / SAMPLE_RATE + 1)
    performance.hear(AudioChunk(pcm, performance.turn))
    performance.end_speech()
    compositor = Compositor(bundle)
    n_frames = timeline.frames_holding(len(pcm))
    for start in range(0, n_frames, BATCH):
        plans = [performance.step(timeline.tick(i)) for i in range(start, min(start + BATCH, n_frames))]
        yield plans, _draw(plans, compositor, bundle, model)


def _draw(
    plans: list[Plan], compositor: Compositor, bundle: AvatarBundle, model: LipSyncModel | None
) -> dict[int, Rgb]:
    """The mouths that the plans ask for, by place in the list."""
    jobs = {
        index: MouthJob(plan.mouth.features, compositor.crop(plan.shot), plan.mouth.openness, bundle.tuning)
        for index, plan in enumerate(plans)
        if plan.mouth
    }
    return dict(zip(jobs, model.draw(list(jobs.values())), strict=True)) if model and jobs else {}


def _write(writer: Mp4Writer, compositor: Compositor, plans: list[Plan], mouths: dict[int, Rgb]) -> None:
    for index, plan in enumerate(plans):
        strength = plan.mouth.strength if plan.mouth else 0.0
        writer.write(compositor.compose(plan.shot, mouths.get(index), strength), plan.tick, plan.sound)
