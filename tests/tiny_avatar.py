"""A small true avatar: real H.264, real tracks and joins, real networks, made in a fraction of a second.

Its mouth can be seen: the network paints the rows ``mouth_rows(patch)`` of the crop with red = 255 * jaw and
green = 255 * close, and leaves every other pixel as it is. Its jaw follows the loudness of the newest speech it hears.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from avatar.articulation import CHANNELS, VISEMES
from avatar.bundle import Join
from avatar.geometry import Size
from avatar.pictures import Rgb
from models.bundles import ClipEntry, Credit, LipSyncEntry, Manifest, write_manifest, write_mask, write_track
from models.footage import encode_clip

FPS = Fraction(25)
CLIPS = {"idle": 20, "listen": 16, "talk": 18, "nod": 14, "smile": 12}
"""Frames of each clip."""

GESTURES = ("nod", "smile")

WINDOW = 16
LOOK_AHEAD_MS = 80
NEWEST = 4
"""The jaw opens with the loudest band of the newest feature frames, on average over this many of them."""
QUIET, LOUD = -0.5, 2.0
"""Level of the loudest band (``avatar.features``) at which the jaw is shut, and wide open."""


Constants = Mapping[str, NDArray[np.float32] | NDArray[np.int64]]


def make_tiny_avatar(
    folder: Path, *, id: str = "tiny", size: int = 128, patch: int = 48, lips: bool = True, version: str = "1"
) -> Path:
    """Writes the avatar into ``folder`` and returns it; ``lips=False`` makes one without a network."""
    moves = {name: face_track(n, size, patch, phase) for phase, (name, n) in enumerate(CLIPS.items())}
    footage = {name: [drawn(size, patch, face, i, name) for i, face in enumerate(moves[name])] for name in CLIPS}
    for name, pictures in footage.items():
        encode_clip(folder / "clips" / f"{name}.mp4", pictures, Size(size, size), FPS)
        joins = {other: join(cycle(name, pictures), cycle(other, footage[other])) for other in CLIPS if other != name}
        write_track(folder / "tracks" / f"{name}.npz", moves[name], joins)
    write_mask(folder, soft_ellipse(patch))
    if lips:
        write_encoder(folder / "weights" / "speech_encoder.onnx")
        write_renderer(folder / "weights" / "mouth.onnx", patch)
    write_manifest(
        folder,
        Manifest(
            id=id,
            name=id.capitalize(),
            version=version,
            size=(size, size),
            fps=str(FPS),
            lipsync=LipSyncEntry("speech_lips", "weights/mouth.onnx", "weights/speech_encoder.onnx") if lips else None,
            clips={
                name: ClipEntry(f"clips/{name}.mp4", f"tracks/{name}.npz", n, name not in GESTURES)
                for name, n in CLIPS.items()
            },
            states={"idle": "idle", "listen": "listen", "talk": "talk"},
            gestures={"NOD": "nod", "SMILE": "smile"},
            credits=[Credit("everything", "the tests", "tests/tiny_avatar.py", "MIT")],
        ),
    )
    return folder


def mouth_rows(patch: int) -> slice:
    """The rows of the crop that the network paints."""
    return slice(patch * 5 // 8, patch * 7 // 8)


def face_track(n: int, size: int, patch: int, phase: int) -> NDArray[np.float32]:
    """A face half as wide as the frame that sways, nods and turns by parts of a pixel, float32 (n, 2, 3)."""
    t = 2 * np.pi * np.arange(n) / n + phase
    angle, scale = 0.04 * np.sin(t), size / 2 / patch * (1 + 0.01 * np.cos(t))
    faces = np.zeros((n, 2, 3))
    faces[:, 0, 0] = faces[:, 1, 1] = scale * np.cos(angle)
    faces[:, 1, 0] = scale * np.sin(angle)
    faces[:, 0, 1] = -faces[:, 1, 0]
    middle = np.stack([size / 2 + 2.3 * np.sin(t), size / 2 + 1.7 * np.cos(2 * t)], axis=1)
    faces[:, :, 2] = middle - faces[:, :, :2] @ np.full(2, (patch - 1) / 2)
    return faces.astype(np.float32)


def drawn(size: int, patch: int, face: NDArray[np.float32], index: int, clip: str) -> Rgb:
    """A gradient that moves, with a face (skin, two eyes, a closed mouth) where the track says that it is."""
    shade = 6 * list(CLIPS).index(clip)
    y, x = np.mgrid[0:size, 0:size]
    picture = np.stack([x * 150 // size + 3 * index, y * 150 // size + shade // 2, np.full_like(x, 60 + shade)], axis=2)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    skin = np.zeros((patch, patch, 3), np.uint8)
    skin[...] = (205, 165, 140)
    smile = patch // 10 if clip == "smile" else 0
    for eye in (0.3, 0.7):
        cv2.circle(skin, (int(eye * patch), int(0.35 * patch)), max(1, patch // 12), (40, 30, 30), -1)
    mouth = (patch // 2, patch * 3 // 4)
    cv2.ellipse(skin, mouth, (patch // 5, max(1, patch // 24) + smile), 0, 0, 180, (170, 60, 70), -1)
    oval = np.zeros((patch, patch), np.uint8)
    cv2.ellipse(oval, (patch // 2, patch // 2), (patch * 7 // 16, patch // 2 - 1), 0, 0, 360, 255, -1)
    there = cv2.warpAffine(oval, face, (size, size), flags=cv2.INTER_LINEAR)[..., None] / 255
    warped = cv2.warpAffine(skin, face, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.round(picture * (1 - there) + warped * there), np.uint8)


def cycle(name: str, pictures: list[Rgb]) -> list[Rgb]:
    """Loops there and back, gestures once."""
    return pictures if name in GESTURES else pictures + pictures[-2:0:-1]


def join(pictures: list[Rgb], others: list[Rgb]) -> Join:
    """The nearest picture of the other clip for each of this one, in units of this clip's ordinary step."""

    def small(frames: list[Rgb]) -> NDArray[np.float32]:
        return np.stack([cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA).ravel() for frame in frames]).astype(
            np.float32
        )

    here, there = small(pictures), small(others)
    step = float(np.median(np.linalg.norm(np.diff(here, axis=0), axis=1)))
    apart = np.linalg.norm(here[:, None] - there[None], axis=2) / step
    return Join(apart.argmin(axis=1).astype(np.int32), apart.min(axis=1).astype(np.float32))


def soft_ellipse(patch: int) -> NDArray[np.uint8]:
    """A mask over the mouth's rows that falls off softly and is 0 at the crop's edge, uint8 (patch, patch)."""
    y, x = np.mgrid[0:patch, 0:patch] / patch
    distance = np.hypot((x - 0.5 + 0.5 / patch) / 0.4, (y - 0.75 + 0.5 / patch) / 0.22)
    return np.asarray(np.round(255 * np.clip((1 - distance) / 0.4, 0, 1)), np.uint8)


def write_encoder(path: Path) -> None:
    """mel (B, WINDOW, 80) -> articulation (B, 7): jaw by loudness, close a quarter of it; visemes (B, 14)."""
    to_channels, to_visemes = np.zeros((1, len(CHANNELS)), np.float32), np.zeros((1, len(VISEMES)), np.float32)
    to_channels[0, CHANNELS.index("jaw")], to_channels[0, CHANNELS.index("close")] = 1, 0.25
    to_visemes[0, VISEMES.index("SIL")], to_visemes[0, VISEMES.index("AA")] = -8, 8
    constants: Constants = {
        "from": np.array([WINDOW - NEWEST], np.int64),
        "to": np.array([WINDOW], np.int64),
        "time": np.array([1], np.int64),
        "quiet": np.array([QUIET], np.float32),
        "span": np.array([LOUD - QUIET], np.float32),
        "half": np.array([0.5], np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "to_channels": to_channels,
        "to_visemes": to_visemes,
    }
    nodes = [
        helper.make_node("Slice", ["mel", "from", "to", "time"], ["newest"]),
        helper.make_node("ReduceMax", ["newest"], ["loudest"], axes=[2], keepdims=0),
        helper.make_node("ReduceMean", ["loudest"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "time"], ["level"]),
        helper.make_node("Sub", ["level", "quiet"], ["above"]),
        helper.make_node("Div", ["above", "span"], ["share"]),
        helper.make_node("Clip", ["share", "zero", "one"], ["loudness"]),
        helper.make_node("MatMul", ["loudness", "to_channels"], ["articulation"]),
        helper.make_node("Sub", ["loudness", "half"], ["voiced"]),
        helper.make_node("MatMul", ["voiced", "to_visemes"], ["visemes"]),
    ]
    write_network(
        path,
        nodes,
        constants,
        inputs=[helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["batch", WINDOW, 80])],
        outputs=[
            helper.make_tensor_value_info("articulation", TensorProto.FLOAT, ["batch", len(CHANNELS)]),
            helper.make_tensor_value_info("visemes", TensorProto.FLOAT, ["batch", len(VISEMES)]),
        ],
    )
    path.with_suffix(".toml").write_text(f"window = {WINDOW}\nlook_ahead_ms = {LOOK_AHEAD_MS}\n")


def write_renderer(path: Path, patch: int) -> None:
    """crop uint8 (B, patch, patch, 3), articulation (B, 7) -> patch uint8, like the crop."""
    painted = np.zeros((1, patch, patch, 3), np.float32)
    painted[:, mouth_rows(patch)] = 1
    to_colour = np.zeros((len(CHANNELS), 3), np.float32)
    to_colour[CHANNELS.index("jaw"), 0] = to_colour[CHANNELS.index("close"), 1] = 255
    constants: Constants = {
        "painted": painted,
        "kept": 1 - painted,
        "to_colour": to_colour,
        "planes": np.array([-1, 1, 1, 3], np.int64),
        "zero": np.array(0, np.float32),
        "most": np.array(255, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["crop"], ["face"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["articulation", "to_colour"], ["rgb"]),
        helper.make_node("Reshape", ["rgb", "planes"], ["colour"]),
        helper.make_node("Mul", ["painted", "colour"], ["mouth"]),
        helper.make_node("Mul", ["kept", "face"], ["around"]),
        helper.make_node("Add", ["mouth", "around"], ["sum"]),
        helper.make_node("Round", ["sum"], ["whole"]),
        helper.make_node("Clip", ["whole", "zero", "most"], ["bounded"]),
        helper.make_node("Cast", ["bounded"], ["patch"], to=TensorProto.UINT8),
    ]
    picture: list[str | int | None] = ["batch", patch, patch, 3]
    write_network(
        path,
        nodes,
        constants,
        inputs=[
            helper.make_tensor_value_info("crop", TensorProto.UINT8, picture),
            helper.make_tensor_value_info("articulation", TensorProto.FLOAT, ["batch", len(CHANNELS)]),
        ],
        outputs=[helper.make_tensor_value_info("patch", TensorProto.UINT8, picture)],
    )


def write_network(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: Constants,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> None:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
