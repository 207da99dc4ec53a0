"""The mouth renderer: a face with its mouth at rest, and what the mouth is to do, to the face that does it.

Faces are aligned in crop space and a renderer belongs to one avatar, so most of what is drawn depends on the
articulation and a few numbers that tell the crop's pose and smile (its likeness): a mixture of learned pictures (as in
active appearance models, Cootes et al., 1998) makes a draft, which costs one small matrix product. A U-Net fits the
draft to the crop: over the whole face at a quarter of its size, and in a window around the lips at full size. The image
half (`look`) sees only the crop, so a clip's frames can be looked at once and for all; the drawing half (`paint`) is
conditioned by feature-wise scales and shifts (FiLM, Perez et al., 2018). There is no normalisation layer: residual
convolutions keep the signal in range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from avatar.articulation import CHANNELS
from avatar.geometry import Box

WHITE = 255.0
HALF = 127.5
LIKENESS = 0.4
"""The numbers of a likeness stay within this of 0: beside articulations, which go to 1, poses differ little."""
_REPLACING = 3.0
"""How fast the draft takes the place of the crop's own lips, rather than being added to them."""
_GATE = 16.0
"""How fast drawing sets in as the articulation leaves zero: at 0.1 the mouth is nine tenths the network's."""


@dataclass(frozen=True, slots=True)
class RendererConfig:
    """The size of a mouth renderer.

    Attributes:
        patch: width and height of crop and patch in pixels, a multiple of 16.
        window: where the lips are: drawn at full size; four multiples of 4.
        widths: channels at 1/4, 1/8 and 1/16 of the patch's size.
        n_drawn: convolutions of the drawing half at each of these scales.
        window_width: channels at 1/2 of the window's size.
        n_window: convolutions of the drawing half in the window.
        n_full: channels at the window's full size.
        hidden: width of the embedding of articulation and likeness.
        n_likeness: how many numbers tell the crop's pose and smile.
        n_outline: channels of what the embedding gives to the U-Net, at 1/16.
        rank: how many pictures are mixed for the draft.
        fade_px: over how many pixels what the window adds sets in at its border.
    """

    patch: int = 192
    window: Box = Box(36, 44, 120, 80)
    widths: tuple[int, int, int] = (32, 64, 96)
    n_drawn: int = 1
    window_width: int = 32
    n_window: int = 2
    n_full: int = 8
    hidden: int = 128
    n_likeness: int = 4
    n_outline: int = 32
    rank: int = 40
    fade_px: int = 8

    def __post_init__(self) -> None:
        if self.patch % 16:
            raise ValueError(f"a patch of {self.patch} pixels does not halve four times")
        window = self.window
        if any(edge % 4 for edge in (window.left, window.top, window.width, window.height)):
            raise ValueError(f"the window {window} is not in multiples of 4 pixels")

    @property
    def n_draft(self) -> tuple[int, int]:
        """Numbers in a draft: over the whole face at half size, and in the window at full size."""
        return 3 * (self.patch // 2) ** 2, 3 * self.window.width * self.window.height


class _Residual(nn.Module):
    """A residual convolution; ``film`` (b, 2 * width) scales and shifts its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.convolution.weight.mul_(0.5)

    def forward(self, image: Tensor, film: Tensor | None = None) -> Tensor:
        hidden = image
        if film is not None:
            scale, shift = film[:, :, None, None].chunk(2, dim=1)
            hidden = hidden * (1 + scale) + shift
        return cast(Tensor, image + self.convolution(functional.relu(hidden)))


class _Drawers(nn.Module):
    """Residual convolutions in a row, each conditioned on the articulation's embedding (b, hidden)."""

    def __init__(self, width: int, n: int, hidden: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(_Residual(width) for _ in range(n))
        self.films = nn.ModuleList(nn.Linear(hidden, 2 * width) for _ in range(n))

    def forward(self, image: Tensor, embedded: Tensor) -> Tensor:
        for convolution, film in zip(self.convolutions, self.films, strict=True):
            image = convolution(image, film(embedded))
        return image


class Looking(nn.Module):
    """The layers of the image half."""

    def __init__(self, config: RendererConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RendererConfig()
        widths, inner = config.widths, config.window_width
        self.entries = nn.ModuleList(
            nn.Conv2d(above, width, 3, stride=1 if level == 0 else 2, padding=1)
            for level, (above, width) in enumerate(zip((48, *widths[:-1]), widths, strict=True))
        )
        self.seers = nn.ModuleList(_Residual(width) for width in widths)
        self.window_entry = nn.Conv2d(12, inner, 3, padding=1)
        self.window_seer = _Residual(inner)

        self.likeness = likeness_of(config)

    def look(self, crop: Tensor) -> tuple[Tensor, ...]:
        """What the image half sees in crops (b, 3, patch, patch), 0–255: 1/4, 1/8, 1/16; window; likeness."""
        colours, window = crop / HALF - 1, self.config.window
        image, seen = functional.pixel_unshuffle(colours, 4), list[Tensor]()
        for entry, seer in zip(self.entries, self.seers, strict=True):
            image = seer(entry(functional.relu(image) if seen else image))
            seen.append(image)
        near = functional.pixel_unshuffle(colours[:, :, window.rows, window.columns], 2)
        return (*seen, self.window_seer(self.window_entry(near)), alike(self.likeness, colours))


class MouthRenderer(Looking):
    """Draws mouths: what is trained. `forward` draws in one go; `look` and `paint` are its two halves.

    What is exported does the same: see ``models.nets.mouth_halves``.
    """

    fade: Tensor
    limits: Tensor
    """The largest articulation of each channel that it has learned from, (7,); it draws no mouth beyond."""

    def __init__(self, config: RendererConfig | None = None) -> None:
        super().__init__(config)
        config = self.config
        widths, hidden, inner = config.widths, config.hidden, config.window_width
        self.embedding = nn.Sequential(
            nn.Linear(len(CHANNELS) + config.n_likeness, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.mixture = nn.Linear(hidden, config.rank)
        self.pictures = nn.Linear(config.rank, sum(config.n_draft))
        self.plain = nn.Parameter(torch.zeros(3, config.window.height, config.window.width))
        self.outline = nn.Linear(hidden, config.n_outline * (config.patch // 16) ** 2)
        self.outline_in = nn.Conv2d(config.n_outline, widths[-1], 1)
        self.drawers = nn.ModuleList(_Drawers(width, config.n_drawn, hidden) for width in widths)
        self.risers = nn.ModuleList(
            nn.Conv2d(below, width, 1) for below, width in zip(widths[1:], widths[:-1], strict=True)
        )
        self.face_out = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.window_riser = nn.Conv2d(widths[0], inner, 1)
        self.draft_in = nn.Conv2d(12, inner, 3, padding=1)
        self.window_drawers = _Drawers(inner, config.n_window, hidden)
        self.window_open = nn.Conv2d(inner, 4 * config.n_full, 3, padding=1)
        self.window_out = nn.Conv2d(config.n_full, 3, 3, padding=1)
        with torch.no_grad():
            self.pictures.weight.mul_(0.1)
            for last in (self.face_out, self.window_out):
                last.weight.mul_(0.05)
                cast(Tensor, last.bias).zero_()
        self.register_buffer("limits", torch.ones(len(CHANNELS)))
        self.register_buffer("fade", fade_of(config.window, config.fade_px), persistent=False)

    def draft(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """What the mixture adds, ±1: to the face (b, 3, patch / 2, patch / 2), and more in the window."""
        patch, window = self.config.patch, self.config.window
        face, near = self.pictures(self.mixture(embedded)).split(self.config.n_draft, dim=1)
        return (
            face.reshape(-1, 3, patch // 2, patch // 2),
            near.reshape(-1, 3, window.height, window.width),
        )

    def paint(self, crop: Tensor, seen: tuple[Tensor, ...], articulation: Tensor) -> Tensor:
        """Patches (b, 3, patch, patch), nominally 0–255, from crops, `look` at them, and articulation (b, 7).

        At articulation zero a patch is its crop, exactly.
        """
        config, window = self.config, self.config.window
        *scales, window_seen, likeness = seen
        articulation = torch.minimum(articulation, self.limits)
        embedded = self.embedding(torch.cat([articulation, likeness], dim=1))
        face, near = self.draft(embedded)

        cells = config.patch // 16
        image = scales[-1] + self.outline_in(self.outline(embedded).reshape(-1, config.n_outline, cells, cells))
        for level in reversed(range(len(scales))):
            if level < len(scales) - 1:
                image = doubled(self.risers[level](image)) + scales[level]
            image = self.drawers[level](image, embedded)
        face = face + functional.pixel_shuffle(self.face_out(functional.relu(image)), 2)
        face = functional.interpolate(face, scale_factor=2.0, mode="bilinear", align_corners=False)

        quarter = Box(window.left // 4, window.top // 4, window.width // 4, window.height // 4)
        lips = crop[:, :, window.rows, window.columns] / HALF - 1
        near = near - replaced(articulation)[:, None, None, None] * (lips - self.plain)
        drafted = lips + face[:, :, window.rows, window.columns] + near
        image = doubled(self.window_riser(image[:, :, quarter.rows, quarter.columns])) + window_seen
        image = image + self.draft_in(functional.pixel_unshuffle(drafted, 2))
        image = self.window_drawers(image, embedded)
        full = functional.pixel_shuffle(self.window_open(functional.relu(image)), 2)
        near = (near + self.window_out(functional.relu(full))) * self.fade

        right, below = config.patch - window.left - window.width, config.patch - window.top - window.height
        added = face + functional.pad(near, (window.left, right, window.top, below))
        return crop + gate(articulation)[:, None, None, None] * HALF * added

    def forward(self, crop: Tensor, articulation: Tensor) -> Tensor:
        """Patches uint8 (b, patch, patch, 3) from crops uint8 (b, patch, patch, 3) and articulation float (b, 7)."""
        image = crop.permute(0, 3, 1, 2).to(articulation.dtype)
        patch = self.paint(image, self.look(image), articulation)
        return patch.clamp(0, WHITE).round().to(torch.uint8).permute(0, 2, 3, 1)


def likeness_of(config: RendererConfig) -> nn.Linear:
    """What tells a likeness of crops at an eighth of their size."""
    return nn.Linear(3 * (config.patch // 8) ** 2, config.n_likeness)


def alike(likeness: nn.Linear, colours: Tensor) -> Tensor:
    """The likeness (b, n) of colours (b, 3, patch, patch), ±1."""
    return cast(Tensor, likeness(functional.avg_pool2d(colours, 8).flatten(1))).clamp(-LIKENESS, LIKENESS)


def gate(articulation: Tensor) -> Tensor:
    """How far drawing has set in, 0 to 1, (b,): 0 at articulation (b, 7) zero, so that a patch is its crop there."""
    return torch.tanh(_GATE * articulation.abs().amax(dim=1))


def replaced(articulation: Tensor) -> Tensor:
    """How far the window's own lips give way to plain ones, which the draft is for, 0 to 1, (b,)."""
    return torch.tanh(_REPLACING * articulation.abs().amax(dim=1))


def doubled(image: Tensor) -> Tensor:
    return functional.interpolate(image, scale_factor=2.0, mode="nearest")


def fade_of(window: Box, fade_px: int) -> Tensor:
    """1 inside the window, falling to 0 at its border, (height, width)."""
    rows, columns = (torch.minimum(torch.arange(n), torch.arange(n).flip(0)) for n in (window.height, window.width))
    inside = torch.minimum(rows[:, None], columns[None, :]) / fade_px
    return 0.5 - 0.5 * torch.cos(torch.pi * inside.clamp(0, 1))
