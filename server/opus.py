"""Opus speech: in Ogg pages (RFC 7845, cut anywhere) or as bare packets, one a message."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import av
import numpy as np

from avatar.audio import Pcm
from avatar.errors import AudioError

SAMPLE_RATE = 48_000
"""Opus always decodes to this."""

PAGE_HEADER = struct.Struct("<4sBBQIIIB")
"""Capture pattern, version, flags, granule position, stream, page number, checksum, number of segments (RFC 3533)."""

LONGEST_PACKET = 61_440
"""Bytes; 120 ms of eight channels never need more (RFC 7845, section 6)."""


class OpusPackets:
    """Decodes packets, one a piece."""

    def __init__(self) -> None:
        self._codec = av.CodecContext.create("libopus", "r")

    def decode(self, packet: bytes) -> Iterator[Pcm]:
        """Speech at 48 kHz.

        Raises:
            AudioError: this is no Opus packet.
        """
        try:
            frames = self._codec.decode(av.Packet(packet)) if packet else []
        except av.FFmpegError as error:
            raise AudioError("audio is labelled OPUS, but holds no Opus packet") from error
        for frame in frames:
            if isinstance(frame, av.AudioFrame):
                yield _mono(frame)


class OggOpus:
    """Decodes an Ogg stream whose pieces may end anywhere."""

    def __init__(self) -> None:
        self._packets = OpusPackets()
        self._held = b""
        self._packet = b""  # of which the rest is on the next page
        self._n_packets = 0
        self._to_skip = 0

    def decode(self, data: bytes) -> Iterator[Pcm]:
        """Speech at 48 kHz, packet by packet.

        Raises:
            AudioError: these are no Ogg pages, or they hold something else than Opus.
        """
        self._held += data
        while (page := self._next_page()) is not None:
            for packet in self._packets_of(*page):
                yield from self._heard(packet)

    def _next_page(self) -> tuple[bytes, bytes] | None:
        """The segment table and the content of a page that has come whole."""
        held = self._held
        if not held.startswith(b"OggS"[: len(held)]):
            self._held = b""
            raise AudioError("the Ogg stream is broken: a page does not begin with 'OggS'")
        if len(held) < PAGE_HEADER.size:
            return None
        n_segments = PAGE_HEADER.unpack_from(held)[-1]
        start = PAGE_HEADER.size + n_segments
        table = held[PAGE_HEADER.size : start]
        if len(held) < start or len(held) < start + sum(table):
            return None
        self._held = held[start + sum(table) :]
        return table, held[start : start + sum(table)]

    def _packets_of(self, table: bytes, content: bytes) -> Iterator[bytes]:
        at = 0
        for length in table:
            self._packet += content[at : at + length]
            at += length
            if len(self._packet) > LONGEST_PACKET:
                raise AudioError(f"an Ogg packet is longer than {LONGEST_PACKET} bytes")
            if length < 255:  # a segment of 255 bytes goes on in the next
                packet, self._packet = self._packet, b""
                yield packet

    def _heard(self, packet: bytes) -> Iterator[Pcm]:
        self._n_packets += 1
        if packet.startswith(b"OpusHead"):
            if len(packet) < 19:
                raise AudioError(f"the Opus header has {len(packet)} bytes, but needs 19")
            (self._to_skip,) = struct.unpack_from("<H", packet, 10)
        elif self._n_packets == 1:
            raise AudioError("the Ogg stream holds something else than Opus")
        elif not packet.startswith(b"OpusTags"):
            for sound in self._packets.decode(packet):
                yield sound[self._to_skip :]
                self._to_skip -= min(self._to_skip, len(sound))


def _mono(frame: av.AudioFrame) -> Pcm:
    """An interleaved int16 frame, its channels averaged."""
    samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
    return np.asarray(samples[:, 0] if samples.shape[1] == 1 else np.rint(samples.mean(axis=1)), np.int16)
