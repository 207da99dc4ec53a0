from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.threads import ENCODING, coming_first, giving_way


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
def test_threads_of_such_a_pool_give_way_and_no_others() -> None:
    before = niceness()
    with giving_way(2, "encoder", ENCODING) as pool:
        assert {pool.submit(niceness).result() for _ in range(4)} == {min(19, before + ENCODING)}
    assert niceness() == before


linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no other policy")


def policy() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


@linux
def test_who_comes_first_does_so_alone_and_until_it_says_otherwise() -> None:
    for time in ("once", "again"):
        with coming_first() as allowed:
            if not allowed:
                pytest.skip("this user may not")
            assert policy() == os.SCHED_RR, time
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(policy).result() == os.SCHED_OTHER
            child = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
            assert int(subprocess.run(child, capture_output=True, check=True).stdout) == os.SCHED_OTHER
        assert policy() == os.SCHED_OTHER


NOBODY = """
import os, resource
from models.threads import coming_first
resource.setrlimit(resource.RLIMIT_RTPRIO, ({rtprio}, {rtprio}))
if os.getuid() == 0:
    os.setuid(65534)
with coming_first() as allowed:
    print(allowed)
print(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER)
"""


@linux
def test_who_may_not_come_first_comes_as_others() -> None:
    answer = subprocess.run([sys.executable, "-c", NOBODY.format(rtprio=0)], capture_output=True, check=True)
    assert answer.stdout.split() == [b"False", b"True"]


@linux
def test_a_limit_lets_others_than_root_come_first_and_go_back() -> None:
    answer = subprocess.run([sys.executable, "-c", NOBODY.format(rtprio=1)], capture_output=True)
    if b"not allowed to raise" in answer.stderr:
        pytest.skip("only who may set the limit can tell")
    assert answer.stdout.split() == [b"True", b"True"]


@linux
def test_a_policy_that_was_chosen_is_left() -> None:
    def chosen() -> tuple[bool, int]:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        with coming_first() as allowed:
            return allowed, policy()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(chosen).result() == (False, os.SCHED_BATCH)
