"""The page of the docs is the table of these tests."""

from __future__ import annotations

from tests.conformance import test_rest, test_socket, test_strangers
from tests.conformance.rows import PAGE, page, rows_of


def written() -> str:
    return page(rows_of([test_rest, test_socket, test_strangers]))


def test_the_page_is_what_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == written(), "python -m tests.conformance writes it anew"
