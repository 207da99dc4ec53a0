from __future__ import annotations

import numpy as np
import psutil
import pytest

from avatar.pictures import apart

PICTURE = np.full((720, 480), 3, np.uint8)
N = 100


def test_a_picture_apart_is_the_same_and_stays_so() -> None:
    own = apart(PICTURE)
    assert np.array_equal(own, PICTURE)
    assert not np.shares_memory(own, PICTURE)
    with pytest.raises(ValueError, match="read-only"):
        own[0, 0] = 4


def test_pictures_apart_leave_no_holes_among_others() -> None:
    np.zeros(31 * 2**20, np.uint8)[:] = 1  # freed at once: glibc takes all that is smaller from its heap now
    process, kept, others = psutil.Process(), [], []
    for _ in range(N):
        kept.append(apart(PICTURE))
        others.append(PICTURE.copy())
    before = process.memory_info().rss
    kept.clear()
    assert before - process.memory_info().rss > 0.9 * N * PICTURE.nbytes
