"""Writes ``docs/conformance.md`` anew."""

from tests.conformance.rows import PAGE
from tests.conformance.test_page import written

PAGE.write_text(written(), encoding="utf-8")
