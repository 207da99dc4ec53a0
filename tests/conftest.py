"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_avatar import make_tiny_avatar


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def tiny_avatar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small true avatar; read it, do not write to it (``make_tiny_avatar`` makes one to spoil)."""
    return make_tiny_avatar(tmp_path_factory.mktemp("avatars") / "tiny")


@pytest.fixture(scope="session")
def tiny_body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small true avatar that has no network for its mouth."""
    return make_tiny_avatar(tmp_path_factory.mktemp("avatars") / "body", id="body", lips=False)
