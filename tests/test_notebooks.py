"""The notebooks run from top to bottom, and are kept without their results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from models.loading import EMBEDDED
from models.manifest import FILE_NAME, read_manifest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

CELL_S = 60
"""For one cell, which takes ten seconds at most. Rarely a reply that has come is noticed only when this time is over;
why is not known for certain, but ZeroMQ's sockets tell once only that something has come."""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the client's own libraries


def code(path: Path) -> Iterator[dict[str, Any]]:
    yield from (cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code")


def executed(path: Path) -> list[dict[str, Any]]:
    """The results of every cell; a cell that fails raises."""
    notebook = nbformat.reads(path.read_text("utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=CELL_S, resources={"metadata": {"path": str(FOLDER)}}).execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(results: list[dict[str, Any]]) -> int:
    return sum("image/png" in result.get("data", {}) for result in results)


def printed(results: list[dict[str, Any]]) -> str:
    return "".join(result.get("text", "") for result in results)


@pytest.fixture
def own_avatar(tiny_avatar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small avatar that a notebook may write to."""
    folder = tmp_path / "own"
    shutil.copytree(tiny_avatar, folder)
    monkeypatch.setenv("AVATAR_FOLDER", str(folder))
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_results(path: Path) -> None:
    for cell in code(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def test_an_avatar_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATAR_FOLDER", str(EMBEDDED / "ava"))
    results = executed(FOLDER / "look_at_an_avatar.ipynb")
    assert pictures(results) == 7
    assert "Ava, version" in printed(results)


def test_lips_can_be_tuned_and_the_knobs_kept(own_avatar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_avatar / FILE_NAME
    text = path.read_text("utf-8").replace("gain = 1.0", "gain = 0.8  # a shy one")
    path.write_text(text, "utf-8")
    monkeypatch.setenv("SAVE_TUNING", "1")
    results = executed(FOLDER / "tune_the_lips.ipynb")
    assert pictures(results) == 2
    assert "gain=0.8" in printed(results)
    assert path.read_text("utf-8") == text
    assert read_manifest(own_avatar).tuning.gain == 0.8


@pytest.mark.usefixtures("own_avatar")
def test_where_the_time_goes_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECONDS", "3")
    results = executed(FOLDER / "where_the_time_goes.ipynb")
    assert pictures(results) == 2
    text = printed(results)
    assert "ms between frames" in text
    assert "first_frame_ms" in text
