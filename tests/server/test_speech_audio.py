from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from avatar.audio import Pcm
from avatar.errors import AudioError
from server.speech_audio import SpeechDecoder

RANDOM = np.random.default_rng(7)
SPEECH = (6000 * np.sin(np.arange(9_000) * 0.07) + RANDOM.normal(0, 500, 9_000)).astype("<i2")
SIZES = [1, 2, 3, 7, 100, 333, 1001, 4800]


def wave_file(pcm: Pcm, rate: int, n_bytes: int = 2, n_channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((n_channels, n_bytes, rate, 0, "NONE", ""))
        samples = np.repeat(pcm, n_channels)
        if n_bytes == 1:
            writer.writeframes(((samples >> 8) + 128).astype(np.uint8).tobytes())
        else:
            writer.writeframes((samples.astype("<i4") << 16).tobytes() if n_bytes == 4 else samples.tobytes())
    return file.getvalue()


def decoded(pieces: list[bytes], rate: int, encoding: str) -> Pcm:
    decoder = SpeechDecoder(48_000)
    heard = [pcm for piece in pieces for pcm in decoder.hear(piece, rate, encoding)]
    return np.concatenate([*heard, decoder.end()])


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("encoding", "rate"), [("PCM16", 24_000), ("PCM16", 44_100), ("PCM16", 8_123), ("PCM8", 8_000)]
)
def test_raw_speech_in_pieces_is_heard_like_the_whole(size: int, encoding: str, rate: int) -> None:
    data = SPEECH.tobytes()
    assert np.array_equal(decoded(cut(data, size), rate, encoding), decoded([data], rate, encoding))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("n_bytes", "n_channels"), [(1, 1), (2, 1), (2, 2), (4, 3)])
def test_a_wave_file_in_pieces_is_heard_like_the_whole(size: int, n_bytes: int, n_channels: int) -> None:
    data = wave_file(SPEECH, 16_000, n_bytes, n_channels)
    whole = decoded([data], 24_000, "PCM16")
    assert len(whole) == 3 * len(SPEECH)
    assert np.array_equal(decoded(cut(data, size), 24_000, "PCM16"), whole)


def test_speech_at_the_timelines_own_rate_is_heard_as_it_is() -> None:
    assert np.array_equal(decoded([SPEECH.tobytes()], 48_000, "PCM16"), SPEECH)
    assert np.array_equal(decoded([SPEECH.tobytes()], 48_000, "pcm16"), SPEECH)


def test_pcm8_is_unsigned() -> None:
    assert decoded([bytes([0, 128, 255])], 48_000, "PCM8").tolist() == [-32768, 0, 127 * 256]


def test_a_wave_header_is_trusted_more_than_the_label() -> None:
    """The protocol's own example: 8-bit unsigned samples at 8 kHz, labelled PCM16 at 24 kHz."""
    labelled = decoded([wave_file(SPEECH, 8_000, 1)], 24_000, "PCM16")
    raw = decoded([((SPEECH >> 8) + 128).astype(np.uint8).tobytes()], 8_000, "PCM8")
    assert np.array_equal(labelled, raw)


@pytest.mark.parametrize("n_bytes", [2, 4])
def test_every_channel_of_a_wave_file_counts_alike(n_bytes: int) -> None:
    assert np.array_equal(decoded([wave_file(SPEECH, 48_000, n_bytes, 2)], 24_000, "PCM16"), SPEECH)


def test_one_wave_file_after_another_makes_one_speech() -> None:
    files = [wave_file(part, 24_000) for part in np.split(SPEECH, 3)]
    assert np.array_equal(decoded(files, 16_000, "PCM16"), decoded([SPEECH.tobytes()], 24_000, "PCM16"))


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content) if size is None else size) + content


MONO_48K = struct.pack("<HHIIHH", 1, 1, 48_000, 96_000, 2, 16)


@pytest.mark.parametrize("size", SIZES)
def test_what_stands_around_the_samples_of_a_wave_file_is_not_heard(size: int) -> None:
    before, after = chunk(b"LIST", b"title"), chunk(b"LIST", b"the author's name")
    data = riff(before, chunk(b"fmt ", MONO_48K), chunk(b"data", SPEECH.tobytes()), after)
    assert np.array_equal(decoded(cut(data, size), 16_000, "PCM16"), SPEECH)


@pytest.mark.parametrize("unknown", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wave_file_of_unknown_length_lasts_as_long_as_its_speech(unknown: int) -> None:
    head = riff(chunk(b"fmt ", MONO_48K), b"data" + struct.pack("<I", unknown), size=unknown)
    assert np.array_equal(decoded(cut(head + SPEECH.tobytes(), 1000), 16_000, "PCM16"), SPEECH)


def test_floats_and_24_bits_are_heard_as_the_same_speech() -> None:
    floats = chunk(b"fmt ", struct.pack("<HHIIHH", 3, 1, 48_000, 192_000, 4, 32))
    floats += chunk(b"data", (SPEECH / 32768).astype("<f4").tobytes())
    assert np.array_equal(decoded([riff(floats)], 16_000, "PCM16"), SPEECH)
    octets = np.zeros((len(SPEECH), 3), np.uint8)
    octets[:, 1:] = SPEECH.view(np.uint8).reshape(-1, 2)
    long = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 48_000, 144_000, 3, 24)) + chunk(b"data", octets.tobytes())
    assert np.array_equal(decoded([riff(long)], 16_000, "PCM16"), SPEECH)


def test_a_rate_that_changes_on_the_way_loses_nothing() -> None:
    decoder = SpeechDecoder(48_000)
    first = SPEECH.tobytes()
    heard = [*decoder.hear(first, 24_000, "PCM16"), *decoder.hear(first, 16_000, "PCM16"), decoder.end()]
    wanted = [decoded([first], 24_000, "PCM16"), decoded([first], 16_000, "PCM16")]
    assert np.array_equal(np.concatenate(heard), np.concatenate(wanted))


def test_each_speech_begins_anew() -> None:
    decoder = SpeechDecoder(48_000)
    for _ in range(2):
        heard = [*decoder.hear(SPEECH.tobytes() + b"\x01", 24_000, "PCM16"), decoder.end()]
        assert np.array_equal(np.concatenate(heard), decoded([SPEECH.tobytes()], 24_000, "PCM16"))
        list(decoder.hear(SPEECH.tobytes()[:333], 24_000, "PCM16"))
        decoder.drop()


@pytest.mark.parametrize(
    ("data", "rate", "encoding", "words"),
    [
        (b"some samples", 24_000, "MP3", "one of PCM16, PCM8, OPUS, not 'MP3'"),
        (b"some samples", 7_999, "PCM16", "from 8000 to 48000, not 7999"),
        (b"some samples", 0, "PCM16", "from 8000 to 48000, not 0"),
        (wave_file(SPEECH, 96_000), 24_000, "PCM16", "not 96000"),
        (riff(chunk(b"data", b"abcd")), 24_000, "PCM16", "no 'fmt ' chunk"),
        (riff(chunk(b"fmt ", b"too short")), 24_000, "PCM16", "has 9 bytes, but needs 16"),
        (riff(chunk(b"fmt ", struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8))), 24_000, "PCM16", "format 7"),
        (riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, 8000, 8000, 1, 8))), 24_000, "PCM16", "0 channels"),
        (riff(chunk(b"LIST", bytes(70_000))), 24_000, "PCM16", "longer than 65536 bytes"),
    ],
)
def test_what_cannot_be_heard_is_refused_and_what_follows_is_heard(
    data: bytes, rate: int, encoding: str, words: str
) -> None:
    decoder = SpeechDecoder(48_000)
    with pytest.raises(AudioError, match=words):
        decoder.hear(data, rate, encoding)
    assert np.array_equal(np.concatenate(list(decoder.hear(SPEECH.tobytes(), 48_000, "PCM16"))), SPEECH)


def opus_file(pcm: Pcm, layout: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout=layout)
        for packet in [*stream.encode(audio_frame(pcm, layout)), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def opus_packets(pcm: Pcm) -> list[bytes]:
    codec = av.AudioCodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = 48_000, "mono", "s16"
    frames = [audio_frame(pcm[at : at + 960], "mono") for at in range(0, len(pcm), 960)]
    return [bytes(packet) for frame in frames for packet in codec.encode(frame)]


def audio_frame(pcm: Pcm, layout: str) -> av.AudioFrame:
    samples = np.repeat(pcm, {"mono": 1, "stereo": 2}[layout])[None]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
    frame.sample_rate = 48_000
    return frame


TONE = (8000 * np.sin(np.arange(48_000) * 0.03)).astype("<i2")


@pytest.mark.parametrize("label", ["OPUS", "PCM16"])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_opus_in_ogg_is_heard_whatever_its_label(label: str, layout: str) -> None:
    heard = decoded([opus_file(TONE, layout)], 24_000, label)
    assert np.corrcoef(heard[2000:46_000], TONE[2000:46_000])[0, 1] > 0.999


@pytest.mark.parametrize("size", [4, 7, 100, 333, 1001, 4800])
def test_opus_in_ogg_in_pieces_is_heard_like_the_whole(size: int) -> None:
    data = opus_file(TONE, "mono")
    assert np.array_equal(decoded(cut(data, size), 48_000, "OPUS"), decoded([data], 48_000, "OPUS"))


def test_opus_packets_are_heard_one_a_message() -> None:
    heard = decoded(opus_packets(TONE), 48_000, "OPUS")
    delay = 312  # of the encoder, which Ogg's header would tell
    assert np.corrcoef(heard[2000 + delay : 40_000 + delay], TONE[2000:40_000])[0, 1] > 0.999


def test_broken_opus_is_refused_and_what_follows_is_heard() -> None:
    decoder = SpeechDecoder(48_000)
    no_packet, no_second_page, no_opus = b"\xff" * 50, b"OggS" + bytes(60), b"OggS" + bytes(22) + b"\x01\x05hello"
    for broken in (no_packet, no_second_page, no_opus):
        with pytest.raises(AudioError):
            list(decoder.hear(broken, 48_000, "OPUS"))
    heard = [pcm for packet in opus_packets(TONE) for pcm in decoder.hear(packet, 48_000, "OPUS")]
    assert sum(map(len, heard)) == 48_000


def test_the_protocols_own_sample_is_heard_whole() -> None:
    path = Path(__file__).parents[3] / "shared/data/speech/convoai_sample_24k.wav"
    if not path.exists():
        pytest.skip(f"needs {path.name}, which does not ship with the project")
    with wave.open(str(path)) as reader:
        n = reader.getnframes()
    assert len(decoded(cut(path.read_bytes(), 24_001), 24_000, "PCM16")) == 2 * n
