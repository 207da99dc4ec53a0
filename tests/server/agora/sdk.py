"""The real Agora SDK's Python layer over a stand-in for its native library, built once and kept in a cache."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

SDK = "agora-python-server-sdk==2.4.10"
HERE = Path(__file__).parent
SOURCE = HERE / "standin.c"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "open-avatar-tests"


SDIST = CACHE / "agora_python_server_sdk-2.4.10.tar.gz"


class NoSdk(Exception):
    """The SDK or the stand-in cannot be had here; the message says why."""


def sdk_folder() -> Path:
    """A folder to put on ``sys.path``: the unmodified package ``agora``, with the stand-in where its library would be.

    Raises:
        NoSdk: no compiler, no sdist, or a system that the SDK is not for.
    """
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise NoSdk("the Agora SDK is for Linux on x86_64 and aarch64")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoSdk("no C compiler to build the stand-in with")
    built = hashlib.sha256(SOURCE.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    folder = CACHE / f"agora-{built}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            make(compiler, Path(work))
            try:
                (Path(work) / "made").rename(folder)
            except OSError:  # another run was faster
                if not folder.exists():
                    raise
    return folder


def make(compiler: str, work: Path) -> None:
    """Fetches, unpacks and completes the package in ``work/made``."""
    with tarfile.open(sdist()) as archive:
        archive.extractall(work, filter="data")
    made = work / "made"
    made.mkdir()
    package = next(work.glob("agora_python_server_sdk-*/agora")).rename(made / "agora")
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py")))
    (package / "version.txt").write_text(wanted_url((package / "__init__.py").read_text(encoding="utf-8")))
    libraries = package / "agora_sdk"
    libraries.mkdir()
    rest = work / "rest.c"
    ours = SOURCE.read_text(encoding="utf-8")
    names = sorted(set(re.findall(r"agora_lib\.(agora_\w+)", text)))
    trivial = [name for name in names if not re.search(rf"\b{name}\(", ours)]
    rest.write_text("".join(f"long {name}(void) {{ return 0; }}\n" for name in trivial))
    build = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wno-unused-parameter", "-pthread"]
    for name, sources in (("libagora_rtc_sdk.so", [SOURCE, rest]), ("libaosl.so", [rest])):
        done = subprocess.run(
            [*build, "-o", str(libraries / name), *map(str, sources)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"the stand-in does not compile:\n{done.stderr}")


def sdist() -> Path:
    """The source distribution, downloaded once."""
    if not SDIST.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            _download(Path(work)).replace(SDIST)
    return SDIST


def _download(work: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    fetch = subprocess.run(
        [*pip, "--no-binary", ":all:", "--dest", str(work), SDK], capture_output=True, text=True, check=False
    )
    found = list(work.glob("agora_python_server_sdk-*.tar.gz"))
    if fetch.returncode or not found:
        lines = fetch.stderr.strip().splitlines()
        raise NoSdk(f"{SDK} cannot be downloaded: {lines[-1] if lines else 'pip said nothing'}")
    return found[0]


def wanted_url(init: str) -> str:
    """The URL that the SDK's import expects its library to come from on this machine: the last of its kind."""
    name = "url" if platform.machine() == "aarch64" else "linux_sdk"
    pattern = rf'^ +{name} *= *"(https://[^"]+)"' if name == "linux_sdk" else r'^ +url = "(https://[^"]*aarch64[^"]+)"'
    return str(re.findall(pattern, init, re.MULTILINE)[-1])
