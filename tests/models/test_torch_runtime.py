"""The shipped networks in torch, as a CUDA host runs them, against the same files in ONNX Runtime."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from avatar.errors import BundleError
from models.loading import EMBEDDED, SHARED_ENCODER
from models.making.mouth.export import export_halves
from models.manifest import read_manifest
from models.nets.mouth_renderer import MouthRenderer
from models.renderers import LOOK, PAINT
from models.runtimes.onnx import OnnxNetwork
from models.runtimes.torch import TorchNetwork

AVA = EMBEDDED / "ava"


def halves() -> tuple[Path, Path]:
    """The image half and the drawing half of the avatar that ships."""
    lipsync = read_manifest(AVA).lipsync
    assert lipsync
    assert lipsync.look
    return AVA / lipsync.look, AVA / lipsync.weights


NETWORKS = pytest.mark.parametrize("path", [SHARED_ENCODER, *halves()], ids=lambda path: path.stem)
TOLERANCES = {np.dtype(np.uint8): 1, np.dtype(np.float16): 2e-2, np.dtype(np.float32): 1e-3}


HALF_MEANS = {np.dtype(np.uint8): 2, np.dtype(np.float16): 2e-2, np.dtype(np.float32): 2e-2}


def inputs_of(network: TorchNetwork, n: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(n)
    made: dict[str, NDArray[Any]] = {}
    for name, shape in network.inputs.items():
        size = [n, *(side or 1 for side in shape[1:])]
        if name in ("crop", "blocks"):
            made[name] = random.integers(0, 256, size).astype(np.uint8)
        else:
            halved = name not in ("mel", "articulation")
            made[name] = random.random(size, np.float32).astype(np.float16 if halved else np.float32)
    return made


@pytest.fixture(scope="module")
def with_unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both halves of a renderer that learned nothing, with its U-Net."""
    folder, renderer = tmp_path_factory.mktemp("renderer"), MouthRenderer()
    for parameter in renderer.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    export_halves(renderer, folder)
    return folder


@pytest.mark.parametrize("name", [LOOK, PAINT])
def test_torch_draws_with_a_unet_what_onnx_runtime_draws(with_unet: Path, name: str) -> None:
    test_torch_gives_what_onnx_runtime_gives(with_unet / name)


@NETWORKS
def test_torch_gives_what_onnx_runtime_gives(path: Path) -> None:
    one, other = TorchNetwork(path, precision="f32"), OnnxNetwork(path, precision="f32")
    assert one.inputs == other.inputs
    inputs = inputs_of(one, 3)
    left, right = one.run(inputs), other.run(inputs)
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert np.abs(left[name].astype(np.float64) - right[name]).max() <= TOLERANCES[left[name].dtype]


@NETWORKS
def test_a_batch_equals_its_members_alone(path: Path) -> None:
    network = TorchNetwork(path, precision="f32")
    inputs = inputs_of(network, 3)
    together = network.run(inputs)
    for index in range(3):
        alone = network.run({name: array[index : index + 1] for name, array in inputs.items()})
        for name in alone:
            difference = np.abs(alone[name][0].astype(np.float64) - together[name][index]).max()
            assert difference <= TOLERANCES[alone[name].dtype]


def test_a_network_of_somebody_else_is_refused(tiny_avatar: Path) -> None:
    with pytest.raises(BundleError, match=r"mouth\.onnx has other weights than this version's network"):
        TorchNetwork(tiny_avatar / "weights" / "mouth.onnx")


def test_a_network_that_makes_something_else_is_refused(tmp_path: Path) -> None:
    encoder = onnx.load(str(SHARED_ENCODER))
    del encoder.graph.output[1]
    onnx.save(encoder, str(tmp_path / "encoder.onnx"))
    with pytest.raises(BundleError, match=r"encoder\.onnx makes articulation of mel; torch runs networks that make .*"):
        TorchNetwork(tmp_path / "encoder.onnx")


@NETWORKS
def test_a_batch_larger_than_any_that_is_ready_runs_in_parts(path: Path) -> None:
    network, exact = TorchNetwork(path, precision="f32"), OnnxNetwork(path, precision="f32")
    for n in (19, 2):  # the second fills buffers up that the first has left full
        inputs = inputs_of(network, n)
        here, there = network.run(inputs), exact.run(inputs)
        for name, values in here.items():
            assert len(values) == n
            assert np.abs(values.astype(np.float64) - there[name]).max() <= TOLERANCES[values.dtype]


def test_a_result_is_not_touched_by_later_calls() -> None:
    network = TorchNetwork(halves()[1], precision="f32")
    first = network.run(inputs_of(network, 4))["patch"]
    before = first.copy()
    network.run(inputs_of(network, 3))
    assert np.array_equal(first, before)


def test_threads_take_turns() -> None:
    network = TorchNetwork(halves()[1], precision="f32")
    batches = [inputs_of(network, n) for n in (1, 2, 3, 4)]
    alone = [network.run(inputs)["patch"] for inputs in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda inputs: network.run(inputs)["patch"], batches * 4))
    for place, patch in enumerate(together):
        assert np.array_equal(patch, alone[place % 4])


@NETWORKS
def test_half_precision_stays_close_to_single(path: Path) -> None:
    """As on CUDA: weights in bf16, channels last; what comes out has the type that the file says."""
    rough, exact = TorchNetwork(path, precision="bf16"), TorchNetwork(path, precision="f32")
    inputs = inputs_of(exact, 3)
    left, right = rough.run(inputs), exact.run(inputs)
    for name in left.keys() - {"visemes"}:  # logits, which nobody reads
        assert left[name].dtype == right[name].dtype
        assert np.abs(left[name].astype(np.float64) - right[name]).mean() <= HALF_MEANS[left[name].dtype]


@pytest.fixture
def on_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.mark.gpu
@pytest.mark.usefixtures("on_cuda")
@NETWORKS
@pytest.mark.parametrize("n", [1, 3, 19])
def test_on_cuda_in_half_precision_answers_stay_close(path: Path, n: int) -> None:
    fast, exact = TorchNetwork(path), OnnxNetwork(path, precision="f32")
    inputs = inputs_of(fast, n)
    left, right = fast.run(inputs), exact.run(inputs)
    for name in left.keys() - {"visemes"}:
        assert left[name].dtype == right[name].dtype
        assert np.abs(left[name].astype(np.float64) - right[name]).mean() <= HALF_MEANS[left[name].dtype]


@pytest.mark.gpu
@pytest.mark.usefixtures("on_cuda")
def test_on_cuda_a_network_is_loaded_while_another_runs() -> None:
    running = TorchNetwork(halves()[1])
    inputs = inputs_of(running, 3)
    expected = running.run(inputs)["patch"]
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(lambda: [TorchNetwork(SHARED_ENCODER) for _ in range(40)])  # more than there are streams
        while not loading.done():
            assert np.array_equal(running.run(inputs)["patch"], expected)
        assert len(loading.result()) == 40
