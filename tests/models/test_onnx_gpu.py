"""ONNX Runtime as on a GPU; what differs there is the provider alone, so here the CPU's takes its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from avatar.errors import RuntimeUnavailable
from models.loading import EMBEDDED
from models.runtimes.batches import in_parts, parts
from models.runtimes.choice import RUNTIMES, SIZES, open_onnx
from models.runtimes.onnx_gpu import CPU, CUDA, TENSORRT, OnnxGpuNetwork, Provider, tensorrt_settings

ON_CPU = Provider(CPU, lambda inputs, precision: {})


def mouths(n: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(n)
    return {
        "crop": random.integers(0, 256, (n, 48, 48, 3)).astype(np.uint8),
        "articulation": random.uniform(0, 1, (n, 7)).astype(np.float32),
    }


@pytest.mark.parametrize("n", range(1, 40))
def test_a_batch_is_cut_into_parts_that_fit_the_sizes_there_are(n: int) -> None:
    cut = list(parts(n))
    assert [place for part, _ in cut for place in range(part.start, part.stop)] == list(range(n))
    for part, size in cut:
        smaller = [each for each in SIZES if each < size]
        assert size in SIZES
        assert max(smaller, default=0) < part.stop - part.start <= size
    assert len(cut) == -(-n // SIZES[-1])


def test_what_fills_a_part_is_not_in_the_answer() -> None:
    asked = []

    def doubled(inputs: Any, size: int) -> dict[str, NDArray[Any]]:
        asked.append(size)
        return {"double": 2 * np.concatenate([inputs["number"], np.full(size - len(inputs["number"]), 99.0)])}

    answer = in_parts({"number": np.arange(21.0)}, doubled)
    assert np.array_equal(answer["double"], 2 * np.arange(21.0))
    assert asked == [16, 8]


@pytest.mark.parametrize("n", [1, 3, 16, 19])
def test_batches_that_are_filled_up_give_the_same_answers(tiny_avatar: Path, n: int) -> None:
    path = tiny_avatar / "weights" / "mouth.onnx"
    filled, plain = OnnxGpuNetwork(path, ON_CPU), open_onnx(path, 1, "f32")
    assert (filled.inputs, filled.outputs) == (plain.inputs, plain.outputs)
    np.testing.assert_allclose(filled.run(mouths(n))["patch"], plain.run(mouths(n))["patch"], atol=1)


def test_networks_that_take_half_precision_are_made_ready() -> None:
    network = OnnxGpuNetwork(EMBEDDED / "ava" / "weights" / "mouth_paint.onnx", ON_CPU)
    assert set(network.inputs) == {"blocks", "likeness", "articulation"}


def test_tensorrt_is_told_every_size_that_there_will_be() -> None:
    told = tensorrt_settings({"crop": (None, 48, 48, 3), "articulation": (None, 7)}, "auto")
    assert told["trt_fp16_enable"] == "True"
    assert told["trt_profile_min_shapes"] == "crop:1x48x48x3,articulation:1x7"
    assert told["trt_profile_max_shapes"] == "crop:16x48x48x3,articulation:16x7"


@pytest.mark.parametrize("provider", [CUDA, TENSORRT], ids=lambda provider: provider.name)
def test_a_provider_that_this_onnx_runtime_lacks_is_refused(tiny_avatar: Path, provider: Provider) -> None:
    if provider.name in onnxruntime.get_available_providers():
        pytest.skip(f"this ONNX Runtime has {provider.name}")
    with pytest.raises(RuntimeUnavailable, match=f"this ONNX Runtime has no {provider.name}, but .*CPU"):
        OnnxGpuNetwork(tiny_avatar / "weights" / "mouth.onnx", provider)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["onnx-cuda", "onnx-tensorrt"])
def test_on_a_gpu_the_mouth_stays_within_a_few_grey_levels(tiny_avatar: Path, name: str) -> None:
    if lacking := RUNTIMES[name].missing:
        pytest.skip(lacking)
    path = tiny_avatar / "weights" / "mouth.onnx"
    fast, exact = RUNTIMES[name].open(path, 1, "auto", 1), open_onnx(path, 1, "f32")
    for n in (1, 3, 19):
        difference = np.abs(fast.run(mouths(n))["patch"].astype(np.float64) - exact.run(mouths(n))["patch"])
        assert difference.mean() <= 2
