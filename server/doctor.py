"""What this machine has, and how to mend what is missing: one line each."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server.publishers.agora import sdk

WANTED_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report; ``remedy`` is empty where nothing is missing."""

    what: str
    found: str
    ok: bool
    remedy: str = ""


def findings(runtime: str = "auto") -> Iterator[Finding]:
    """Looks at the machine; takes about a second."""
    yield Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", True)
    yield _cpu()
    yield _gpu()
    yield from _runtimes(runtime)
    yield from _encoders()
    yield _agora()


def _cpu() -> Finding:
    flags: set[str] = set()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        flags = {word for line in cpuinfo.read_text().splitlines() if line.startswith("flags") for word in line.split()}
    has = [flag for flag in WANTED_FLAGS if flag in flags]
    remedy = (
        ""
        if "amx_bf16" in has or "avx512_bf16" in has
        else "a CPU with AMX or AVX-512 BF16 draws mouths several times faster"
    )
    return Finding("CPU", f"{os.cpu_count()} cores, {', '.join(has) or 'no vector extensions known'}", True, remedy)


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", "none (no nvidia-smi)", True)
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    names = "; ".join(answer.stdout.strip().splitlines())
    return Finding("GPU", names or "nvidia-smi fails", bool(names), "" if names else "check the NVIDIA driver")


def _runtimes(runtime: str) -> Iterator[Finding]:
    from avatar.errors import AvatarError
    from models.runtimes import choose_runtime

    try:
        yield Finding("Runtime", f"{choose_runtime(runtime)} (asked for: {runtime})", True)
    except AvatarError as error:
        yield Finding("Runtime", f"none for '{runtime}'", False, str(error))
    for package, remedy in (
        ("openvino", "pip install openvino"),
        ("onnxruntime", "pip install 'open-avatar[onnx]' (CPU) or 'open-avatar[cuda]' (GPU); never both"),
        ("torch", "pip install 'open-avatar[cuda]' on a CUDA host; a CPU does not need it"),
    ):
        version = _version(package)
        yield Finding(package, version or "not installed", True, "" if version else remedy)


def _encoders() -> Iterator[Finding]:
    import av

    for codec, remedy in (
        ("libx264", "install PyAV from its wheel: pip install av"),
        ("aac", "install PyAV from its wheel: pip install av"),
        ("libvpx", "install PyAV from its wheel: pip install av"),
    ):
        there = codec in av.codecs_available
        yield Finding(f"encoder {codec}", "there" if there else "missing", there, "" if there else remedy)
    has_nvenc = "h264_nvenc" in av.codecs_available
    yield Finding("encoder h264_nvenc", "built in; needs a GPU with NVENC" if has_nvenc else "missing", True)


def _agora() -> Finding:
    lacking, version = sdk.missing(), sdk.version()
    if not lacking:
        return Finding("Agora SDK", version or "there", True)
    return Finding("Agora SDK", f"{version}, but not usable" if version else "not installed", not version, lacking)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
