"""Whether the Agora SDK can be used here, found out without importing it.

Its import switches off TLS verification for the whole process, may download, and ends the process where it fails.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from pathlib import Path

PACKAGE = "agora-python-server-sdk"
LIBRARIES = ("libagora_rtc_sdk.so", "libaosl.so")

INSTALL = "pip install 'open-avatar[agora]'"
FETCH = "python -c 'import agora'"
"""The SDK's own way to fetch its native library, from download.agora.io."""


def missing() -> str:
    """What is missing to publish into a channel, and how to get it, in a sentence; empty where nothing is."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return f"the Agora SDK needs Linux on x86_64 or aarch64, not {platform.system()} on {platform.machine()}"
    folder = _folder()
    if folder is None:
        return f"the Agora SDK is not installed; install it with internet access: {INSTALL} && {FETCH}"
    gone = [name for name in LIBRARIES if not (folder / "agora_sdk" / name).is_file()]
    if gone:
        return (
            f"{' and '.join(gone)} missing in {folder / 'agora_sdk'}; with internet access, {FETCH} fetches the library"
        )
    if not _is_the_library_wanted(folder):
        return (
            f"the native library in {folder} is of another version; with internet access, {FETCH} fetches the right one"
        )
    return ""


def version() -> str:
    """Of the SDK; empty where it is not installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _folder() -> Path | None:
    spec = importlib.util.find_spec("agora")
    if spec is None or not spec.origin:  # without an origin it is some folder that happens to be called agora
        return None
    folder = Path(spec.origin).parent
    return folder if (folder / "rtc" / "rtc_connection.py").is_file() else None


def _is_the_library_wanted(folder: Path) -> bool:
    """Whether the library came from a URL that the SDK's import names; from another, it would be deleted there."""
    try:
        url = (folder / "version.txt").read_text(encoding="utf-8").split("\n")[0]
        return bool(url) and f'"{url}"' in (folder / "__init__.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
