"""The studio: what is served, and what one sees and hears in a browser."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from server.settings import Settings
from server.studio_routes import FOLDER, MEDIA_TYPES
from server.wiring import build_server
from tests.server.chromium import Page, needs_chromium, page_at

pytestmark = pytest.mark.anyio

KEY = "a-key-for-the-studio"
HEADERS = {"x-api-key": KEY}
SCREENSHOT = os.environ.get("STUDIO_SCREENSHOT", "")
"""Where to keep a picture of the studio with the embedded avatar; none is made when it is empty."""


@asynccontextmanager
async def studio(avatars: Path, **changes: object) -> AsyncIterator[str]:
    """The whole server; the URL of its studio."""
    settings = Settings(
        host="127.0.0.1", port=0, api_keys=(KEY,), avatar_dirs=(str(avatars),), drain_s=3, overload="ignored"
    )
    server = build_server(dataclasses.replace(settings, **changes))  # type: ignore[arg-type]
    task = asyncio.create_task(server.serve())
    await server.listening.wait()
    host, port = server.address
    try:
        yield f"http://{host}:{port}/studio"
    finally:
        server.should_exit = True
        await task


HEARING = """
const context = new AudioContext();
const analyser = context.createAnalyser();
analyser.fftSize = 8192;
context.createMediaStreamSource(document.querySelector('video').srcObject).connect(analyser);
window.loudest = 0;
setInterval(() => {
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  window.loudest = Math.max(window.loudest, Math.sqrt(samples.reduce((sum, s) => sum + s * s, 0) / samples.length));
}, 100);
"""
"""Listens to the video: ``loudest`` is the highest RMS since, full scale 1."""

PAINTED = "(canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean))"

FRAMES = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"


async def signed_in(page: Page) -> None:
    """Waits until the sign-in page has given way to the studio; that it was refused first is no complaint."""
    await page.until("document.getElementById('avatar')?.options.length > 0")
    assert await page.run("location.hash") == ""
    page.complaints[:] = [complaint for complaint in page.complaints if "401" not in complaint]


async def started(page: Page, avatar: str = "tiny") -> None:
    await signed_in(page)
    await page.run(f"document.getElementById('avatar').value = '{avatar}'")
    await page.run("document.getElementById('avatar').dispatchEvent(new Event('change'))")
    await page.click("#start")
    await page.until("document.body.dataset.phase === 'on'")
    await page.until("document.querySelector('video').videoWidth > 0")
    await page.run(HEARING)


def logged(text: str) -> str:
    return f"document.getElementById('log').innerText.includes({text!r})"


@needs_chromium
async def test_one_sees_and_hears_the_avatar_speak_in_a_browser(tiny_avatar: Path) -> None:
    async with studio(tiny_avatar.parent) as url, page_at(f"{url}#key={KEY}") as page:
        await started(page)

        before = await page.run(FRAMES)
        await page.until(f"{FRAMES} > {before + 10}")
        assert await page.run("loudest") < 0.001

        await page.click("#sample")
        await page.until(logged("speak_started"))
        await page.until("loudest > 0.02")
        before = await page.run(FRAMES)
        await page.until(f"{FRAMES} > {before + 25}")
        await page.until("document.getElementById('first-word').innerText.endsWith('ms')")
        await page.until("document.getElementById('frame-rate').innerText.endsWith('fps')")
        for graph in ("words", "trips", "frames"):
            await page.until(f"document.getElementById('{graph}-now').innerText !== ''")
            await page.until(f"{PAINTED}(document.getElementById('{graph}'))")

        await page.click("#interrupt")
        await page.until(logged("speak_interrupted"))
        await page.run("setTimeout(() => { loudest = 0 }, 1500)")
        await page.until("loudest === 0")
        await asyncio.sleep(0.3)
        assert await page.run("loudest") < 0.001

        await page.click("#stop")
        await page.until("document.body.dataset.phase === 'off'")
        assert page.complaints == []
        await nobody_is_left(url)


@needs_chromium
async def test_states_and_gestures_are_a_button_away(tiny_avatar: Path) -> None:
    async with studio(tiny_avatar.parent) as url, page_at(f"{url}#key={KEY}") as page:
        await started(page)
        await page.click("[data-state=listen]")
        await page.until("document.querySelector('[data-state=listen]').ariaPressed === 'true'")
        await page.click("#gestures button")
        await page.until(logged("action_started"))
        assert page.complaints == []


@needs_chromium
async def test_xml_and_json_can_be_sent_as_an_agent_sends_them(tiny_avatar: Path) -> None:
    async with studio(tiny_avatar.parent) as url, page_at(f"{url}#key={KEY}") as page:
        await started(page)
        for content, seen in (
            ('{"type": "action", "action": "nod"}', "action_ended name=NOD"),
            ("<gesture name='smile'/>", "action_started name=SMILE"),
            ("<gesture name='fly'/>", "action_ignored name=fly"),
        ):
            await page.run(f"document.getElementById('content').value = {json.dumps(content)}")
            await page.run("document.getElementById('special').requestSubmit()")
            await page.until(logged(seen))
        assert page.complaints == []


@needs_chromium
async def test_a_sound_file_of_any_kind_is_spoken(tiny_avatar: Path, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        tone = 9000 * np.sin(np.arange(66150) * 0.06) * np.sin(np.arange(66150) * 0.0005)
        file.writeframes(np.repeat(tone.astype("<i2"), 2).tobytes())
    (tmp_path / "text.wav").write_text("no sound at all")
    async with studio(tiny_avatar.parent) as url, page_at(f"{url}#key={KEY}") as page:
        await started(page)
        await page.choose("#file", tmp_path / "text.wav")
        await page.until("document.getElementById('problem').innerText.includes('no sound')")
        await page.choose("#file", tmp_path / "stereo.wav")
        await page.until(logged("speaking 1.5 s"))
        await page.until(logged("speak_ended utterance=1 played_ms=1500"))
        await page.until("loudest > 0.02")
        assert page.complaints == []


@needs_chromium
async def test_the_microphone_speaks_while_its_button_is_held(tiny_avatar: Path) -> None:
    async with studio(tiny_avatar.parent) as url, page_at(f"{url}#key={KEY}") as page:
        await started(page)
        await page.run("document.getElementById('microphone').focus()")
        await page.call("Input.dispatchKeyEvent", type="keyDown", key=" ", code="Space", windowsVirtualKeyCode=32)
        await page.until(logged("speak_started"))  # the browser's false microphone beeps
        await page.call("Input.dispatchKeyEvent", type="keyUp", key=" ", code="Space", windowsVirtualKeyCode=32)
        await page.until(logged("voice_end"))
        await page.until(logged("speak_ended"))
        assert page.complaints == []


@needs_chromium
async def test_a_wrong_key_is_said_to_be_wrong_and_the_right_one_opens_the_studio(tiny_avatar: Path) -> None:
    async with studio(tiny_avatar.parent) as url, page_at(f"{url}#key=wrong") as page:
        await page.until("document.getElementById('problem').innerText.includes('API key')")
        await page.run(f"document.getElementById('key').value = '{KEY}'")
        await page.click("button")
        await signed_in(page)


@needs_chromium
async def test_closing_the_page_ends_the_session(tiny_avatar: Path) -> None:
    async with studio(tiny_avatar.parent) as url:
        async with page_at(f"{url}#key={KEY}") as page:
            await started(page)
            await page.call("Page.navigate", url="about:blank")
            await nobody_is_left(url)


async def nobody_is_left(url: str) -> None:
    """Waits until the server has no sessions."""
    async with asyncio.timeout(20), httpx.AsyncClient(headers=HEADERS) as http:
        while (await http.get(url.replace("/studio", "/readyz"))).json()["sessions"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@needs_chromium
@pytest.mark.skipif(not SCREENSHOT, reason="STUDIO_SCREENSHOT says where to keep one")
async def test_a_picture_of_the_studio_for_the_readme(tmp_path: Path) -> None:
    async with studio(tmp_path) as url, page_at(f"{url}#key={KEY}") as page:
        await started(page, "ava")
        await page.click("#sample")
        await page.until("loudest > 0.02")
        await asyncio.sleep(3)
        await page.screenshot(Path(SCREENSHOT))


@pytest.mark.parametrize("prefix", ["", "/provider"])
async def test_the_page_loads_nothing_but_its_own_files(tiny_avatar: Path, prefix: str) -> None:
    async with studio(tiny_avatar.parent, path_prefix=prefix) as url, httpx.AsyncClient(headers=HEADERS) as http:
        page = await http.get(url.replace("/studio", f"{prefix}/studio"))
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "//" not in page.text.replace("<!doctype html>", "")
        for path in FOLDER.iterdir():
            answer = await http.get(f"{page.url}/{path.name}")
            assert answer.status_code == (200 if path.suffix in MEDIA_TYPES else 404), path.name
            if path.suffix in MEDIA_TYPES:
                assert answer.headers["content-type"].startswith(MEDIA_TYPES[path.suffix])
                assert "content-security-policy" in answer.headers


@pytest.mark.parametrize("name", ["none.js", "CREDITS.md", "..%2Fapp.py", "%2e%2e%2fapp.py", "....//x.js"])
async def test_nothing_else_is_served(tiny_avatar: Path, name: str) -> None:
    async with studio(tiny_avatar.parent) as url, httpx.AsyncClient(headers=HEADERS) as http:
        assert (await http.get(f"{url}/{name}")).status_code == 404


async def test_a_pass_opens_the_pages_files_and_nothing_else(tiny_avatar: Path) -> None:
    async with studio(tiny_avatar.parent) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/studio.js")).status_code == 401
        assert (await http.post(url, headers={"x-api-key": "wrong"})).status_code == 401
        assert (await http.post(url)).status_code == 403
        signed_in = await http.post(url, headers=HEADERS)
        assert signed_in.status_code == 204
        cookie = signed_in.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert KEY not in cookie
        assert (await http.get(url)).status_code == 200
        assert (await http.get(f"{url}/studio.js")).status_code == 200
        assert (await http.get(url.replace("/studio", "/avatars"))).status_code == 403
    async with studio(tiny_avatar.parent) as url, httpx.AsyncClient(cookies=http.cookies) as http:
        assert (await http.get(url)).status_code == 401, "another server's pass"
