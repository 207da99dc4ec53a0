"""Networks give the same answers whatever runs them and however many pictures go together."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.errors import BundleError, RuntimeUnavailable
from models.aside import done_aside
from models.runtimes import choice
from models.runtimes.choice import RUNTIMES, Runtime, choose_runtime, cuda_for, open_onnx, open_openvino
from models.runtimes.network import Network
from models.runtimes.openvino import OpenVinoNetwork
from models.shared import Shared
from tests.tiny_avatar import WINDOW

Inputs = dict[str, NDArray[Any]]


def mels(n: int) -> Inputs:
    return {"mel": np.random.default_rng(n).uniform(-12, 2, (n, WINDOW, 80)).astype(np.float32)}


def mouths(n: int) -> Inputs:
    random = np.random.default_rng(n)
    return {
        "crop": random.integers(0, 256, (n, 48, 48, 3)).astype(np.uint8),
        "articulation": random.uniform(0, 1, (n, 7)).astype(np.float32),
    }


NETWORKS = pytest.mark.parametrize(
    ("file", "inputs"), [("speech_encoder.onnx", mels), ("mouth.onnx", mouths)], ids=["encoder", "renderer"]
)
OPENERS = pytest.mark.parametrize("name", ["openvino", "onnx"])


@NETWORKS
def test_openvino_and_onnx_runtime_agree(tiny_avatar: Path, file: str, inputs: Callable[[int], Inputs]) -> None:
    one = open_openvino(tiny_avatar / "weights" / file, 1, "f32")
    other = open_onnx(tiny_avatar / "weights" / file, 1, "f32")
    assert (one.inputs, one.outputs) == (other.inputs, other.outputs)
    for n in (1, 3, 5):
        left, right = one.run(inputs(n)), other.run(inputs(n))
        assert left.keys() == right.keys() == one.outputs.keys()
        for output in left:
            assert left[output].dtype == right[output].dtype
            tolerance = 1 if left[output].dtype == np.uint8 else 1e-4
            assert np.abs(left[output].astype(np.float64) - right[output]).max() <= tolerance


@OPENERS
@NETWORKS
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 16, 17])
def test_a_batch_of_any_size_equals_its_members_alone(
    tiny_avatar: Path, name: str, file: str, inputs: Callable[[int], Inputs], n: int
) -> None:
    network = RUNTIMES[name].open(tiny_avatar / "weights" / file, 1, "f32", 1)
    whole = network.run(inputs(n))
    singles = [network.run({key: value[i : i + 1] for key, value in inputs(n).items()}) for i in range(n)]
    for output, value in whole.items():
        assert len(value) == n
        np.testing.assert_allclose(value, np.concatenate([single[output] for single in singles]), atol=1e-5)


@OPENERS
def test_a_result_is_not_touched_by_later_calls(tiny_avatar: Path, name: str) -> None:
    network = RUNTIMES[name].open(tiny_avatar / "weights" / "mouth.onnx", 1, "f32", 1)
    first = network.run(mouths(1))["patch"]
    before = first.copy()
    network.run(mouths(5))
    network.run({key: value[1:2] for key, value in mouths(3).items()})
    assert np.array_equal(first, before)


@OPENERS
def test_inputs_are_taken_read_only_and_left_as_they_are(tiny_avatar: Path, name: str) -> None:
    network = RUNTIMES[name].open(tiny_avatar / "weights" / "mouth.onnx", 1, "f32", 1)
    inputs = mouths(6)
    for value in inputs.values():
        value.setflags(write=False)
    network.run(inputs)
    assert all(np.array_equal(inputs[key], value) for key, value in mouths(6).items())


@OPENERS
def test_a_network_says_what_it_takes_and_gives(tiny_avatar: Path, name: str) -> None:
    network: Network = RUNTIMES[name].open(tiny_avatar / "weights" / "mouth.onnx", 1, "auto", 1)
    assert network.inputs == {"crop": (None, 48, 48, 3), "articulation": (None, 7)}
    assert network.outputs == {"patch": (None, 48, 48, 3)}


def test_bf16_stays_close_to_f32_wherever_it_is_asked_for(tiny_avatar: Path) -> None:
    path = tiny_avatar / "weights" / "mouth.onnx"
    exact, rough = open_openvino(path, 1, "f32").run(mouths(4)), open_openvino(path, 1, "bf16").run(mouths(4))
    assert np.abs(exact["patch"].astype(int) - rough["patch"]).max() <= 2


def test_compiled_batch_sizes_do_not_change_the_answer(tiny_avatar: Path) -> None:
    path = tiny_avatar / "weights" / "mouth.onnx"
    answers = [OpenVinoNetwork(path, batches=batches).run(mouths(7))["patch"] for batches in [(1,), (1, 2, 4), (1, 3)]]
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


@NETWORKS
@pytest.mark.parametrize("at_once", [1, 2])
def test_a_network_that_another_process_compiled_is_the_same(
    tiny_avatar: Path, file: str, inputs: Callable[[int], Inputs], at_once: int
) -> None:
    path, in_two = tiny_avatar / "weights" / file, RUNTIMES["openvino"].in_two
    assert in_two is not None
    here = open_openvino(path, 1, "auto", at_once)
    reopened = in_two[1](path, 1, "auto", at_once, done_aside(in_two[0], path, 1, "auto", at_once, Shared().arrays))
    assert (reopened.inputs, reopened.outputs, reopened.n_bytes) == (here.inputs, here.outputs, here.n_bytes)
    for n in (1, 3, 4):
        for output, array in reopened.run(inputs(n)).items():
            assert np.array_equal(array, here.run(inputs(n))[output])


def test_a_file_that_another_process_cannot_compile_is_refused(tmp_path: Path) -> None:
    in_two = RUNTIMES["openvino"].in_two
    assert in_two is not None
    (tmp_path / "mouth.onnx").write_bytes(b"no network")
    with pytest.raises(BundleError, match=r"mouth\.onnx cannot be run by O"):
        done_aside(in_two[0], tmp_path / "mouth.onnx", 1, "auto", 1, Shared().arrays)


def test_a_network_is_let_go_of_by_a_thread_of_its_own(tiny_avatar: Path) -> None:
    network = OpenVinoNetwork(tiny_avatar / "weights" / "mouth.onnx")
    requests = network._requests
    assert requests
    del network
    gc.collect()
    end = time.monotonic() + 10
    while requests and time.monotonic() < end:
        time.sleep(0.01)
    assert not requests


@OPENERS
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "mouth.onnx").write_bytes(b"no network")
    with pytest.raises(BundleError, match=r"mouth\.onnx cannot be run by O"):
        RUNTIMES[name].open(tmp_path / "mouth.onnx", 1, "auto", 1)


def test_onnx_runtime_refuses_bf16(tiny_avatar: Path) -> None:
    with pytest.raises(BundleError, match="does not compute in bf16 on a CPU, allowed are auto and f32"):
        open_onnx(tiny_avatar / "weights" / "mouth.onnx", 1, "bf16")


@pytest.mark.skipif(choice.has_cuda_device(), reason="this machine has a CUDA device")
def test_openvino_is_preferred_where_there_is_no_cuda_device() -> None:
    assert choose_runtime().name == "openvino"
    assert choose_runtime("onnx").name == "onnx"


ABSENT = Runtime("absent", "no_such_module", "'open-avatar[absent]'", open_onnx)


def test_a_runtime_that_is_not_installed_is_passed_over() -> None:
    assert choose_runtime("auto", {"absent": ABSENT, **RUNTIMES}).name == "openvino"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tensorrt", "runtime is 'tensorrt', allowed are auto, absent"),
        ("absent", r"'absent' needs no_such_module, which is not installed: pip install 'open-avatar\[absent\]'"),
        ("auto", r"no runtime for networks is installed: pip install 'open-avatar\[absent\]'"),
    ],
)
def test_a_runtime_that_cannot_be_had_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=sentence):
        choose_runtime(name, {"absent": ABSENT})


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library's folder, on a machine that has a CUDA device."""
    (tmp_path / "somelibrary" / "lib").mkdir(parents=True)
    (tmp_path / "somelibrary" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(choice, "has_cuda_device", lambda: True)
    return tmp_path / "somelibrary" / "lib"


def test_a_library_needs_its_cuda_build_and_a_device(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = cuda_for("somelibrary", "lib/cuda.so", "somelibrary is installed without CUDA")
    picky = Runtime("picky", "somelibrary", "somelibrary", open_onnx, lacks)
    relaxed = Runtime("relaxed", "somelibrary", "somelibrary", open_onnx, lacks, makes_do=True)
    runtimes = {"picky": picky, "relaxed": relaxed, **RUNTIMES}
    assert picky.missing == "somelibrary is installed without CUDA"
    (library / "cuda.so").touch()
    assert picky.missing == ""
    assert choose_runtime("auto", runtimes) is picky
    monkeypatch.setattr(choice, "has_cuda_device", lambda: False)
    with pytest.raises(RuntimeUnavailable, match="runtime 'picky' cannot be used here: no CUDA device"):
        choose_runtime("picky", runtimes)
    assert choose_runtime("relaxed", runtimes) is relaxed
    assert choose_runtime("auto", runtimes) not in (picky, relaxed)


def test_choosing_a_runtime_imports_none() -> None:
    code = (
        "import sys; from models.runtimes.choice import choose_runtime; import models.loading; choose_runtime();"
        "print([m for m in ('openvino', 'onnxruntime', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_signal_finds_its_stack_after_networks_have_come_and_gone(tiny_avatar: Path) -> None:
    program = """
import faulthandler, signal, sys
from pathlib import Path
from models.runtimes.choice import open_openvino
faulthandler.enable()
signal.signal(signal.SIGTERM, lambda number, frame: print("told"))
path = Path(sys.argv[1])
first = open_openvino(path, 1, "f32")
second = open_openvino(path, 1, "f32")
del first
del second
signal.raise_signal(signal.SIGTERM)
"""
    mouth = str(tiny_avatar / "weights" / "mouth.onnx")
    ended = subprocess.run([sys.executable, "-c", program, mouth], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "told\n"), ended.stderr
