"""What this machine has, and how to mend what is missing: one line each."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avatar.errors import AvatarError
from models.runtimes.choice import NO_DEVICE, RUNTIMES, choose_runtime
from models.threads import coming_first
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
    yield _priority()
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


def _priority() -> Finding:
    if sys.platform != "linux":
        return Finding("Event loop", "usual priority", True)
    with coming_first() as allowed:
        pass
    if allowed:
        return Finding("Event loop", "may have real-time priority", True)
    remedy = "for a busy machine: ulimit -r 1; docker run --ulimit rtprio=1; LimitRTPRIO=1 in a unit of systemd"
    return Finding("Event loop", "may not have real-time priority", True, remedy)


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", "none (no nvidia-smi)", True)
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    lines = answer.stdout.strip().splitlines() if answer.returncode == 0 else []
    if not lines:
        return Finding("GPU", "nvidia-smi fails", False, "check the NVIDIA driver; in a container, --gpus all")
    return Finding("GPU", "; ".join(map(_described, lines)), True)


def _described(gpu: str) -> str:
    """Of a line such as ``NVIDIA L4, 23034 MiB, 550.54.15``."""
    name, memory, driver = (part.strip() for part in gpu.rsplit(",", 2))
    return f"{name} with {memory}, driver {driver}"


def _runtimes(asked: str) -> Iterator[Finding]:
    try:
        chosen = choose_runtime(asked)
    except AvatarError as error:
        yield Finding("Runtime", f"none for '{asked}'", False, str(error))
    else:
        why = "the first of these that lacks nothing" if asked == "auto" else "as asked for"
        yield Finding("Runtime", f"{chosen.name}, {why}", True)
        if chosen.name == "torch":
            yield _torch_device(expected=not chosen.missing)
    for runtime in RUNTIMES.values():
        version = _version(runtime.module) or _version(f"{runtime.module}-gpu")
        found = "; ".join(filter(None, [version, runtime.missing or "usable"]))
        to_install = runtime.missing not in ("", NO_DEVICE)
        yield Finding(f"runtime {runtime.name}", found, True, f"pip install {runtime.install}" if to_install else "")


def _torch_device(*, expected: bool) -> Finding:
    """What torch computes on: that there is a device does not say that its driver is new enough."""
    import torch

    if torch.cuda.is_available():
        return Finding("torch", f"CUDA {torch.version.cuda} on {torch.cuda.get_device_name()}", True)
    remedy = f"an NVIDIA driver for CUDA {torch.version.cuda}, or --runtime openvino" if expected else ""
    return Finding("torch", "computes on the CPU", not expected, remedy)


def _encoders() -> Iterator[Finding]:
    import av

    from server.publishers.nvenc import nvenc_fails

    for codec, remedy in (
        ("libx264", "install PyAV from its wheel: pip install av"),
        ("aac", "install PyAV from its wheel: pip install av"),
        ("libvpx", "install PyAV from its wheel: pip install av"),
    ):
        there = codec in av.codecs_available
        yield Finding(f"encoder {codec}", "there" if there else "missing", there, "" if there else remedy)
    why_not = nvenc_fails()
    yield Finding(
        "encoder h264_nvenc", f"does not open ({why_not}); x264 takes its place" if why_not else "there", True
    )


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
