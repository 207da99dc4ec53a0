from __future__ import annotations

import numpy as np
import pytest

from tests.server.running import calling, running

pytestmark = pytest.mark.anyio


async def test_speech_is_heard_spoken_and_the_session_stopped() -> None:
    async with running() as server:
        answer = await server.start()
        assert set(answer) == {"session_id", "websocket_address", "session_token"}
        async with calling(answer) as caller:
            tone = (8000 * np.sin(np.arange(24_000) * 0.1)).astype("<i2")
            for piece in np.split(tone, 4):
                await caller.voice(piece.tobytes())
            await caller.send("voice_end", event_id="end")
            assert (await caller.event("speak_ended"))["played_ms"] == 1000
            stopped = await server.stop(answer)
            assert stopped.json() == {"status": "success", "message": "Session terminated successfully"}
            assert (await caller.event("session_closing"))["reason"] == "stopped"
            await caller.socket.wait_closed()
            assert caller.socket.close_code == 1000
        assert server.listeners[0].has_left
