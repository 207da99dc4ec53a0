"""The Agora SDK, driven. Only a publisher's child imports this: the SDK's import changes the whole process."""

from __future__ import annotations

from typing import Any

from agora.rtc.agora_base import (
    AreaCode,
    AudioPublishType,
    AudioScenarioType,
    ChannelProfileType,
    ClientRoleType,
    EncodedVideoFrameInfo,
    ExternalVideoFrame,
    RTCConnConfig,
    RtcConnectionPublishConfig,
    SenderOptions,
    VideoCodecType,
    VideoDimensions,
    VideoEncoderConfiguration,
    VideoPublishType,
)
from agora.rtc.agora_service import AgoraService, AgoraServiceConfig
from agora.rtc.local_user_observer import IRTCLocalUserObserver
from agora.rtc.rtc_connection_observer import IRTCConnectionObserver

from server.publishers.agora import messages
from server.publishers.agora.messages import Failed, Join, Notify, Trouble
from server.publishers.agora.reasons import reason
from server.publishers.agora.sound_blocks import Block

AREAS = {
    "GLOBAL": AreaCode.AREA_CODE_GLOB,
    "NORTH_AMERICA": AreaCode.AREA_CODE_NA,
    "EUROPE": AreaCode.AREA_CODE_EU,
    "ASIA": AreaCode.AREA_CODE_AS,
    "INDIA": AreaCode.AREA_CODE_IN,
    "JAPAN": AreaCode.AREA_CODE_JP,
}
CODECS = {
    "H264": VideoCodecType.VIDEO_CODEC_H264,
    "VP8": VideoCodecType.VIDEO_CODEC_VP8,
    "AV1": VideoCodecType.VIDEO_CODEC_AV1,
}
I420 = 1
RAW_DATA = 1
KEY_FRAME, DELTA_FRAME = 3, 4
"""Of ``EncodedVideoFrameInfo.frame_type``."""

ENCODED_SENT = 1
"""What pushing an encoded picture returns on success, where everything else returns 0."""

NOT_HERE = -1
"""Tells the wrapper to leave the audio scenario as it is: it would change it in the SDK's thread, while we push."""

ORIGIN_MS = 1000
"""The timeline's beginning in the SDK's timestamps: it takes 0 for a timestamp that was not given."""


class JoinRefused(Exception):
    """The SDK refused at once."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.report = Failed(code, message)


class Channel:
    """A connection that publishes one picture track and one sound track. All methods belong to one thread.

    Args:
        notify: is told what the SDK reports, from the SDK's threads.
    """

    def __init__(self, join: Join, notify: Notify) -> None:
        self._join = join
        self._notify = notify
        self._rate = join.ring.sample_rate
        self._service = AgoraService()
        self._connection: Any = None
        self._observers: tuple[object, ...] = ()  # the SDK holds no references of its own
        self._is_published = False

    def connect(self) -> None:
        """Begins to connect; ``Connected`` or ``Failed`` is notified.

        Raises:
            JoinRefused: the SDK refused at once.
        """
        join = self._join
        config = AgoraServiceConfig(
            appid=join.app_id,
            enable_video=1,
            use_string_uid=int(join.string_uid),
            area_code=AREAS[join.area].value,
            log_path=f"{join.folder}/agora.log",
            data_dir=join.folder,
            config_dir=join.folder,
        )
        self._check("initialize", self._service.initialize(config))
        connection_config = RTCConnConfig(
            client_role_type=ClientRoleType.CLIENT_ROLE_BROADCASTER,
            channel_profile=ChannelProfileType.CHANNEL_PROFILE_LIVE_BROADCASTING,
            auto_subscribe_audio=0,
            auto_subscribe_video=0,
            enable_audio_recording_or_playout=0,
        )
        publish_config = RtcConnectionPublishConfig(
            audio_scenario=AudioScenarioType.AUDIO_SCENARIO_AI_SERVER,
            is_publish_audio=True,
            is_publish_video=True,
            audio_publish_type=AudioPublishType.AUDIO_PUBLISH_TYPE_PCM,
            video_publish_type=VideoPublishType.VIDEO_PUBLISH_TYPE_ENCODED_IMAGE
            if join.encoded
            else VideoPublishType.VIDEO_PUBLISH_TYPE_YUV,
            video_encoded_image_sender_options=SenderOptions(target_bitrate=join.kbit_s, codec_type=CODECS[join.codec]),
        )
        self._connection = self._service.create_rtc_connection(connection_config, publish_config)
        self._observers = _ConnectionObserver(self._notify, join.uid), _UserObserver(self._notify)
        self._check("register_observer", self._connection.register_observer(self._observers[0]))
        self._check("register_local_user_observer", self._connection.register_local_user_observer(self._observers[1]))
        if not join.encoded:
            self._configure_encoder()
        self._check("connect", self._connection.connect(join.token, join.channel, join.uid))

    def publish(self) -> None:
        """Once connected, or connected again.

        Raises:
            JoinRefused: the SDK refused a track.
        """
        if not self._is_published:
            self._check("publish_audio", self._connection.publish_audio())
            self._check("publish_video", self._connection.publish_video())
            self._is_published = True

    def renew_token(self, token: str) -> None:
        if self._connection.renew_token(token):
            self._notify(Trouble("TOKEN_REFUSED", "the Agora SDK refused the new token"))

    def change_sound_mode(self, scenario: int) -> None:
        """Publishes sound anew in another audio scenario."""
        self._connection.update_audio_scenario(AudioScenarioType(scenario))
        message = f"somebody in the channel cannot hear AI sound at its best; audio scenario {scenario} is used"
        self._notify(Trouble("SOUND_MODE_REPLACED", message))

    def push_sound(self, block: Block) -> int:
        """Hands over a block; 0 is success."""
        ms = self._ms(block.first_sample)
        return int(self._connection.push_audio_pcm_data(block.pcm, self._rate, 1, ms))

    def push_picture(self, first_sample: int, picture: memoryview) -> int:
        """Hands over an I420 picture, which must be writable though nobody writes to it; 0 is success.

        Raises:
            ValueError: it has not exactly the bytes that its size needs; the SDK would read beyond a short one.
        """
        ring = self._join.ring
        if picture.nbytes != ring.n_picture:
            raise ValueError(
                f"a picture has {picture.nbytes} bytes, but {ring.width}x{ring.height} has {ring.n_picture}"
            )
        frame = ExternalVideoFrame(
            type=RAW_DATA,
            format=I420,
            buffer=picture,
            stride=ring.width,
            height=ring.height,
            timestamp=self._ms(first_sample),
        )
        return int(self._connection.push_video_frame(frame))

    def push_encoded(self, first_sample: int, picture: bytes, *, key_frame: bool) -> int:
        """Hands over an encoded picture; 0 is success."""
        ring, fps, ms = self._join.ring, self._join.fps, self._ms(first_sample)
        info = EncodedVideoFrameInfo(
            codec_type=CODECS[self._join.codec],
            width=ring.width,
            height=ring.height,
            frames_per_second=round(fps[0] / fps[1]),
            frame_type=KEY_FRAME if key_frame else DELTA_FRAME,
            capture_time_ms=ms,
            decode_time_ms=ms,
            presentation_ms=ms,
        )
        answer = int(self._connection.push_video_encoded_data(picture, info))
        return 0 if answer == ENCODED_SENT else answer or -1

    def leave(self) -> None:
        """Leaves the channel and gives everything back; may be called at any time."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection.release()
            self._connection = None
        self._service.release()
        self._observers = ()

    def _configure_encoder(self) -> None:
        """Asks for the codec; one that the SDK refuses is reported and replaced by H.264."""
        join = self._join
        for codec in dict.fromkeys((join.codec, "H264")):
            # In kbit/s, and new for every call: the wrapper multiplies it by 1000 where it stands.
            config = VideoEncoderConfiguration(
                dimensions=VideoDimensions(width=join.ring.width, height=join.ring.height),
                codec_type=CODECS[codec],
                frame_rate=round(join.fps[0] / join.fps[1]),
                bitrate=join.kbit_s,
            )
            answer = self._connection.set_video_encoder_configuration(config)
            if answer == 0:
                if codec != join.codec:
                    message = f"the Agora SDK refused {join.codec}; pictures are sent as {codec}"
                    self._notify(Trouble("CODEC_REPLACED", message))
                return
        raise JoinRefused("CHANNEL_CODEC_REFUSED", f"the Agora SDK refused {join.codec} and H264 (error {answer})")

    def _ms(self, sample: int) -> int:
        return ORIGIN_MS + sample * 1000 // self._rate

    def _check(self, what: str, answer: int) -> None:
        if answer != 0:
            raise JoinRefused("CHANNEL_JOIN_FAILED", f"the Agora SDK's {what} failed with error {answer}")


class _ConnectionObserver(IRTCConnectionObserver):  # type: ignore[misc]
    """Called in the SDK's threads: copies what it is told, hands it over, and calls nothing."""

    def __init__(self, notify: Notify, uid: str) -> None:
        self._notify = notify
        self._uid = uid

    def on_connected(self, connection: Any, info: Any, reason: int) -> None:
        self._notify(messages.Connected())

    def on_reconnecting(self, connection: Any, info: Any, reason: int) -> None:
        self._notify(messages.Reconnecting())

    def on_reconnected(self, connection: Any, info: Any, reason: int) -> None:
        self._notify(messages.Reconnected())

    def on_connection_lost(self, connection: Any, info: Any) -> None:
        self._notify(messages.ConnectionLost())

    def on_disconnected(self, connection: Any, info: Any, number: int) -> None:
        self._failed(number)

    def on_connection_failure(self, connection: Any, info: Any, number: int) -> None:
        self._failed(number)

    def on_token_privilege_will_expire(self, connection: Any, token: str) -> None:
        self._notify(messages.TokenWillExpire())

    def on_token_privilege_did_expire(self, connection: Any) -> None:
        self._failed(9)

    def on_transport_stats(self, connection: Any, stats: Any) -> None:
        self._notify(
            messages.TransportStats(
                duration_s=stats.duration,
                round_trip_ms=stats.gateway_rtt,
                last_mile_ms=stats.lastmile_delay,
                sent_bytes=stats.tx_bytes,
                sent_kbit_s=stats.tx_k_bit_rate,
                sent_video_kbit_s=stats.tx_video_k_bit_rate,
                sent_audio_kbit_s=stats.tx_audio_k_bit_rate,
                loss_percent=stats.tx_packet_loss_rate,
                users=stats.user_count,
            )
        )

    def on_user_network_quality(self, connection: Any, uid: str, uplink: int, downlink: int) -> None:
        if uid in ("", "0", self._uid):
            self._notify(messages.NetworkQuality(uplink, downlink))

    def on_error(self, connection: Any, code: int, text: str) -> None:
        self._notify(Trouble("AGORA_ERROR", f"the Agora SDK reports error {code}"))

    def on_aiqos_capability_missing(self, connection: Any, scenario: int) -> int:
        self._notify(messages.SoundModeAdvised(int(scenario)))
        return NOT_HERE

    def _failed(self, number: int) -> None:
        why = reason(number)
        self._notify(Failed(why.code, why.message, why.final))


class _UserObserver(IRTCLocalUserObserver):  # type: ignore[misc]
    """Called in the SDK's threads, too."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify

    def on_intra_request_received(self, user: Any) -> None:
        self._notify(messages.IntraRequested())

    def on_video_track_publication_failure(self, user: Any, track: Any, error: int) -> None:
        self._notify(Trouble("PICTURE_NOT_PUBLISHED", f"the Agora SDK could not publish pictures (error {error})"))

    def on_audio_track_publication_failure(self, user: Any, track: Any, error: int) -> None:
        self._notify(Trouble("SOUND_NOT_PUBLISHED", f"the Agora SDK could not publish sound (error {error})"))

    def on_local_video_track_statistics(self, user: Any, track: Any, stats: Any) -> None:
        self._notify(
            messages.VideoStats(
                encoded_fps=stats.encode_frame_rate,
                target_bit_s=stats.target_media_bitrate_bps,
                media_bit_s=stats.media_bitrate_bps,
                width=stats.width,
                height=stats.height,
            )
        )
