"""Finding out whether the Agora SDK can be used, without importing it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.doctor import findings
from server.publishers.agora import sdk
from server.publishers.agora.publisher import check_place
from tests.server.running import START, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def there(agora_sdk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the SDK that may be spoilt, to be found first."""
    shutil.copytree(agora_sdk / "agora", tmp_path / "agora")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "agora"


def test_a_whole_sdk_lacks_nothing(there: Path) -> None:
    assert sdk.missing() == ""


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda there: (there / "agora_sdk" / "libaosl.so").unlink(), "libaosl.so missing in"),
        (lambda there: shutil.rmtree(there / "agora_sdk"), "libagora_rtc_sdk.so and libaosl.so missing in"),
        (lambda there: (there / "version.txt").write_text("https://elsewhere.example/old.zip"), "of another version"),
        (lambda there: (there / "version.txt").unlink(), "of another version"),
        (lambda there: shutil.rmtree(there / "rtc"), "not installed"),
        (lambda there: (there / "__init__.py").unlink(), "not installed"),
    ],
)
def test_what_is_missing_is_named_with_the_way_to_get_it(there: Path, spoil: Callable[[Path], None], said: str) -> None:
    before = sorted(there.iterdir())
    spoil(there)
    after = sorted(there.iterdir())
    lacking = sdk.missing()
    assert said in lacking
    assert "import agora" in lacking
    assert sorted(there.iterdir()) == after, f"looking changes nothing ({len(before)} files before)"
    assert "agora" not in sys.modules


def test_the_doctor_says_how_to_install_the_sdk(there: Path) -> None:
    shutil.rmtree(there)
    (finding,) = [one for one in findings() if one.what == "Agora SDK"]
    assert finding.ok
    assert finding.found == "not installed"
    assert "pip install 'open-avatar[agora]'" in finding.remedy


async def test_without_the_sdk_sessions_are_refused_and_all_else_works(there: Path) -> None:
    shutil.rmtree(there)
    async with running(may_start=check_place) as server:
        refused = await server.http.post("/session/start", json=dict(START))
        assert refused.status_code == 503
        assert refused.json()["code"] == "PUBLISHER_UNAVAILABLE"
        assert "pip install 'open-avatar[agora]'" in refused.json()["message"]
        assert (await server.http.get("/healthz")).status_code == 200


def test_the_real_import_would_switch_off_verification(agora_sdk: Path) -> None:
    """Why it may only happen in a child: the day this fails, the child may be thought over."""
    code = (
        "import ssl, agora.rtc.agora_service\n"
        "assert ssl._create_default_https_context is ssl._create_unverified_context\n"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(agora_sdk)}, check=True, capture_output=True)
