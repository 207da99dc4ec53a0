"""The image for CUDA hosts, as far as it can be tried without an engine that builds it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from server.settings import Settings, table
from tests.server.running import running

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Step:
    """One instruction; ``what`` without its flags (``--from=…``)."""

    name: str
    flags: tuple[str, ...]
    what: str

    @property
    def from_context(self) -> bool:
        return self.name == "COPY" and not any(flag.startswith("--from=") for flag in self.flags)


def steps() -> Iterator[Step]:
    lines = (ROOT / "Dockerfile.cuda").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, *words = line.split()
            flags = tuple(word for word in words if word.startswith("--")) if name in ("COPY", "HEALTHCHECK") else ()
            what = line.removeprefix(name)
            for flag in flags:
                what = what.replace(flag, "", 1)
            yield Step(name, flags, what.strip())


def last_stage() -> list[Step]:
    all_steps = list(steps())
    return all_steps[max(place for place, step in enumerate(all_steps) if step.name == "FROM") :]


def one(name: str) -> str:
    (found,) = (step.what for step in last_stage() if step.name == name)
    return found


def variables() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(one("ENV")))


def copied() -> list[str]:
    """What is copied out of this folder."""
    return [source for step in steps() if step.from_context for source in step.what.split()[:-1]]


def test_what_is_copied_is_there_and_nothing_else_goes_to_the_engine() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in rules
    assert sorted(copied()) == sorted(rule[1:] for rule in rules if rule.startswith("!"))
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_the_wheel_of_what_is_copied_holds_the_models_and_the_studio(tmp_path: Path) -> None:
    for source in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, tmp_path)
    build = "from setuptools import build_meta; build_meta.build_wheel('wheels')"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    held = set(ZipFile(wheel).namelist())
    needed = [
        path.relative_to(ROOT).as_posix()
        for folder in (ROOT / "models" / "embedded", ROOT / "server" / "studio")
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert len(needed) > 20
    assert [path for path in needed if path not in held] == []


def test_the_extras_that_are_installed_exist_and_torch_is_the_version_that_is_tested() -> None:
    runs = " ".join(step.what for step in steps() if step.name == "RUN")
    (extras,) = re.findall(r"'\.\[([a-z,]+)\]'", runs)
    assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    (constraints,) = re.findall(r"--constraint (\S+)", runs)
    assert constraints in copied()
    assert re.search(r"^torch==", (ROOT / constraints).read_text(encoding="utf-8"), re.MULTILINE)


def test_both_stages_have_the_same_python() -> None:
    bases = [step.what.split()[0] for step in steps() if step.name == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1


def test_its_variables_are_settings_that_the_server_takes() -> None:
    ours = {name: value for name, value in variables().items() if name.startswith("AVATAR_")}
    assert set(ours) <= {row.variable for row in table()}
    settings = Settings.read(ours)
    assert settings.host == "0.0.0.0"
    assert str(settings.port) == one("EXPOSE")
    assert variables()["NVIDIA_DRIVER_CAPABILITIES"].split(",") == ["compute", "utility", "video"]


def test_a_plain_user_runs_a_command_that_there_is() -> None:
    names = [step.name for step in last_stage()]
    assert one("USER") not in ("root", "0")
    assert "RUN" not in names[names.index("USER") :]
    (command,) = json.loads(one("ENTRYPOINT"))
    assert command in PROJECT["project"]["scripts"]


def health_check() -> list[str]:
    python, *arguments = json.loads(one("HEALTHCHECK").removeprefix("CMD"))
    assert python == "python"
    return [sys.executable, *arguments]


@pytest.mark.anyio
async def test_the_health_check_tells_a_server_that_lives_from_none() -> None:
    async with running() as server:
        environ = {"AVATAR_PORT": str(server.server.address[1])}
        lives = await asyncio.to_thread(subprocess.run, health_check(), env=environ, capture_output=True, check=False)
    assert lives.returncode == 0, lives.stderr
    gone = await asyncio.to_thread(subprocess.run, health_check(), env=environ, capture_output=True, check=False)
    assert gone.returncode == 1
