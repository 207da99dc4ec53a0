"""Debian's Chromium, driven through its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

PROGRAM = shutil.which("chromium")

needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium: apt-get install chromium")

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
    "--window-size=1440,900",
]


@dataclass
class Page:
    """One page of the browser.

    Attributes:
        complaints: errors of the page's scripts, and what its security policy refused.
    """

    socket: ClientConnection
    session: str = ""
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def open(self, url: str) -> None:
        """Makes the page and waits until it has loaded."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def call(self, method: str, **params: object) -> Any:
        """Sends a command of the DevTools protocol and returns its result."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        target = {"sessionId": self.session} if self.session else {}
        await self.socket.send(json.dumps({"id": number, "method": method, "params": params, **target}))
        return await asyncio.wait_for(self._answers[number], 60)

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        answer = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str, timeout_s: float = 60) -> None:
        """Waits until an expression in the page is true."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self.run(condition):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            shown = await self.run("document.body.innerText")
            raise AssertionError(f"it never became true: {condition}\n{shown}\n{self.complaints}") from None

    async def click(self, selector: str) -> None:
        """Presses what a selector finds, with the mouse."""
        box = await self.run(f"(({CENTRE})(document.querySelector({selector!r})))")
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    async def choose(self, selector: str, path: Path) -> None:
        """Puts a file into an input."""
        document = await self.call("DOM.getDocument")
        found = await self.call("DOM.querySelector", nodeId=document["root"]["nodeId"], selector=selector)
        await self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=found["nodeId"])

    async def screenshot(self, path: Path) -> None:
        picture = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(picture["data"]))

    async def listen(self) -> None:
        """Takes what the browser says until it closes."""
        notes: Mapping[str, Callable[[Any], str]] = {
            "Runtime.exceptionThrown": lambda params: str(params["exceptionDetails"]),
            "Log.entryAdded": lambda params: f"{params['entry']['text']} {params['entry'].get('url', '')}",
        }
        async for text in self.socket:
            message = json.loads(text)
            if message.get("id") in self._answers:
                answer = self._answers.pop(message["id"])
                if "error" in message:
                    answer.set_exception(AssertionError(message["error"]))
                else:
                    answer.set_result(message["result"])
            elif message.get("method") in notes and message["params"].get("entry", {}).get("level", "error") == "error":
                self.complaints.append(notes[message["method"]](message["params"]))


CENTRE = (
    "e => { e.scrollIntoView(); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] }"
)


@asynccontextmanager
async def page_at(url: str, *flags: str) -> AsyncIterator[Page]:
    """Opens a page in a browser of its own."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        browser = await asyncio.create_subprocess_exec(
            PROGRAM,
            *FLAGS,
            *flags,
            f"--user-data-dir={folder}",
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=os.environ | {"HOME": folder},
        )
        assert browser.stderr is not None
        try:
            async with asyncio.timeout(60):
                while not (line := (await browser.stderr.readline()).decode()).startswith("DevTools listening on "):
                    assert line, "Chromium ended before it listened"
            async with connect(line.split()[-1], max_size=2**26) as socket:
                page = Page(socket)
                tasks = [asyncio.create_task(page.listen()), asyncio.create_task(_drain(browser.stderr))]
                try:
                    await page.open(url)
                    yield page
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            browser.kill()
            await browser.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    """Reads what the browser mutters, so that it does not wait for us."""
    while await stream.readline():
        pass
