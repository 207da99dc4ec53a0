"""A mouth renderer in two halves: what is seen of footage once is kept, within a budget, and never mixed up."""

from __future__ import annotations

import gc
import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avatar.articulation import TARGETS
from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.lipsync import Crop
from models.bundles import LipSyncEntry, Manifest, read_manifest, write_manifest
from models.loading import Catalogue
from models.looks import Looks
from models.making.mouth.export import export_halves
from models.nets.mouth_renderer import MouthRenderer
from models.renderers import LOOK, PAINT, HalvedRenderer
from models.runtimes.network import Network
from models.runtimes.onnx import OnnxNetwork
from models.runtimes.openvino import OpenVinoNetwork
from models.speech_lips import SpeechLips
from tests.models.small_renderer import small_renderer

LOOK_BYTES = 2 * (8 * 12 * 12 + 12 * 6 * 6 + 16 * 3 * 3 + 8 * 12 * 16 + 4)
"""What is kept of one frame, in half precision."""

SAID = TARGETS[[2, 7, 11]].astype(np.float32)


class Counted:
    """A network, and how many pictures went through it."""

    def __init__(self, network: Network) -> None:
        self.inputs, self.outputs, self.n_bytes = network.inputs, network.outputs, network.n_bytes
        self.n = 0
        self._network = network

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.n += len(next(iter(inputs.values())))
        return self._network.run(inputs)


@pytest.fixture(scope="module")
def network() -> MouthRenderer:
    return small_renderer()


@pytest.fixture(scope="module")
def halves(network: MouthRenderer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("halves")
    export_halves(network, folder)
    return folder


@pytest.fixture(scope="module")
def image_half(halves: Path) -> Network:
    return OpenVinoNetwork(halves / LOOK, precision="f32", batches=(1,))


@pytest.fixture(scope="module")
def drawing_half(halves: Path) -> Network:
    return OpenVinoNetwork(halves / PAINT, precision="f32", batches=(1, 2))


def crops(n: int = 3, seed: int = 5) -> list[Crop]:
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 48, 48, 3)).astype(np.uint8)
    return [Crop(each, "talk", i) for i, each in enumerate(pixels)]


def whole(network: MouthRenderer, seen: list[Crop], said: NDArray[np.float32]) -> NDArray[np.uint8]:
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack([crop.pixels for crop in seen]))
        return np.asarray(network(pixels, torch.from_numpy(said)).numpy())


def apart(left: list[NDArray[np.uint8]], right: NDArray[np.uint8]) -> int:
    return int(np.abs(np.stack(left).astype(int) - right).max())


@pytest.mark.parametrize("runtime", [OpenVinoNetwork, OnnxNetwork])
def test_both_halves_draw_what_the_whole_draws_seen_before_or_not(
    network: MouthRenderer, halves: Path, runtime: type[OpenVinoNetwork | OnnxNetwork]
) -> None:
    renderer = HalvedRenderer(
        runtime(halves / LOOK, precision="f32"), runtime(halves / PAINT, precision="f32"), Looks(2**20)
    )
    for said in (SAID, SAID[::-1].copy(), SAID):
        assert apart(renderer.paint(crops(), said), whole(network, crops(), said)) <= 1


def test_a_frame_is_looked_at_once_whoever_shows_it(image_half: Network, drawing_half: Network) -> None:
    looking = Counted(image_half)
    renderer = HalvedRenderer(looking, drawing_half, Looks(2**20))
    renderer.paint([*crops(), *crops()], np.concatenate([SAID, SAID]))
    assert looking.n == 3
    together = threading.Barrier(4)

    def paint(_: int) -> list[NDArray[np.uint8]]:
        together.wait()
        return renderer.paint(crops(6), np.concatenate([SAID, SAID]))

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(paint, range(4))
    assert looking.n == 6
    assert all(np.array_equal(first, other) for other in others)


def test_what_does_not_fit_the_budget_is_looked_at_again(
    network: MouthRenderer, image_half: Network, drawing_half: Network
) -> None:
    looking, looks = Counted(image_half), Looks(2 * LOOK_BYTES)
    renderer = HalvedRenderer(looking, drawing_half, looks)
    assert apart(renderer.paint(crops(), SAID), whole(network, crops(), SAID)) <= 1
    assert (len(looks), looks.n_bytes) == (2, 2 * LOOK_BYTES)
    renderer.paint(crops()[1:2], SAID[1:2])  # the first had to go; this one is the newest now
    assert looking.n == 3
    renderer.paint(crops()[:1], SAID[:1])
    renderer.paint(crops()[1:2], SAID[1:2])
    assert looking.n == 4
    renderer.paint(crops()[2:], SAID[2:])
    assert looking.n == 5


def test_without_any_budget_mouths_are_drawn_all_the_same(
    network: MouthRenderer, image_half: Network, drawing_half: Network
) -> None:
    looks = Looks(0)
    renderer = HalvedRenderer(image_half, drawing_half, looks)
    assert apart(renderer.paint(crops(), SAID), whole(network, crops(), SAID)) <= 1
    assert (len(looks), looks.n_bytes) == (0, 0)


def test_avatars_do_not_see_each_others_frames_and_leave_nothing_behind(
    network: MouthRenderer, image_half: Network, drawing_half: Network
) -> None:
    looks = Looks(2**20)
    one, other = (HalvedRenderer(image_half, drawing_half, looks) for _ in range(2))
    for renderer, seed in ((one, 5), (other, 6), (one, 5)):
        seen = crops(seed=seed)
        assert apart(renderer.paint(seen, SAID), whole(network, seen, SAID)) <= 1
    assert looks.n_bytes == 6 * LOOK_BYTES
    del other, renderer
    gc.collect()
    assert (len(looks), looks.n_bytes) == (3, 3 * LOOK_BYTES)


def test_halves_that_do_not_fit_together_are_refused(image_half: Network, drawing_half: Network) -> None:
    with pytest.raises(BundleError, match="image half of the mouth renderer gives patch, but not 'quarter'"):
        HalvedRenderer(Other(image_half, outputs={"patch": (None, 1)}), drawing_half, Looks(0))
    other = {**image_half.outputs, "quarter": (None, 9, 12, 12)}
    sentence = r"gives 'quarter' of shape \(any, 9, 12, 12\), needed is \(any, 8, 12, 12\)"
    with pytest.raises(BundleError, match=sentence):
        HalvedRenderer(Other(image_half, outputs=other), drawing_half, Looks(0))
    sentence = (
        r"drawing half of the mouth renderer takes 'blocks' of shape \(any, 12, 12, 48\), needed is \(any, 6, 6, 48\)"
    )
    with pytest.raises(BundleError, match=sentence):
        HalvedRenderer(Other(image_half, inputs={"crop": (None, 24, 24, 3)}), drawing_half, Looks(0))


class Other(Counted):
    """A network that says something else of itself."""

    def __init__(self, network: Network, **ports: Any) -> None:
        super().__init__(network)
        self.inputs = ports.get("inputs", self.inputs)
        self.outputs = ports.get("outputs", self.outputs)


HALVED = LipSyncEntry("speech_lips", f"weights/{PAINT}", "weights/speech_encoder.onnx", look=f"weights/{LOOK}")


def with_halves(avatar: Path, halves: Path, to: Path) -> tuple[Path, Manifest]:
    """A copy of an avatar whose renderer has two halves."""
    folder = to / avatar.name
    shutil.copytree(avatar, folder)
    for name in (LOOK, PAINT):
        shutil.copyfile(halves / name, folder / "weights" / name)
    return folder, write_manifest(folder, msgspec.structs.replace(read_manifest(folder), lipsync=HALVED))


def test_an_avatar_says_that_its_renderer_has_two_halves(tiny_avatar: Path, halves: Path, tmp_path: Path) -> None:
    folder, written = with_halves(tiny_avatar, halves, tmp_path)
    assert written.lipsync == HALVED
    model = Catalogue([folder]).load("tiny").model
    assert isinstance(model, SpeechLips)
    assert isinstance(model.renderer, HalvedRenderer)
    assert model.spec.patch == Size(48, 48)
    (folder / "weights" / LOOK).unlink()
    with pytest.raises(BundleError, match=f"lacks the file weights/{LOOK}"):
        Catalogue([folder]).load("tiny")


def test_a_changed_avatar_looks_at_its_frames_anew(tiny_avatar: Path, halves: Path, tmp_path: Path) -> None:
    folder, before = with_halves(tiny_avatar, halves, tmp_path)
    catalogue = Catalogue([folder])
    old = catalogue.load("tiny").model
    write_manifest(folder, msgspec.structs.replace(before, version="2"))
    new = catalogue.load("tiny").model
    assert isinstance(old, SpeechLips)
    assert isinstance(new, SpeechLips)
    assert old.ear is new.ear, "they hear together"
    one, other = crops(seed=5), crops(seed=6)
    first = old.renderer.paint(one, SAID)
    assert not np.array_equal(new.renderer.paint(other, SAID), first)
    assert np.array_equal(old.renderer.paint(one, SAID), first)
