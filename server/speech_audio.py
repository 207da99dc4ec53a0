"""Speech as callers send it, made into what a session hears: mono int16 at the timeline's rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avatar.audio import Pcm, silence
from avatar.errors import AudioError
from server.opus import SAMPLE_RATE as OPUS_HZ
from server.opus import OggOpus, OpusPackets
from server.resampling import Resampler, resampler
from server.riff import SampleFormat, may_start_wave, starts_wave, wave_header

LOWEST_HZ, HIGHEST_HZ = 8_000, 48_000

RAW_FORMATS = {"PCM16": SampleFormat(2), "PCM8": SampleFormat(1)}

SLICE_FRAMES = 16_384
"""How many frames are decoded at a time: 0.3 to 2 s."""


class SpeechDecoder:
    """Decodes one session's speech, in pieces of any size; the result is the same as for the whole at once.

    Raw samples are read as labelled. What begins with a RIFF header is a WAVE file, whatever its label; if the header
    promises more than the message holds, the messages that follow under the same label go on with it. What begins
    with an Ogg page is Opus in Ogg, likewise; other messages labelled OPUS are one packet each. What has not come
    whole yet (half a sample, half a header) is kept for the next piece.

    Resampling holds back the last few milliseconds until more comes, or ``end``.
    """

    def __init__(self, sample_rate: int) -> None:
        self._voice = _Voice(sample_rate)
        self._label: tuple[str, int] | None = None
        self._stream: _Stream | None = None
        self._opus: OggOpus | OpusPackets | None = None
        self._head = b""  # the first bytes of a WAVE file whose header has not come whole

    def hear(self, data: bytes, sample_rate: int, encoding: str) -> Iterator[Pcm]:
        """Speech to be heard now, in slices, so that whoever iterates can let others have a turn between them.

        Raises:
            AudioError: an encoding or rate that cannot be used, or a broken header; nothing of ``data`` is heard.
                While iterating: Opus that is broken; what came before is heard.
        """
        label = (encoding.upper(), sample_rate)
        same = label == self._label
        self._opus = self._opus if same else None
        if opus := self._opus_of(data, label):
            self._label, self._stream, self._head, self._opus = label, None, b"", opus
            return self._decoded_opus(opus, data)
        stream = self._stream if same and not starts_wave(data) else None
        head = b""
        if stream is None:
            begin, self._head = (self._head + data if same else data), b""
            if may_start_wave(begin):
                stream, data = _opened(begin)
                head = begin if stream is None else b""
            else:
                stream, data = _labelled(*label), begin
        self._label, self._stream, self._head = label, stream, head
        if stream is None:
            return iter(())
        samples = stream.take(data)
        if stream.is_over:
            self._stream = None
        return self._decoded(stream, samples)

    def _opus_of(self, data: bytes, label: tuple[str, int]) -> OggOpus | OpusPackets | None:
        """What decodes ``data`` if it is Opus."""
        if self._opus and not starts_wave(data):
            begins_anew = data[:4] == b"OggS" and isinstance(self._opus, OpusPackets)
            return OggOpus() if begins_anew else self._opus
        if data[:4] == b"OggS":
            return OggOpus()
        return OpusPackets() if label[0] == "OPUS" and not starts_wave(data) else None

    def _decoded_opus(self, opus: OggOpus | OpusPackets, data: bytes) -> Iterator[Pcm]:
        try:
            for pcm in opus.decode(data):
                yield from self._voice.resample(pcm, OPUS_HZ)
        except AudioError:
            self._opus = None
            raise

    def end(self) -> Pcm:
        """The rest of the utterance: what the resampler still held."""
        self._label, self._stream, self._head, self._opus = None, None, b"", None
        return self._voice.end()

    def drop(self) -> None:
        """Forgets the utterance and whatever of it was still held."""
        self.end()

    def _decoded(self, stream: _Stream, samples: bytes) -> Iterator[Pcm]:
        n_bytes = SLICE_FRAMES * stream.bytes_per_frame
        for at in range(0, len(samples), n_bytes):
            yield from self._voice.resample(stream.mono(samples[at : at + n_bytes]), stream.sample_rate)


@dataclass(slots=True)
class _Stream:
    """Bytes that mean samples: raw ones for as long as they come, those of a WAVE file until its end."""

    sample_rate: int
    n_channels: int
    format: SampleFormat
    bytes_left: int | None = None
    trailer_left: int = 0
    held: bytes = b""

    @property
    def bytes_per_frame(self) -> int:
        return self.n_channels * self.format.n_bytes

    @property
    def is_over(self) -> bool:
        return self.bytes_left == 0 and self.trailer_left == 0

    def take(self, data: bytes) -> bytes:
        """The whole frames that are there now; the rest is kept, and what follows a file's samples is left out."""
        if self.bytes_left is not None:
            n_samples = min(len(data), self.bytes_left)
            self.bytes_left -= n_samples
            self.trailer_left -= min(self.trailer_left, len(data) - n_samples)
            data = data[:n_samples]
        data = self.held + data
        n_whole = len(data) - len(data) % self.bytes_per_frame
        self.held = data[n_whole:]
        return data[:n_whole]

    def mono(self, frames: bytes) -> Pcm:
        """Samples as int16, shape (n,); several channels are averaged."""
        samples = self.format.to_int16_scale(frames)
        if self.n_channels > 1:
            samples = samples.reshape(-1, self.n_channels).mean(axis=1)
        return np.rint(samples).clip(-32768, 32767).astype(np.int16)


class _Voice:
    """One voice at one rate. Its source may change its own; then the old rate's rest is heard first."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._source_rate = sample_rate
        self._resampler: Resampler | None = None

    def resample(self, pcm: Pcm, source_rate: int) -> Iterator[Pcm]:
        if source_rate != self._source_rate:
            yield self.end()
            self._source_rate = source_rate
        if self._resampler is None:
            self._resampler = resampler(source_rate, self._sample_rate)
        yield self._resampler.resample(pcm)

    def end(self) -> Pcm:
        ended, self._resampler = self._resampler, None
        return silence(0) if ended is None else ended.end()


def _opened(begin: bytes) -> tuple[_Stream | None, bytes]:
    """The WAVE file that begins so, and its first samples; no stream yet while the header is not whole."""
    header = wave_header(begin)
    if header is None:
        return None, b""
    _check_rate(header.sample_rate)
    stream = _Stream(header.sample_rate, header.n_channels, header.format, header.data_bytes, header.trailer_bytes)
    return stream, begin[header.data_at :]


def _labelled(encoding: str, sample_rate: int) -> _Stream:
    if encoding not in RAW_FORMATS:
        raise AudioError(f"encoding must be one of {', '.join(RAW_FORMATS)}, OPUS, not '{encoding[:32]}'")
    _check_rate(sample_rate)
    return _Stream(sample_rate, 1, RAW_FORMATS[encoding])


def _check_rate(sample_rate: int) -> None:
    if not LOWEST_HZ <= sample_rate <= HIGHEST_HZ:
        raise AudioError(f"sampleRate must be from {LOWEST_HZ} to {HIGHEST_HZ}, not {sample_rate}")
