"""The arrows of the house: server → models → avatar, and nothing impure in the avatar."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {"avatar": {"avatar"}, "models": {"avatar", "models"}, "server": {"avatar", "models", "server"}}
OURS = {"avatar", "models", "server", "tests"}
AVATAR_MAY_USE = {"numpy", "cv2"}
IMPURE = {
    "asyncio", "concurrent", "ctypes", "glob", "http", "io", "logging", "multiprocessing", "os", "pathlib",
    "queue", "random", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "time", "urllib",
}  # fmt: skip
IMPURE_CALLS = {"open", "input", "print", "exec", "eval"}
NO_WEB = {"asyncio", "starlette", "uvicorn", "websockets", "aiortc", "httpx", "agora"}
HEAVY = {"torch", "openvino", "onnxruntime", "bpy", "aiortc", "agora"}

FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_inwards(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imports(parse(path))} & OURS
    assert ours <= MAY_IMPORT[package], f"{path.name} imports {sorted(ours - MAY_IMPORT[package])}"


@pytest.mark.parametrize("path", sorted((ROOT / "avatar").rglob("*.py")), ids=lambda path: path.name)
def test_the_avatar_does_no_io(path: Path) -> None:
    tree = parse(path)
    used = {name.split(".")[0] for name in imports(tree)}
    assert not used & IMPURE
    assert used <= set(sys.stdlib_module_names) | AVATAR_MAY_USE | {"avatar"}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & IMPURE_CALLS


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_models_know_nothing_of_the_web(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(parse(path))} & NO_WEB


def test_importing_the_server_loads_nothing_heavy() -> None:
    import subprocess

    code = f"import sys, server.cli, server.app; print([m for m in {sorted(HEAVY)!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.strip() == "[]"


def test_the_agora_sdk_is_imported_in_its_child_process_alone() -> None:
    driver, child = "server.publishers.agora.channel", ROOT / "server" / "publishers" / "agora" / "child.py"
    named = {path: set(imports(parse(path))) for path in FILES}
    using = [path for path, names in named.items() if any(name.split(".")[0] == "agora" for name in names)]
    assert using == [child.with_name("channel.py")]
    for path, names in named.items():
        if path != child and driver in names:
            assert _only_for_types(parse(path), driver), f"{path.name} imports what imports the SDK"


def _only_for_types(tree: ast.Module, module: str) -> bool:
    checked = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    of_types = [name for node in checked for name in imports(node)]
    return list(imports(tree)).count(module) == of_types.count(module)
