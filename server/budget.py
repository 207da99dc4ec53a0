"""Where the time of a spoken frame goes: each stage between a message and its packets, timed on its own."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import numpy as np

from avatar.audio import AudioChunk, Pcm
from avatar.compositor import Compositor
from avatar.errors import AvatarError
from avatar.lipsync import MouthJob
from avatar.performance import Performance
from avatar.timeline import Timeline
from models.loading import LoadedAvatar
from models.speech_lips import SpeechLips
from server import wire
from server.client import CHUNK_S
from server.publisher import RenderedFrame
from server.publishers.live_encoding import LiveEncoder
from server.session import SAMPLE_RATE
from server.speech_audio import SpeechDecoder

MESSAGE, SPEECH, PLAN, ENCODER, RENDERER, COMPOSE, PACKETS = STAGES = (
    "read a message of 0.5 s",
    "decode and resample it",
    "plan a frame, features included",
    "speech encoder",
    "mouth renderer",
    "lay the mouth on",
    "H.264 and Opus",
)
"""In the order in which they come; the first two once for each message, the others for each frame."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Budget:
    """Milliseconds that each stage took, every time: by ``STAGES``."""

    taken_ms: dict[str, list[float]] = field(default_factory=dict)

    def time(self, stage: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        begin = time.perf_counter()
        result = work(*args, **kwargs)
        self.taken_ms.setdefault(stage, []).append(1000 * (time.perf_counter() - begin))
        return result

    @property
    def frame_ms(self) -> float:
        """What one frame with a mouth takes in all, if nothing runs beside it: the sum of medians."""
        return sum(float(np.median(self.taken_ms[stage])) for stage in STAGES[2:])


def measure_budget(avatar: LoadedAvatar, pcm: Pcm, sample_rate: int) -> Budget:
    """Time every stage of a speech, int16 mono, one frame after the other as a single session asks for them.

    Raises:
        AvatarError: the avatar draws no mouth.
    """
    bundle, model, budget = avatar.bundle, avatar.model, Budget()
    if not isinstance(model, SpeechLips):
        raise AvatarError(f"avatar '{bundle.id}' draws no mouth, so its frames take no time worth measuring")
    timeline = Timeline(bundle.fps, SAMPLE_RATE)
    performance = Performance(bundle, timeline, model.spec)
    for chunk in _heard(pcm, sample_rate, budget):
        performance.hear(AudioChunk(chunk, performance.turn))
    performance.end_speech()
    compositor, encoder = Compositor(bundle), LiveEncoder(bundle.size, timeline)
    for index in range(timeline.frames_holding(performance.n_waiting)):
        tick = timeline.tick(index)
        plan = budget.time(PLAN, performance.step, tick)
        if plan.mouth is None:
            picture = compositor.compose(plan.shot)
        else:
            job = MouthJob(plan.mouth.features, compositor.crop(plan.shot), plan.mouth.openness, bundle.tuning)
            mouth = budget.time(ENCODER, model.hear, [job])
            patch = budget.time(RENDERER, model.paint, [job], mouth)[0]
            picture = budget.time(COMPOSE, compositor.compose, plan.shot, patch)
        frame = RenderedFrame(tick, plan.turn, picture, plan.sound)
        budget.time(PACKETS, encoder.encode, [frame], ["H264"], [])
    return budget


def _heard(pcm: Pcm, sample_rate: int, budget: Budget) -> list[Pcm]:
    """The speech as a session hears it, after it has come in messages."""
    decoder, n_chunk = SpeechDecoder(SAMPLE_RATE), int(CHUNK_S * sample_rate)
    heard: list[Pcm] = []
    for start in range(0, len(pcm), n_chunk):
        audio = base64.b64encode(pcm[start : start + n_chunk].tobytes()).decode()
        text = json.dumps({"command": "voice", "audio": audio, "sampleRate": sample_rate, "encoding": "PCM16"})
        voice = budget.time(MESSAGE, wire.command, text)
        assert isinstance(voice, wire.Voice)  # noqa: S101 - it was written three lines above
        heard += budget.time(SPEECH, _decoded, decoder, voice)
    return [*heard, decoder.end()]


def _decoded(decoder: SpeechDecoder, voice: wire.Voice) -> list[Pcm]:
    return list(decoder.hear(voice.audio, voice.sample_rate, voice.encoding))
