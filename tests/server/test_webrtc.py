"""Watching a session over WHEP: a true server, a true player."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from avatar.geometry import Size
from server.errors import ApiError
from server.publishers.live_encoding import LiveEncoder
from server.publishers.offers import NotOnAir
from server.publishers.viewer import PictureTrack, SoundTrack
from server.publishers.webrtc import WebRtcPublisher
from server.whep import whep_routes
from tests.server.player import Player, becomes, on_air, served
from tests.server.show import Show, delay

pytestmark = pytest.mark.anyio

TOKEN = "let me see"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SDP = {"Content-Type": "application/sdp"}


@dataclass
class Stage:
    """A session "one" that can be watched with ``TOKEN``, as "gone" could until it ended."""

    publisher: WebRtcPublisher
    url: str

    @property
    def endpoint(self) -> str:
        return f"{self.url}/whep/one"

    def player(self, **options: object) -> Player:
        return Player(self.endpoint, BEARER, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def stage(show: Show, max_viewers: int = 8, connect_s: float = 20) -> AsyncIterator[Stage]:
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return JSONResponse(error.body, error.status, error.headers)

    async with WebRtcPublisher(show.size, show.timeline, max_viewers=max_viewers, connect_s=connect_s) as publisher:

        async def find(session_id: str) -> WebRtcPublisher | None:
            return {"one": publisher}.get(session_id)

        routes = whep_routes(find, lambda session_id, token: session_id in ("one", "gone") and token == TOKEN)
        async with served(Starlette(routes=routes, exception_handlers={ApiError: refused})) as url:
            yield Stage(publisher, url)


async def post(url: str, content: str | bytes = b"", headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.post(url, content=content, headers=BEARER | SDP if headers is None else headers)


async def delete(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.delete(url, headers=headers)


@asynccontextmanager
async def silent_player() -> AsyncIterator[Player]:
    """A player that makes offers and hangs up afterwards, without a server."""
    player = Player("http://nowhere.invalid")
    yield player
    await player.connection.close()


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_player_sees_every_picture_and_hears_the_sound(codec: str) -> None:
    show = Show()
    async with stage(show) as here, on_air(here.publisher, show), here.player(codecs=[codec]) as player:
        assert f"{codec}/90000" in player.answer
        await player.until(n_pictures=50, n_samples=96_000)
        assert in_order(player.numbers[:50])
        heard = player.sound[24_000:72_000]
        said = np.repeat(show.sound_of(player.numbers[-1] + 50), 2).astype(np.float32)
        assert delay(np.pad(said, len(said)), np.pad(heard, (len(said), 0)), within=len(said))[1] > 0.6


def in_order(numbers: list[int]) -> bool:
    """Whether no picture came twice or too late; on a busy machine some may be left out."""
    return numbers == sorted(set(numbers))


async def test_a_player_that_can_do_both_gets_h264() -> None:
    show = Show()
    async with stage(show) as here, here.player() as player:
        video = player.answer[player.answer.index("m=video") :]
        assert "H264/90000" in video.split("a=rtpmap:")[1]


@pytest.mark.parametrize("kind", ["audio", "video"])
async def test_a_player_may_ask_for_one_of_picture_and_sound(kind: str) -> None:
    show = Show()
    async with stage(show) as here, on_air(here.publisher, show), here.player(kinds=[kind]) as player:
        await player.until(**({"n_samples": 9600} if kind == "audio" else {"n_pictures": 5}))


async def test_several_watch_one_session_whether_they_come_early_or_late() -> None:
    show = Show()
    async with stage(show) as here, on_air(here.publisher, show), here.player() as first:
        await first.until(n_pictures=10)
        async with here.player() as second, here.player(codecs=["VP8"]) as third:
            for late in (second, third):
                await late.until(n_pictures=10)
                assert in_order(late.numbers)
            assert second.whole[0]
        seen = len(first.numbers)
        await first.until(n_pictures=seen + 10)
        assert in_order(first.numbers)


async def test_a_player_that_lost_a_picture_gets_a_whole_one() -> None:
    show = Show()
    async with stage(show) as here, on_air(here.publisher, show), here.player(kinds=["video"]) as player:
        await player.until(n_pictures=10)
        assert sum(player.whole) == 1
        receiver = player.connection.getReceivers()[0]
        source = receiver.getSynchronizationSources()[0].source
        await receiver._send_rtcp_pli(source)
        await player.until(n_pictures=len(player.numbers) + 25)
        assert sum(player.whole) == 2


async def test_deleting_the_location_ends_the_viewing_and_frees_the_place() -> None:
    show = Show()
    async with stage(show, max_viewers=1) as here, on_air(here.publisher, show):
        async with here.player() as player:
            await player.until(n_pictures=3)
            full = await post(here.endpoint, "v=0\r\n")
            assert full.status_code == 503
            assert full.json()["code"] == "TOO_MANY_VIEWERS"
            assert full.headers["retry-after"]
            assert (await delete(player.location)).status_code == 200
            await asyncio.wait_for(player.ended.wait(), 10)
            gone = await delete(player.location, BEARER)
            assert (gone.status_code, gone.json()["code"]) == (404, "VIEWER_NOT_FOUND")
            assert (await delete(player.location)).status_code == 401
        async with here.player() as player:
            await player.until(n_pictures=3)


async def test_a_player_that_goes_away_without_a_word_is_noticed() -> None:
    show = Show()
    async with stage(show) as here, on_air(here.publisher, show):
        async with here.player() as player:
            await player.until(n_pictures=3)
            assert here.publisher.n_viewers == 1
        await becomes(lambda: here.publisher.n_viewers == 0)


async def test_who_asks_to_watch_and_never_comes_loses_the_place() -> None:
    async with stage(Show(), connect_s=0.1) as here, silent_player() as absent:
        assert (await post(here.endpoint, await absent.offer())).status_code == 201
        assert here.publisher.n_viewers == 1
        await becomes(lambda: here.publisher.n_viewers == 0)


async def test_the_end_of_the_session_hangs_up_on_everybody() -> None:
    show = Show()
    async with stage(show) as here, on_air(here.publisher, show), here.player() as one, here.player() as two:
        await one.until(n_pictures=3)
        await two.until(n_pictures=3)
        await here.publisher.__aexit__(None, None, None)
        await asyncio.wait_for(one.ended.wait(), 10)
        await asyncio.wait_for(two.ended.wait(), 10)
        assert here.publisher.n_viewers == 0
        late = await post(here.endpoint, "v=0\r\n")
        assert (late.status_code, late.json()["code"]) == (409, "NOT_ON_AIR")
        assert late.headers["retry-after"]


async def test_a_token_may_also_stand_in_the_address() -> None:
    show = Show()
    async with (
        stage(show) as here,
        on_air(here.publisher, show),
        Player(f"{here.endpoint}?token={TOKEN.replace(' ', '%20')}") as player,
    ):
        await player.until(n_pictures=3)
        assert "token" not in player.location
        assert (await delete(player.location)).status_code == 200


async def test_nobody_watches_without_the_session_s_token() -> None:
    async with stage(Show()) as here:
        for headers in (SDP, SDP | {"Authorization": "Bearer guess"}, SDP | {"Authorization": f"Basic {TOKEN}"}):
            answer = await post(here.endpoint, "v=0\r\n", headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_TOKEN")
        assert here.publisher.n_viewers == 0


async def test_a_session_that_is_not_there_is_not_found_by_who_may_watch_it() -> None:
    async with stage(Show()) as here:
        answer = await post(f"{here.url}/whep/gone", "v=0\r\n")
        assert (answer.status_code, answer.json()["code"]) == (404, "SESSION_NOT_FOUND")
        assert (await delete(f"{here.url}/whep/gone/x", BEARER)).status_code == 404


async def test_strangers_do_not_learn_which_sessions_and_viewers_there_are() -> None:
    async with stage(Show()) as here:
        for session in ("one", "two"):
            answer = await post(f"{here.url}/whep/{session}", "v=0\r\n", SDP)
            assert (answer.status_code, answer.json()["code"]) == (401, "INVALID_TOKEN")
            assert (await delete(f"{here.url}/whep/{session}/x")).status_code == 401


@pytest.mark.parametrize(
    "offer",
    [
        b"",
        b"hello",
        b"v=0\r\nm=\r\n",
        b"\xff\xfe",
        b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
        b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n",
        b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF x\r\na=mid:0\r\n",
    ],
)
async def test_what_is_no_offer_is_refused_and_the_session_lives(offer: bytes) -> None:
    show = Show()
    async with stage(show) as here, on_air(here.publisher, show):
        answer = await post(here.endpoint, offer)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_OFFER")
        assert here.publisher.n_viewers == 0
        async with here.player() as player:
            await player.until(n_pictures=1)


async def test_an_offer_with_other_codecs_alone_is_not_acceptable() -> None:
    async with stage(Show()) as here, silent_player() as player:
        offer = (await player.offer()).replace("H264/90000", "H265/90000").replace("VP8/90000", "AV1/90000")
        answer = await post(here.endpoint, offer)
        assert (answer.status_code, answer.json()["code"]) == (406, "NO_COMMON_CODEC")


async def test_an_offer_is_sdp_and_not_larger_than_an_offer() -> None:
    async with stage(Show()) as here:
        other = await post(here.endpoint, "{}", BEARER | {"Content-Type": "application/json"})
        assert (other.status_code, other.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
        large = await post(here.endpoint, b"v" * 70_000)
        assert (large.status_code, large.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_addresses_that_a_browser_hides_are_not_looked_up() -> None:
    show = Show()
    async with stage(show) as here, on_air(here.publisher, show), here.player() as player:
        await player.until(n_pictures=1)
    async with stage(show) as here, on_air(here.publisher, show), silent_player() as player:
        offer = await player.offer()
        shown = [line for line in offer.splitlines() if line.startswith("a=candidate:")]
        for line in shown:
            fields = line.split(" ")
            fields[4] = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9.local"
            offer = offer.replace(line, " ".join(fields))
        assert (await post(here.endpoint, offer)).status_code == 201


async def test_while_nobody_watches_nothing_is_encoded() -> None:
    show = Show(size=Size(64, 64))
    async with WebRtcPublisher(show.size, show.timeline) as publisher:
        for frame in show.frames(100):
            publisher.publish(frame)
        await asyncio.sleep(0)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("webrtc")]


async def test_an_offer_to_a_publisher_that_was_not_entered_is_refused() -> None:
    publisher = WebRtcPublisher(Size(64, 64), Show().timeline)
    with pytest.raises(NotOnAir, match="the session is not on the air"):
        await publisher.answer("v=0\r\n")


async def test_a_connection_that_stands_still_loses_pictures_up_to_the_next_whole_one() -> None:
    show, track = Show(size=Size(64, 64)), PictureTrack()
    encoder = LiveEncoder(show.size, show.timeline)
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    for frame in show.frames(8):
        track.send(encoder.encode([frame], ["H264"], []).picture["H264"])
    assert track.needs_whole
    for frame in show.frames(3, first=8):
        packets = encoder.encode([frame], ["H264"], ["H264"] if track.needs_whole else [])
        track.send(packets.picture["H264"])
    assert not track.needs_whole
    assert [packet.pts for packet in (await reading, await track.recv(), await track.recv())] == [7680, 8640, 9600]


async def test_a_connection_that_stands_still_loses_the_oldest_sound() -> None:
    show, track = Show(), SoundTrack()
    encoder = LiveEncoder(show.size, show.timeline)
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    packets = [p for f in show.frames(100) for p in encoder.encode([f], [], []).sound]
    track.send(packets)
    assert await reading is packets[50]
    assert await track.recv() is packets[51]


async def test_an_interruption_throws_away_sound_that_waits() -> None:
    show, track = Show(), SoundTrack()
    encoder = LiveEncoder(show.size, show.timeline)
    reading = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    old, new = (encoder.encode([f], [], []).sound for f in show.frames(2))
    track.send(old)
    track.flush()
    track.send(new)
    assert await reading is new[0]
