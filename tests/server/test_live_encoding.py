"""Encoding for those who watch now, judged by decoders."""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.timeline import Timeline
from server.publishers import nvenc
from server.publishers.live_encoding import (
    BITS_PER_PIXEL,
    NVENC,
    PACKET_MS,
    X264,
    LiveEncoder,
    LiveSoundEncoder,
    LiveVideoEncoder,
    VideoCodec,
)
from server.publishers.nvenc import nvenc_fails
from tests.server.show import Show, delay, number_on

DECODERS = {"H264": "h264", "VP8": "vp8"}
CODECS: list[VideoCodec] = ["H264", "VP8"]


def seen(codec: str, packets: Iterable[av.Packet[Any]]) -> list[int]:
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    return [number_on(np.asarray(frame.to_ndarray()[: frame.height], np.uint8)) for frame in frames]


def heard(packets: Iterable[av.Packet[Any]]) -> NDArray[np.float32]:
    """What a player decodes, at 48 kHz."""
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48000, "mono"
    pieces = [frame.to_ndarray()[0] for packet in packets for frame in decoder.decode(packet)]
    return np.concatenate(pieces).astype(np.float32)


@pytest.mark.parametrize("codec", CODECS)
def test_each_picture_comes_out_at_once_under_its_own_time(codec: VideoCodec) -> None:
    show = Show()
    encoder = LiveVideoEncoder(codec, show.size, show.timeline)
    packets = []
    for frame in show.frames(60, first=1000):
        now = encoder.encode(frame.picture, frame.tick, whole=False)
        assert [packet.pts for packet in now] == [frame.tick.first_sample]
        assert all(packet.time_base == Fraction(1, 24000) for packet in now)
        packets += now
    assert seen(codec, packets) == list(range(1000, 1060))


@pytest.mark.parametrize("codec", CODECS)
def test_one_can_begin_to_watch_at_a_whole_picture(codec: VideoCodec) -> None:
    show = Show()
    encoder = LiveVideoEncoder(codec, show.size, show.timeline)
    packets = [encoder.encode(f.picture, f.tick, whole=f.tick.index == 20)[0] for f in show.frames(40)]
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe] == [0, 20]
    assert seen(codec, packets[20:]) == list(range(20, 40))


def test_noise_is_sent_at_a_bounded_rate_before_long() -> None:
    show, rng = Show(), np.random.default_rng(1)
    encoder = LiveVideoEncoder("H264", show.size, show.timeline, X264)
    packets = []
    for frame in show.frames(100):
        noisy = rng.integers(0, 255, frame.picture.shape, np.uint8)
        packets += encoder.encode(noisy, frame.tick, whole=False)
    assert len(packets) == 100
    assert [i for i, packet in enumerate(packets) if packet.is_keyframe][0] == 0
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    assert len([1 for packet in packets for _ in decoder.decode(packet)] + decoder.decode(None)) == 100
    bound = BITS_PER_PIXEL * show.size.width * show.size.height
    assert np.mean([8 * packet.size for packet in packets[:5]]) > 3 * bound
    assert np.mean([8 * packet.size for packet in packets[50:]]) < 1.2 * bound


def test_x264_encodes_where_nvenc_does_not_open() -> None:
    show = Show()
    encoder = LiveVideoEncoder("H264", show.size, show.timeline)
    assert encoder.name == ("libx264" if nvenc_fails() else "h264_nvenc")
    packets = [packet for frame in show.frames(10) for packet in encoder.encode(frame.picture, frame.tick, whole=False)]
    assert seen("H264", packets) == list(range(10))


def test_whether_nvenc_opens_is_found_out_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvenc, "has_cuda_device", lambda: True)
    nvenc.nvenc_opens.cache_clear()
    try:
        assert nvenc.nvenc_opens() is (not nvenc_fails())
    finally:
        nvenc.nvenc_opens.cache_clear()


def test_the_process_that_tries_nvenc_ends_well_where_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    x264 = av.CodecContext.create("libx264", "w")  # it opens everywhere
    monkeypatch.setattr(av.CodecContext, "create", lambda *_: x264)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(nvenc.__file__, run_name="__main__")
    assert ended.value.code is None


def test_where_nothing_opens_it_is_said_why() -> None:
    if not nvenc_fails():
        pytest.skip("NVENC opens here")
    with pytest.raises((av.FFmpegError, ValueError), match="h264_nvenc"):
        LiveVideoEncoder("H264", Show().size, Show().timeline, NVENC)


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
@pytest.mark.parametrize("packet_ms", PACKET_MS)
def test_sound_is_decoded_at_the_time_at_which_it_was_said(rate: int, packet_ms: int) -> None:
    show = Show(timeline=Timeline(Fraction(30), rate))
    encoder = LiveSoundEncoder(rate, 0, packet_ms)
    packets = [packet for frame in show.frames(60) for packet in encoder.encode(frame.sound)]
    assert len(packets) == 2000 // packet_ms
    pts = [packet.pts for packet in packets if packet.pts is not None]
    assert set(np.diff(pts)) == {rate * packet_ms // 1000}
    said = np.repeat(show.sound_of(60), 48000 // rate)
    offset, correlation = delay(heard(packets), said, within=1000)
    assert abs(offset + pts[0] * 48000 // rate) <= 48  # 1 ms
    assert correlation > 0.7


def test_sound_that_opus_does_not_know_is_refused_with_the_rates_that_it_does() -> None:
    with pytest.raises(ValueError, match="Opus encodes 8000, 12000, 16000, 24000, 48000 Hz, not 44100 Hz"):
        LiveSoundEncoder(44100, 0, 20)


@pytest.mark.parametrize(("fps", "n_packets"), [(25, 1), (50, 1), (Fraction(25, 2), 4)])
def test_a_packet_of_sound_is_as_long_as_a_frame_where_it_can_be(fps: Fraction, n_packets: int) -> None:
    show = Show(timeline=Timeline(Fraction(fps), 48000))
    encoder = LiveEncoder(show.size, show.timeline)
    for frame in show.frames(3):
        packets = encoder.encode([frame], [], []).sound
        assert len(packets) == n_packets
        assert packets[0].pts == frame.tick.first_sample - 312  # the codec's own delay


def test_after_a_gap_sound_goes_on_under_the_right_time() -> None:
    show = Show()
    encoder = LiveEncoder(show.size, show.timeline)
    for frame in show.frames(3):
        encoder.encode([frame], [], [])
    late = show.frame(500)
    packets = encoder.encode([late], [], [])
    assert packets.sound[0].pts == late.tick.first_sample - 156  # the codec's own delay at 24 kHz
    assert packets.picture == {}


def test_only_codecs_in_use_are_encoded() -> None:
    show = Show()
    encoder = LiveEncoder(show.size, show.timeline)
    first, second, third = show.frames(3)
    assert set(encoder.encode([first], ["H264", "VP8"], []).picture) == {"H264", "VP8"}
    assert set(encoder.encode([second], ["VP8"], []).picture) == {"VP8"}
    again = encoder.encode([third], ["H264", "VP8"], []).picture
    assert [again[codec][0].is_keyframe for codec in CODECS] == [True, False]


def test_where_several_frames_wait_pictures_are_left_out_but_no_sound() -> None:
    show = Show()
    encoder = LiveEncoder(show.size, show.timeline)
    frames = list(show.frames(10))
    steps = [encoder.encode(late, ["H264"], []) for late in ([frames[0]], frames[1:6], [frames[6]], frames[7:])]
    assert seen("H264", [packet for step in steps for packet in step.picture["H264"]]) == [0, 5, 6, 9]
    assert len([packet for step in steps for packet in step.sound]) == 10
