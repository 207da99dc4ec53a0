"""Mouth renderers: crops of a face and articulations to patches with mouths, by one network or by two."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from avatar.articulation import CHANNELS
from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.lipsync import Crop
from avatar.pictures import Rgb
from models.looks import Look, Looks
from models.pixel_blocks import COLOURS, SIDE, in_blocks, in_pixels
from models.runtimes.network import Network, require, written

LOOK, PAINT = "mouth_look.onnx", "mouth_paint.onnx"
"""Files of the two halves of a renderer."""

Frame = tuple[str, int]
"""Of footage: its clip's name, and where in the clip it is."""


class Renderer(Protocol):
    """Draws mouths of one avatar. Several threads may call it."""

    @property
    def patch(self) -> Size: ...

    def paint(self, crops: Sequence[Crop], articulations: NDArray[np.float32]) -> list[Rgb]:
        """Patches uint8 (patch.height, patch.width, 3) of crops, whose mouths do what articulations (B, 7) say."""
        ...


class WholeRenderer:
    """One network: crop uint8 (B, H, W, 3) and articulation float32 (B, 7) to patch uint8 (B, H, W, 3).

    Raises:
        BundleError: a network with other inputs or outputs.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.patch = picture_size(network, "mouth renderer takes")
        require(network.inputs, "articulation", (None, len(CHANNELS)), "mouth renderer takes")
        picture = (None, self.patch.height, self.patch.width, COLOURS)
        require(network.outputs, "patch", picture, "mouth renderer gives")

    def paint(self, crops: Sequence[Crop], articulations: NDArray[np.float32]) -> list[Rgb]:
        pixels = np.stack([crop.pixels for crop in crops])
        return list(self.network.run({"crop": pixels, "articulation": articulations})["patch"])


class HalvedRenderer:
    """Two networks, of which the image half runs once for each frame of footage.

    Args:
        image_half: crop uint8 (B, H, W, 3) to whatever there is to see in it.
        drawing_half: that, ``blocks`` of crops uint8 (B, H / 4, W / 4, 48) and articulation float32 (B, 7) to ``patch``
            in such blocks.
        looks: keeps what was seen.

    Raises:
        BundleError: networks with other inputs or outputs, or that do not fit together.
    """

    def __init__(self, image_half: Network, drawing_half: Network, looks: Looks) -> None:
        self.image_half = image_half
        self.drawing_half = drawing_half
        self.patch = picture_size(image_half, "image half of the mouth renderer takes")
        blocks = (None, self.patch.height // SIDE, self.patch.width // SIDE, SIDE * SIDE * COLOURS)
        require(drawing_half.inputs, "articulation", (None, len(CHANNELS)), "drawing half of the mouth renderer takes")
        require(drawing_half.inputs, "blocks", blocks, "drawing half of the mouth renderer takes")
        require(drawing_half.outputs, "patch", blocks, "drawing half of the mouth renderer gives")
        for name, shape in drawing_half.inputs.items():
            if name not in ("articulation", "blocks"):
                require(image_half.outputs, name, shape, "image half of the mouth renderer gives")
        self._seen = tuple(name for name in drawing_half.inputs if name in image_half.outputs)
        self._looks = looks
        self._looking = threading.Lock()
        looks.join(self)

    def paint(self, crops: Sequence[Crop], articulations: NDArray[np.float32]) -> list[Rgb]:
        looks = self._look(crops)
        inputs: dict[str, NDArray[Any]] = {
            name: together([look[place] for look in looks]) for place, name in enumerate(self._seen)
        }
        inputs["blocks"] = in_blocks([crop.pixels for crop in crops])
        inputs["articulation"] = articulations
        return list(in_pixels(self.drawing_half.run(inputs)["patch"]))

    def _look(self, crops: Sequence[Crop]) -> list[Look]:
        """What is seen in each crop."""
        frames = {(crop.clip, crop.frame): crop for crop in crops}
        looks = self._known(frames)
        if len(looks) < len(frames):
            with self._looking:  # who waits here may find that it has been seen meanwhile
                looks |= self._known([frame for frame in frames if frame not in looks])
                missing = {frame: crop for frame, crop in frames.items() if frame not in looks}
                if missing:
                    looks |= self._see(missing)
        return [looks[crop.clip, crop.frame] for crop in crops]

    def _known(self, frames: Iterable[Frame]) -> dict[Frame, Look]:
        found = ((frame, self._looks.get(self, frame)) for frame in frames)
        return {frame: look for frame, look in found if look is not None}

    def _see(self, crops: Mapping[Frame, Crop]) -> dict[Frame, Look]:
        seen = self.image_half.run({"crop": np.stack([crop.pixels for crop in crops.values()])})
        looks = {frame: tuple(seen[name][i].copy() for name in self._seen) for i, frame in enumerate(crops)}
        for frame, look in looks.items():
            self._looks.put(self, frame, look)
        return looks


def together(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays as a batch; of a single one that is no copy."""
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]


def picture_size(network: Network, who: str) -> Size:
    """Of the crops that a network takes."""
    shape = require(network.inputs, "crop", (None, None, None, COLOURS), who)
    height, width = shape[1:3]
    if height is None or width is None:
        raise BundleError(f"the {who} crops of shape {written(shape)}; height and width must be fixed")
    return Size(width, height)
