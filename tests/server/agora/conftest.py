"""The stand-in, where it can be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.agora.channels import Channels
from tests.server.agora.sdk import NoSdk, sdk_folder


@pytest.fixture(scope="session")
def agora_sdk() -> Path:
    """The folder with the real SDK over the stand-in."""
    try:
        return sdk_folder()
    except NoSdk as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def channels(agora_sdk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channels]:
    """What child processes publish goes here; their SDK is the stand-in."""
    folder = tmp_path_factory.mktemp("channels")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(agora_sdk)
        patch.setenv("STANDIN_FOLDER", str(folder))
        yield Channels(folder)
