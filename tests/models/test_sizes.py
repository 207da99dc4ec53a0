"""Footage in other sizes is made once, shared, and kept within a budget."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from avatar.bundle import AvatarBundle
from avatar.compositor import CROSSED_BYTES, Compositor
from avatar.director import Shot
from avatar.framing import Framing
from avatar.geometry import Size
from avatar.rehearsal import REHEARSED
from models.bundles import read_bundle
from models.loading import Catalogue
from models.sizes import Sizes

SMALL, TALL, WIDE = Size(64, 64), Size(64, 128), Size(128, 64)
SHOT = Shot("talk", 3, "talk")


@pytest.fixture(scope="module")
def bundle(tiny_avatar: Path) -> AvatarBundle:
    return read_bundle(tiny_avatar)  # 128x128


def n_bytes(bundle: AvatarBundle, *sizes: Size) -> int:
    """That footage in these sizes takes, with what is kept of crossings."""
    n_frames = sum(len(clip) for clip in bundle.clips.values())
    return sum((n_frames + REHEARSED) * size.width * size.height * 3 // 2 + CROSSED_BYTES for size in sizes)


def is_ready(compositor: Compositor) -> bool:
    return compositor.at_hand(SHOT) is not None


def test_the_avatars_own_size_is_there_and_costs_nothing(bundle: AvatarBundle) -> None:
    sizes = Sizes(bundle, 0)
    assert sizes.at(bundle.size) is sizes.at(bundle.size)
    assert sizes.at(bundle.size).bundle is bundle
    assert sizes.n_bytes == sum(clip.frames.nbytes for clip in bundle.clips.values())


def test_footage_of_a_size_is_made_once_for_all_who_ask_at_once(bundle: AvatarBundle) -> None:
    sizes, together = Sizes(bundle, 2**30), threading.Barrier(4)

    def ask(_: int) -> Compositor:
        together.wait()
        return sizes.at(SMALL)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(ask, range(4)))
    assert all(each is made[0] for each in made)
    assert made[0].size == SMALL
    own = sum(clip.frames.nbytes for clip in bundle.clips.values())
    assert sizes.n_bytes == own + own // 4


def test_another_process_makes_the_same(bundle: AvatarBundle) -> None:
    here, aside = (Sizes(bundle, 2**30).at(SMALL, aside=aside) for aside in (False, True))
    for name, clip in here.bundle.clips.items():
        other = aside.bundle.clips[name]
        assert np.array_equal(clip.frames, other.frames)
        assert np.array_equal(clip.faces, other.faces)
        assert not other.frames.flags.writeable
        assert np.array_equal(clip.crops, other.crops)
    assert aside.size == SMALL


def test_the_crops_of_footage_that_is_shared_are_the_same_in_all_sizes(tiny_avatar: Path) -> None:
    shared = Catalogue([tiny_avatar]).load("tiny")
    own, small = shared.bundle.clips["talk"], shared.sizes.at(SMALL, aside=True).bundle.clips["talk"]
    assert np.shares_memory(own.crops, small.crops)


def test_a_silent_frame_of_another_size_takes_no_work(bundle: AvatarBundle) -> None:
    compositor = Sizes(bundle, 2**30).at(SMALL)
    picture = compositor.at_hand(SHOT)
    assert picture is not None
    assert np.shares_memory(picture, compositor.bundle.clips["talk"].frames)
    framing = Framing.of(bundle, SMALL)
    assert framing is not None
    assert np.array_equal(picture, framing.apply(bundle.clips["talk"].frames[3]))


def test_what_nobody_shows_is_let_go_for_what_is_asked_for(bundle: AvatarBundle) -> None:
    sizes = Sizes(bundle, n_bytes(bundle, SMALL, TALL))
    small, tall = weakref.ref(sizes.at(SMALL)), weakref.ref(sizes.at(TALL))
    gc.collect()
    assert small()
    assert sizes.at(SMALL) is small(), "it was asked for last"
    wide = sizes.at(WIDE)
    assert is_ready(wide)
    gc.collect()
    assert tall() is None
    assert small()


def test_where_sessions_fill_the_budget_each_picture_is_framed(bundle: AvatarBundle) -> None:
    sizes = Sizes(bundle, n_bytes(bundle, TALL))
    small = sizes.at(SMALL)
    tall = sizes.at(TALL)
    assert is_ready(small)
    assert not is_ready(tall)
    assert tall.size == TALL
    framing = Framing.of(bundle, TALL)
    assert framing is not None
    assert np.array_equal(tall.compose(SHOT), framing.apply(bundle.clips["talk"].frames[3]))
    assert sizes.at(SMALL) is small
    del small
    gc.collect()
    assert is_ready(sizes.at(TALL)), "whoever asks next has room"
