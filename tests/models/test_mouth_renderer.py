"""The mouth renderer: its two halves, its export, its first draft, its training, and the one that ships."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from avatar.articulation import CHANNELS, TARGETS
from avatar.geometry import Box, Size
from avatar.lipsync import Crop
from models.loading import Catalogue
from models.looks import Looks
from models.making.mouth.evaluation import draw, draw_held_out, sheet
from models.making.mouth.export import export_halves, needs_unet
from models.making.mouth.lessons import Lessons
from models.making.mouth.measures import psnr, ssim
from models.making.mouth.motion import measure_motion, mouth_mask
from models.making.mouth.regions import INDEX, Mouths, after
from models.making.mouth.runtime_check import compare
from models.making.mouth.synthetic import draw_mouth, write_synthetic
from models.making.mouth.training import Plan, Training, load_renderer, train
from models.nets.mouth_halves import DrawingHalf, ImageHalf
from models.nets.mouth_renderer import MouthRenderer, RendererConfig
from models.pixel_blocks import in_blocks, in_pixels
from models.renderers import LOOK, PAINT, HalvedRenderer, Renderer
from models.runtimes.openvino import OpenVinoNetwork
from models.speech_lips import SpeechLips
from tests.models.small_renderer import SMALL, small_renderer

SHIPPED = Path(__file__).parents[2] / "models" / "embedded" / "ava"

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> MouthRenderer:
    return small_renderer()


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    picture = np.random.default_rng(5).integers(0, 256, (3, 6, 6, 3), np.uint8)
    return np.stack([cv2.resize(each, (48, 48), interpolation=cv2.INTER_CUBIC) for each in picture])


@pytest.fixture(scope="module")
def mouths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mouths")
    write_synthetic(folder, n_poses=16, n_held_out=2, patch=48)
    return folder


def test_at_articulation_zero_a_patch_is_its_crop(network: MouthRenderer, crops: NDArray[np.uint8]) -> None:
    patches = draw(network, crops[0], np.zeros((1, len(CHANNELS)), np.float32))
    np.testing.assert_array_equal(patches[0], crops[0])


def test_an_articulation_is_seen(network: MouthRenderer, crops: NDArray[np.uint8]) -> None:
    one, other = draw(network, crops[0], TARGETS[[1, 11]])
    assert np.abs(one.astype(int) - other).mean() > 0.5


def test_what_is_seen_of_a_crop_does_not_depend_on_the_articulation(
    network: MouthRenderer, crops: NDArray[np.uint8]
) -> None:
    image = torch.from_numpy(crops[:2]).permute(0, 3, 1, 2).float()
    said = torch.from_numpy(TARGETS[[4, 11]]).requires_grad_()
    once = network.look(image[:1])
    repeated = tuple(scale.repeat_interleave(2, dim=0) for scale in once)
    both = network.paint(image[:1].repeat_interleave(2, dim=0), repeated, said)
    for index in range(2):
        alone = network.paint(image[:1], network.look(image[:1]), said[index : index + 1])
        torch.testing.assert_close(both[index : index + 1], alone)


def test_a_batch_draws_what_its_members_draw_alone(network: MouthRenderer, crops: NDArray[np.uint8]) -> None:
    said = torch.from_numpy(TARGETS[[2, 7, 11]])
    with torch.no_grad():
        together = network(torch.from_numpy(crops), said).numpy()
        alone = [network(torch.from_numpy(crops[i : i + 1]), said[i : i + 1]).numpy()[0] for i in range(3)]
    assert np.abs(together.astype(int) - np.stack(alone)).max() <= 1


def test_the_two_halves_draw_what_the_whole_draws(network: MouthRenderer, crops: NDArray[np.uint8]) -> None:
    image_half, drawing_half = ImageHalf.of(network), DrawingHalf.of(network)
    for targets in (TARGETS[[0, 1, 4]], TARGETS[[2, 7, 11]]):
        said, seen = torch.from_numpy(targets), torch.from_numpy(crops)
        with torch.no_grad():
            whole = network(seen, said).numpy().astype(int)
            blocks = drawing_half(torch.from_numpy(in_blocks(list(crops))), *image_half(seen), said)
        halves = in_pixels(blocks.numpy())
        assert np.abs(halves - whole).max() <= 1
        assert (halves != whole).mean() < 0.01


def test_the_exported_halves_draw_the_same(network: MouthRenderer, crops: NDArray[np.uint8], tmp_path: Path) -> None:
    n_bytes = export_halves(network, tmp_path)
    n_weights = sum(parameter.numel() for parameter in network.parameters())
    assert n_bytes < 2 * n_weights + 120_000, "weights are stored in half precision"
    found = compare(network, tmp_path, crops, TARGETS[[2, 7, 11]], precisions=["f32"], n_timed=1)[0]
    assert found.largest <= 2
    assert found.mean < 0.1


def test_the_exported_halves_leave_a_resting_mouth_as_it_is(
    network: MouthRenderer, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    export_halves(network, tmp_path)
    served = HalvedRenderer(OpenVinoNetwork(tmp_path / LOOK), OpenVinoNetwork(tmp_path / PAINT), Looks(2**20))
    assert served.patch == Size(48, 48)
    patches = served.paint([Crop(crop, "talk", i) for i, crop in enumerate(crops)], np.zeros((3, 7), np.float32))
    np.testing.assert_array_equal(patches, crops)


@pytest.fixture(scope="module")
def dead(network: MouthRenderer) -> MouthRenderer:
    """The same network, of whose U-Net training has left nothing but the last biases."""
    dead = deepcopy(network)
    with torch.no_grad():
        for name, parameter in dead.named_parameters():
            if name.startswith(("face_out", "window_out")):
                parameter.copy_(torch.linspace(-0.1, 0.2, len(parameter)) if name.endswith("bias") else 0 * parameter)
    return dead


def test_a_unet_that_adds_nothing_is_left_out(
    network: MouthRenderer, dead: MouthRenderer, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    said = TARGETS[[2, 7, 11]]
    assert needs_unet(network, crops, said)
    assert not needs_unet(dead, crops, said)
    n_bytes = export_halves(dead, tmp_path, unet=False)
    assert n_bytes < export_halves(network, tmp_path / "with") - 20_000
    found = compare(dead, tmp_path, crops, said, precisions=["f32"], n_timed=1)[0]
    assert found.largest <= 1
    assert found.mean < 0.1


def test_a_window_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        RendererConfig(window=Box(30, 40, 96, 64))


def test_regions_are_warped_to_crops_where_the_face_is(mouths: Path) -> None:
    poses = Mouths(mouths).read()
    assert len(poses) == 16
    assert [pose.held_out for pose in poses] == [False] * 14 + [True] * 2
    for pose in poses[:4]:
        drawn = draw_mouth(pose.spoken[0].articulation, 48).astype(np.float64)
        crop = pose.spoken[0].crop(48).astype(np.float64)
        apart = [np.corrcoef(drawn.ravel(), np.roll(crop, shift, axis=1).ravel())[0, 1] for shift in (-3, 0, 3)]
        assert apart[1] == max(apart)


def test_a_line_that_is_still_being_written_is_left_for_later(mouths: Path, tmp_path: Path) -> None:
    lines = (mouths / INDEX).read_text().splitlines(keepends=True)
    for file in mouths.glob("*.png"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / INDEX).write_text("".join(lines[:7]) + lines[7][:20])
    growing = Mouths(tmp_path)
    assert [len(pose.spoken) for pose in growing.read()] == [4, 1]
    (tmp_path / INDEX).write_text("".join(lines[:10]))
    assert [len(pose.spoken) for pose in growing.read()] == [4, 4]


def test_affine_maps_are_chained() -> None:
    face = np.array([[2, 0, 5], [0, 3, -1]], np.float32)
    first = np.array([[0, -1, 4], [1, 0, 2]], np.float32)
    point = np.array([3, 7, 1])
    np.testing.assert_allclose(after(face, first) @ point, face @ [*(first @ point), 1])


def test_crop_and_targets_are_varied_alike(mouths: Path) -> None:
    pose = Mouths(mouths).read()[0]
    lesson = Lessons(48, seed=4, p=3, k=4).draw([pose])
    assert lesson.crops.shape == (3, 3, 48, 48)
    assert lesson.targets.shape == (12, 3, 48, 48)
    assert lesson.articulations.shape == (12, 7)
    corners = np.abs(lesson.crops.repeat(4, axis=0) - lesson.targets)[:, :, :6, :6]
    assert corners.mean() < 2, "far from the mouth, nothing differs but the coding of the crop"


def test_the_mask_covers_what_moves_and_ends_before_the_border(mouths: Path) -> None:
    motion = measure_motion(Mouths(mouths).read(), 48)
    mask = mouth_mask(motion, soft_px=2)
    assert mask[motion.most > 36].min() > 128
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()
    steps = np.abs(np.diff(mask.astype(int), axis=0))
    assert steps.max() < 128, "soft"
    assert motion.mean.max() <= motion.most.max()


def test_figures_know_equal_pictures_from_others() -> None:
    picture = draw_mouth(TARGETS[11], 48)
    everywhere = np.ones((48, 48), np.bool_)
    assert psnr(picture, picture, everywhere) == float("inf")
    assert ssim(picture, picture, everywhere) == pytest.approx(1)
    off = np.clip(picture.astype(int) + 10, 0, 255).astype(np.uint8)
    assert psnr(off, picture, everywhere) == pytest.approx(28.1, abs=0.3)
    assert ssim(draw_mouth(TARGETS[1], 48), picture, everywhere) < 0.9


def test_training_starts_from_a_face_that_speaks_and_goes_on_where_it_stopped(mouths: Path, tmp_path: Path) -> None:
    config = RendererConfig(**{**{f: getattr(SMALL, f) for f in SMALL.__slots__}, "rank": 20, "hidden": 48})
    checkpoint = tmp_path / "mouth.pt"
    first = Training(Plan(seconds=1.0, poses_per_step=1), config)
    train(first, Mouths(mouths), checkpoint)
    assert first.done
    poses = Mouths(mouths).read()
    everywhere = np.full((48, 48), 255, np.uint8)
    drawn = draw_held_out(load_renderer(checkpoint), poses, everywhere)
    assert len(drawn) == 8
    untouched = np.mean([psnr(each.crop, each.target, everywhere > 0) for each in drawn])
    assert np.mean([each.psnr_db for each in drawn]) > untouched + 5
    assert sheet(drawn, everywhere).shape == (3 * 48, 3 * 4 * 48, 3)

    more = Training(Plan(seconds=1.5, poses_per_step=1), config)
    more.resume(checkpoint)
    assert more.progress.step == first.progress.step
    train(more, Mouths(mouths), checkpoint)
    assert more.progress.step > first.progress.step


def test_ctrl_c_saves(mouths: Path, tmp_path: Path) -> None:
    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    training = Training(Plan(seconds=60, poses_per_step=1), SMALL)
    with pytest.raises(KeyboardInterrupt):
        train(training, Mouths(mouths), tmp_path / "mouth.pt", interrupt)
    resumed = Training(Plan(seconds=60), SMALL)
    resumed.resume(tmp_path / "mouth.pt")
    assert resumed.progress.step == 1


@pytest.mark.parametrize("command", ["synthesize", "train", "mask", "evaluate", "export", "compare"])
def test_every_command_explains_itself(command: str) -> None:
    from models.making.mouth.__main__ import app

    said = CliRunner().invoke(app, [command, "--help"])
    assert said.exit_code == 0
    assert "Usage" in said.output


@pytest.fixture(scope="module")
def shipped() -> tuple[Renderer, list[Crop]]:
    """The shipped renderer in its runtime, and some of its avatar's crops."""
    loaded = Catalogue([SHIPPED]).load("ava")
    assert isinstance(loaded.model, SpeechLips)
    crops = loaded.bundle.clips["talk"].crops
    return loaded.model.renderer, [Crop(crops[i], "talk", i) for i in range(0, len(crops), max(1, len(crops) // 4))]


def render(shipped: tuple[Renderer, list[Crop]], articulation: NDArray[np.float32]) -> NDArray[np.int16]:
    renderer, crops = shipped
    said = np.repeat(articulation[None].astype(np.float32), len(crops), axis=0)
    return np.stack(renderer.paint(crops, said)).astype(np.int16)


def footage(shipped: tuple[Renderer, list[Crop]]) -> NDArray[np.uint8]:
    return np.stack([crop.pixels for crop in shipped[1]])


def test_the_shipped_renderer_leaves_a_resting_mouth_alone(shipped: tuple[Renderer, list[Crop]]) -> None:
    assert np.abs(render(shipped, np.zeros(7, np.float32)) - footage(shipped)).max() <= 1


def test_the_shipped_renderer_opens_the_mouth_and_nothing_else(shipped: tuple[Renderer, list[Crop]]) -> None:
    jaw = np.zeros(7, np.float32)
    jaw[CHANNELS.index("jaw")] = 1
    change = np.abs(render(shipped, jaw) - footage(shipped)).max(axis=3)
    n = change.shape[1]
    mouth = np.s_[:, n * 3 // 10 : n * 6 // 10, n * 35 // 100 : n * 65 // 100]
    assert change[mouth].mean() > 15
    assert change[:, : n // 20].mean() < 4, "the nose stays"


def test_the_shipped_renderer_tells_visemes_apart(shipped: tuple[Renderer, list[Crop]]) -> None:
    n = footage(shipped).shape[1]
    lips = np.s_[:, n // 4 : n * 65 // 100, n * 22 // 100 : n * 78 // 100]
    drawn = np.stack([render(shipped, target)[lips] for target in TARGETS])
    apart = np.abs(drawn[:, None] - drawn[None]).mean(axis=(2, 3, 4, 5))
    assert apart[~np.eye(len(TARGETS), dtype=bool)].min() > 0.5
