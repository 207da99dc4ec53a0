"""To clients, a front with workers is the same server: rows of the conformance suite are tried on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.conformance import test_socket as sockets
from tests.conformance.rows import Call
from tests.conformance.test_rest import CALLS, OTHER_KEY, check
from tests.server.running import KEY, Front, running_workers
from tests.tiny_avatar import make_tiny_avatar

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    avatars = make_tiny_avatar(tmp_path_factory.mktemp("avatars") / "ava", id="ava", lips=False).parent
    async with running_workers(
        avatars,
        api_keys=(KEY, OTHER_KEY),
        path_prefix="/provider",
        max_request_bytes=65_536,
        max_starts_per_minute=0,
        token_secret=sockets.SECRET,
    ) as front:
        yield front


def one_of_each() -> list[Call]:
    """Of calls to one path that end alike, one."""
    return list({(call.section, call.method, call.path, call.status, call.code): call for call in CALLS}.values())


async def test_calls_are_answered_as_their_rows_say(front: Front) -> None:
    for call in one_of_each():
        answer = await front.start()
        await check(front, call, answer)
        await front.stop(answer)


@pytest.mark.parametrize(
    "row",
    [
        sockets.test_bearer,
        sockets.test_query,
        sockets.test_token_in_init,
        sockets.test_wrong_token,
        sockets.test_no_session,
        sockets.test_ended_session,
        sockets.test_init,
    ],
)
async def test_a_socket_is_opened_as_its_row_says(front: Front, row: Callable[[Front], Awaitable[None]]) -> None:
    await row(front)
