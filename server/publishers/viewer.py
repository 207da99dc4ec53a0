"""One who watches a session: a WebRTC connection that is fed with packets encoded elsewhere."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpCodecCapability,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import SessionDescription

from server.publishers.live_encoding import VideoCodec
from server.publishers.offers import NoCommonCodec, OfferRefused

log = logging.getLogger(__name__)

PICTURES_HELD = 5
"""Pictures that wait for a connection; beyond that all are dropped, up to the next whole one."""

SOUND_HELD = 50
"""Packets of sound that wait for a connection that stands still; beyond that the oldest is dropped."""

HANG_UP_S = 3
"""Seconds that closing a connection may take."""

CODECS: Sequence[VideoCodec] = ("H264", "VP8")
"""Most wanted first: H.264 costs half as much as VP8."""


class PacketTrack(MediaStreamTrack):
    """A track whose packets wait in a queue until the connection takes them; it drops what nobody takes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.is_read = False
        self._queue: deque[av.Packet[Any]] = deque()
        self._arrived = asyncio.Event()

    async def recv(self) -> av.Packet[Any]:
        self.is_read = True
        while not self._queue:
            if self.readyState == "ended":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    def stop(self) -> None:
        super().stop()
        self.is_read = False
        self._arrived.set()

    def _put(self, packet: av.Packet[Any]) -> None:
        self._queue.append(packet)
        self._arrived.set()


class SoundTrack(PacketTrack):
    def __init__(self) -> None:
        super().__init__("audio")

    def send(self, packets: Sequence[av.Packet[Any]]) -> None:
        for packet in packets if self.is_read else ():
            if len(self._queue) >= SOUND_HELD:
                self._queue.popleft()
            self._put(packet)

    def flush(self) -> None:
        self._queue.clear()


class PictureTrack(PacketTrack):
    """Pictures build on one another, so that after a gap only a whole one helps; ``needs_whole`` asks for it."""

    def __init__(self) -> None:
        super().__init__("video")
        self.needs_whole = True
        self._in_step = False

    def send(self, packets: Sequence[av.Packet[Any]]) -> None:
        for packet in packets if self.is_read else ():
            if len(self._queue) >= PICTURES_HELD:
                self._queue.clear()
                self._in_step = False
                self.needs_whole = True
            if packet.is_keyframe:
                self._in_step = True
                self.needs_whole = False
            if self._in_step:
                self._put(packet)

    def ask_for_whole(self) -> None:
        self.needs_whole = True


class Viewer:
    """A connection to one who watches.

    Attributes:
        id: a secret.
        codec: of the pictures; known once the offer is answered.
        pictures, sound: the tracks to feed.
        connected, gone: set once it is, and once it is over.
    """

    def __init__(self, ice_servers: Sequence[RTCIceServer]) -> None:
        self.id = uuid.uuid4().hex
        self.codec: VideoCodec = CODECS[0]
        self.pictures = PictureTrack()
        self.sound = SoundTrack()
        self.connected = asyncio.Event()
        self.gone = asyncio.Event()
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self._connection.on("connectionstatechange", self._on_state)

    @property
    def is_watching(self) -> bool:
        """Whether the connection takes pictures or sound."""
        return self.pictures.is_read or self.sound.is_read

    async def answer(self, offer: str) -> str:
        """The SDP answer to an SDP offer, with every candidate in it.

        Raises:
            OfferRefused: it is not SDP, or asks for neither picture nor sound.
            NoCommonCodec: it has no codec that we have.
        """
        offer = _without_hidden_addresses(offer)
        wanted = _kinds(offer)
        if "video" in wanted:
            sender = self._connection.addTrack(self.pictures)
            # The sender would ask its own encoder for a whole picture when its peer has lost one; ours is elsewhere.
            sender._send_keyframe = self.pictures.ask_for_whole  # type: ignore[method-assign]
            self._connection.getTransceivers()[-1].setCodecPreferences(_preferred())
        if "audio" in wanted:
            self._connection.addTrack(self.sound)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        except OperationError as error:
            raise NoCommonCodec("the offer has no codec that we have: H.264 or VP8, and Opus") from error
        except Exception as error:  # whatever a parser of strangers' SDP stumbles over
            raise OfferRefused(f"the offer cannot be used: {error}") from error
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        answer = self._connection.localDescription.sdp
        if "video" in wanted:
            self.codec = _codec_of(answer)
        return answer

    async def hang_up(self) -> None:
        try:
            async with asyncio.timeout(HANG_UP_S):
                await self._connection.close()
        except TimeoutError:
            log.warning("a viewer's connection did not close")
        self.gone.set()

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self.connected.set()
        elif state in ("failed", "closed"):
            self.connected.set()
            self.gone.set()


def _without_hidden_addresses(offer: str) -> str:
    """The offer without candidates that a browser hides behind mDNS names.

    Looking them up takes seconds and mostly fails; the browser's own checks, which reach us anyway, show the address.
    Nor does the offer then say that its candidates are complete, so that those checks are waited for.
    """
    hidden = [line for line in offer.splitlines() if line.startswith("a=candidate:") and ".local " in line]
    if not hidden:
        return offer
    return "".join(f"{line}\r\n" for line in offer.splitlines() if line not in hidden and line != "a=end-of-candidates")


def _kinds(offer: str) -> Collection[str]:
    try:
        kinds = {media.kind for media in SessionDescription.parse(offer).media if media.port}
    except Exception as error:  # whatever a parser of strangers' SDP stumbles over
        raise OfferRefused("the offer is not an SDP session description") from error
    if not kinds & {"audio", "video"}:
        raise OfferRefused("the offer asks for neither picture nor sound")
    return kinds


def _preferred() -> list[RTCRtpCodecCapability]:
    offered = RTCRtpSender.getCapabilities("video").codecs
    names = [f"video/{codec.lower()}" for codec in (*CODECS, "rtx")]
    return sorted(offered, key=lambda codec: names.index(codec.mimeType.lower()))


def _codec_of(answer: str) -> VideoCodec:
    """The codec that pictures are sent in: the first in the answer."""
    media = next(media for media in SessionDescription.parse(answer).media if media.kind == "video")
    name = media.rtp.codecs[0].name.upper()
    return next(codec for codec in CODECS if codec == name)
