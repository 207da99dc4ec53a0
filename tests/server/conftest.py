"""What tests of the server may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.publishers.recorder import Recorder


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    """A process that records; those who spoil it make their own."""
    with Recorder() as recorder:
        yield recorder
