"""The header of a WAVE file, read from its first bytes while the rest may still be on its way."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.errors import AudioError

LONGEST_HEADER = 65_536
"""Bytes that may come before the samples; what has more is refused."""

LONGEST_TRAILER = 1_048_576
"""Bytes after the samples (titles, cue points) that are believed in."""

PCM, IEEE_FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
"""Format tags of the WAVE format (Microsoft's mmreg.h)."""


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """How one sample is written, little-endian. Integers of one byte are unsigned (offset binary), as in WAVE."""

    n_bytes: int
    is_float: bool = False

    def to_int16_scale(self, raw: bytes) -> NDArray[np.float32]:
        """Samples as numbers on the scale of int16, not yet rounded, float32 (n,)."""
        if self.is_float:
            return np.asarray(np.nan_to_num(np.frombuffer(raw, "<f4")).clip(-1, 1) * 32768, np.float32)
        if self.n_bytes == 1:
            return np.asarray((np.frombuffer(raw, np.uint8).astype(np.float32) - 128) * 256, np.float32)
        if self.n_bytes == 2:
            return np.frombuffer(raw, "<i2").astype(np.float32)
        if self.n_bytes == 3:
            low_byte, high_word = _split_24_bits(raw)
            return np.asarray(high_word + low_byte / 256, np.float32)
        return np.asarray(np.frombuffer(raw, "<i4") / 65536, np.float32)


@dataclass(frozen=True, slots=True)
class WaveHeader:
    """What a WAVE file says of itself.

    Attributes:
        data_at: where the samples begin.
        data_bytes: how many bytes of samples there are; None where the file was streamed before that was known.
        trailer_bytes: how many bytes follow the samples.
    """

    sample_rate: int
    n_channels: int
    format: SampleFormat
    data_at: int
    data_bytes: int | None
    trailer_bytes: int


def starts_wave(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def may_start_wave(data: bytes) -> bool:
    """Whether ``data`` begins a WAVE file, or is too short to tell."""
    return b"RIFF".startswith(data[:4]) and b"WAVE".startswith(data[8:12])


def wave_header(data: bytes) -> WaveHeader | None:
    """The header of a file that begins with ``data``; None if it has not come whole.

    Raises:
        AudioError: a broken header, or samples in a format that is not supported.
    """
    at, layout = 12, None
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"data":
            if layout is None:
                raise AudioError("the WAVE header has no 'fmt ' chunk before its samples")
            (riff_bytes,) = struct.unpack_from("<I", data, 4)
            # Writers that stream do not know the length: they put 0, or the largest number they dare.
            known = 0 < size < 0x7FFF_0000
            trailer = riff_bytes + 8 - at - size - size % 2 if known else 0
            return WaveHeader(
                *layout,
                data_at=at,
                data_bytes=size if known else None,
                trailer_bytes=trailer + size % 2 if 0 <= trailer <= LONGEST_TRAILER else 0,
            )
        if name == b"fmt " and at + size <= len(data):
            layout = _layout(data[at : at + size])
        at += size + size % 2
        if at > LONGEST_HEADER:
            raise AudioError(f"the WAVE header is longer than {LONGEST_HEADER} bytes")
    return None


def _layout(chunk: bytes) -> tuple[int, int, SampleFormat]:
    if len(chunk) < 16:
        raise AudioError(f"the WAVE header's 'fmt ' chunk has {len(chunk)} bytes, but needs 16")
    tag, n_channels, sample_rate, _, _, n_bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    if not 1 <= n_channels <= 8:
        raise AudioError(f"a WAVE file with {n_channels} channels is not supported; use 1 to 8")
    if tag == PCM and n_bits in (8, 16, 24, 32):
        return sample_rate, n_channels, SampleFormat(n_bits // 8)
    if tag == IEEE_FLOAT and n_bits == 32:
        return sample_rate, n_channels, SampleFormat(4, is_float=True)
    raise AudioError(
        f"a WAVE file of format {tag} with {n_bits} bits is not supported; use PCM of 8, 16, 24 or 32 bits or float"
    )


def _split_24_bits(raw: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    octets = np.frombuffer(raw, np.uint8).reshape(-1, 3)
    return octets[:, 0], np.ascontiguousarray(octets[:, 1:]).view("<i2")[:, 0]
