from __future__ import annotations

import os
import sys
import threading

import pytest

from models.threads import ENCODING, giving_way


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
def test_threads_of_such_a_pool_give_way_and_no_others() -> None:
    before = niceness()
    with giving_way(2, "encoder", ENCODING) as pool:
        assert {pool.submit(niceness).result() for _ in range(4)} == {min(19, before + ENCODING)}
    assert niceness() == before
