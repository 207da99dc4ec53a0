"""What ``avatar doctor`` finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.runtimes import choice
from server.doctor import Finding, findings


def found(runtime: str = "auto") -> dict[str, Finding]:
    return {finding.what: finding for finding in findings(runtime)}


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an ``nvidia-smi`` is looked for first."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "nvidia-smi"


def answers(smi: Path, line: str) -> None:
    smi.write_text(f"#!/bin/sh\n{line}\n")
    smi.chmod(0o755)


def test_a_gpu_is_told_with_its_memory_and_driver(smi: Path) -> None:
    answers(smi, "echo 'NVIDIA L4, 23034 MiB, 550.54.15'; echo 'NVIDIA L4, 23034 MiB, 550.54.15'")
    gpu = "NVIDIA L4 with 23034 MiB, driver 550.54.15"
    assert found()["GPU"] == Finding("GPU", f"{gpu}; {gpu}", True)


def test_a_driver_that_fails_is_told_with_a_remedy(smi: Path) -> None:
    answers(smi, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    gpu = found()["GPU"]
    assert (gpu.found, gpu.ok) == ("nvidia-smi fails", False)
    assert "check the NVIDIA driver" in gpu.remedy


@pytest.mark.skipif(choice.has_cuda_device(), reason="this machine has a CUDA device")
def test_the_runtime_is_told_with_the_reason_and_what_the_others_lack() -> None:
    report = found()
    assert report["Runtime"].found == "openvino, the first of these that lacks nothing"
    assert report["runtime openvino"].found.endswith("; usable")
    for name in ("torch", "onnx-cuda", "onnx-tensorrt"):
        assert report[f"runtime {name}"].found.endswith("; no CUDA device")
        assert report[f"runtime {name}"].remedy == ""


def test_a_runtime_that_is_asked_for_and_not_to_be_had_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_cuda_device", lambda: False)
    failure = found("onnx-tensorrt")["Runtime"]
    assert not failure.ok
    assert failure.remedy == "runtime 'onnx-tensorrt' cannot be used here: no CUDA device"


def test_torch_says_what_it_computes_on() -> None:
    import torch

    told = found("torch")["torch"]
    assert told.ok
    assert ("CUDA" in told.found) == torch.cuda.is_available()
