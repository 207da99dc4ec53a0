"""What a foreign library prints, made fit for our log: bounded lines, bounded in number, without secrets."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

LONGEST = 400
"""Characters of a line; the rest of it is left out."""

HELD = 65_536
"""Bytes of a line that are looked at; longer than any token, so that none is cut where it would not be found."""

MOST_PER_S = 20
"""Lines in a second; the rest is counted."""

SECRET = "[secret]"  # noqa: S105 - what is written in its place
SHORTEST_SECRET = 6
"""Characters; anything shorter would be found in ordinary words."""


class PrintedLines:
    """Takes bytes as they come and gives lines to ``write``.

    Args:
        secrets: never written; the collection may grow.
        now: seconds from any fixed origin.
    """

    def __init__(
        self, write: Callable[[str], None], secrets: Collection[str], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._secrets = secrets
        self._now = now
        self._line = b""
        self._second, self._n_in_second, self._n_left_out = 0, 0, 0

    def add(self, data: bytes) -> None:
        *lines, rest = (self._line + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._put(line)
        self._line = rest[:HELD]

    def end(self) -> None:
        self._put(self._line)
        self._line = b""
        self._tell_left_out()

    def _put(self, line: bytes) -> None:
        text = line[:HELD].decode("utf-8", "replace")
        for secret in sorted((s for s in self._secrets if len(s) >= SHORTEST_SECRET), key=len, reverse=True):
            text = text.replace(secret, SECRET)
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text).strip()
        if not text:
            return
        second = int(self._now())
        if second != self._second:
            self._tell_left_out()
            self._second, self._n_in_second = second, 0
        self._n_in_second += 1
        if self._n_in_second > MOST_PER_S:
            self._n_left_out += 1
        else:
            self._write(text if len(text) <= LONGEST else text[:LONGEST] + "…")

    def _tell_left_out(self) -> None:
        if self._n_left_out:
            self._write(f"… and {self._n_left_out} lines more")
            self._n_left_out = 0
