from __future__ import annotations

from avatar.kept import Kept


def test_of_what_nobody_wants_the_newest_are_kept() -> None:
    kept = Kept[str, int](2)
    assert [kept.put(key, value) for value, key in enumerate("abc")] == [0, 1, 2]
    assert [kept.get(key) for key in "abc"] == [None, 1, 2]
    assert len(kept) == 2
    assert kept.is_full


def test_what_is_wanted_outlasts_what_is_newer() -> None:
    kept = Kept[str, int](3)
    for value, key in enumerate("abc"):
        kept.put(key, value)
    for key in "defgh":
        assert kept.get("a") == 0
        kept.put(key, 9)
    assert [kept.get(key) for key in "abcfgh"] == [0, None, None, None, 9, 9]


def test_where_all_are_wanted_the_oldest_goes() -> None:
    kept = Kept[str, int](3)
    for value, key in enumerate("abc"):
        kept.put(key, value)
    assert [kept.get(key) for key in "abc"] == [0, 1, 2]
    kept.put("d", 3)
    assert [kept.get(key) for key in "abcd"] == [None, 1, 2, 3]


def test_what_was_wanted_long_ago_is_let_go() -> None:
    kept = Kept[int, int](3)
    kept.put(0, 0)
    assert kept.get(0) == 0
    for key in range(1, 10):
        kept.put(key, key)
    assert kept.get(0) is None
