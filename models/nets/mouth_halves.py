"""The mouth renderer as it is served: two networks, of which one runs once for each frame of footage.

`ImageHalf` is what `MouthRenderer.look` does. `DrawingHalf` does what `MouthRenderer.paint` does, put differently so
that it takes two thirds of the time: pictures come and go in blocks of 4x4 pixels (``models.pixel_blocks``), and what
the renderer does at twice or four times that resolution is done on blocks, too. There, enlarging is a convolution with
fixed weights, and a convolution over small pixels is one over blocks with more channels, so that hardly anything has to
be resized or moved about. Nothing is approximated.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from avatar.articulation import CHANNELS
from avatar.geometry import Box
from models.nets.blocks import SHUFFLED, border_of, enlarging_kernel, halved, in_blocks, joined, over_blocks
from models.nets.mouth_renderer import (
    HALF,
    WHITE,
    Looking,
    MouthRenderer,
    RendererConfig,
    doubled,
    fade_of,
    gate,
    replaced,
)

SEEN = ("quarter", "eighth", "sixteenth", "window", "likeness")
"""What the image half gives and the drawing half takes, in this order, in half precision."""


class ImageHalf(Looking):
    """Crops uint8 (b, patch, patch, 3) to what is seen of them."""

    @classmethod
    def of(cls, renderer: MouthRenderer) -> Self:
        half = cls(renderer.config)
        weights = renderer.state_dict()
        half.load_state_dict({name: weights[name] for name in half.state_dict()})
        return half

    def forward(self, crop: Tensor) -> tuple[Tensor, ...]:
        return tuple(seen.half() for seen in self.look(crop.permute(0, 3, 1, 2).float()))


class DrawingHalf(nn.Module):
    """Crops in blocks uint8 (b, patch / 4, patch / 4, 48), what was seen of them, and articulation float (b, 7), to
    patches like the crops."""

    limits: Tensor
    enlarging: Tensor
    border: Tensor
    fade: Tensor

    def __init__(self, config: RendererConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RendererConfig()
        widths, hidden, inner, window = config.widths, config.hidden, config.window_width, config.window
        self.register_buffer("limits", torch.ones(len(CHANNELS)))
        self.embedding = nn.Sequential(
            nn.Linear(len(CHANNELS) + config.n_likeness, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.mixture = nn.Linear(hidden, config.rank)
        n_face, n_near = config.n_draft
        self.face_pictures, self.near_pictures = nn.Linear(config.rank, n_face), nn.Linear(config.rank, n_near)
        self.plain = nn.Parameter(torch.zeros(window.height // 4, window.width // 4, 48))
        self.outline = nn.Linear(hidden, config.n_outline * (config.patch // 16) ** 2)
        self.outline_in = nn.Conv2d(config.n_outline, widths[-1], 1)
        drawn = (*(width for width in widths for _ in range(config.n_drawn)), *(inner for _ in range(config.n_window)))
        self.drawers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in drawn)
        self.films = nn.Linear(hidden, 2 * sum(drawn))
        self.risers = nn.ModuleList(
            nn.Conv2d(below, width, 1) for below, width in zip(widths[1:], widths[:-1], strict=True)
        )
        self.face_out = nn.Conv2d(widths[0], 12, 3, padding=1)
        self.window_riser = nn.Conv2d(widths[0], inner, 1)
        self.draft_in = nn.Conv2d(12, inner, 3, padding=1)
        self.window_open = nn.Conv2d(inner, 4 * config.n_full, 3, padding=1)
        self.window_out = nn.Conv2d(4 * config.n_full, 12, 3, padding=1)
        self.register_buffer("enlarging", enlarging_kernel(), persistent=False)
        self.register_buffer("border", in_blocks(border_of(config.patch, config.patch), 4), persistent=False)
        fade = fade_of(window, config.fade_px).expand(3, -1, -1)
        self.register_buffer("fade", in_blocks(fade, 4), persistent=False)
        self._widths = [2 * width for width in drawn]

    @classmethod
    def of(cls, renderer: MouthRenderer) -> Self:
        half, config = cls(renderer.config), renderer.config
        before, (n_face, _) = renderer.state_dict(), config.n_draft
        weights = {name: before[name] for name in half.state_dict() if name in before}
        for name, part, side, shape in (
            ("face_pictures", slice(None, n_face), 2, (3, config.patch // 2, config.patch // 2)),
            ("near_pictures", slice(n_face, None), 4, (3, config.window.height, config.window.width)),
        ):
            for kind in ("weight", "bias"):
                pictures = before[f"pictures.{kind}"][part]
                order = in_blocks(torch.arange(len(pictures)).reshape(shape), side).flatten()
                weights[f"{name}.{kind}"] = pictures[order]
        rows = [f"drawers.{level}" for level in range(len(config.widths)) for _ in range(config.n_drawn)]
        places = [(row, place % config.n_drawn) for place, row in enumerate(rows)]
        places += [("window_drawers", place) for place in range(config.n_window)]
        for kind in ("weight", "bias"):
            films = [before[f"{row}.films.{place}.{kind}"] for row, place in places]
            weights[f"films.{kind}"] = torch.cat(films)
            for index, (row, place) in enumerate(places):
                weights[f"drawers.{index}.{kind}"] = before[f"{row}.convolutions.{place}.convolution.{kind}"]
            weights[f"face_out.{kind}"] = before[f"face_out.{kind}"][SHUFFLED]
        weights["plain"] = in_blocks(before["plain"], 4)
        weights["draft_in.weight"] = before["draft_in.weight"][:, SHUFFLED]
        weights["window_out.weight"] = over_blocks(before["window_out.weight"])
        weights["window_out.bias"] = before["window_out.bias"].repeat(4)
        half.load_state_dict(weights)
        return half

    def forward(
        self,
        crop: Tensor,
        quarter: Tensor,
        eighth: Tensor,
        sixteenth: Tensor,
        window_seen: Tensor,
        likeness: Tensor,
        articulation: Tensor,
    ) -> Tensor:
        config, window = self.config, self.config.window
        scales = [quarter.float(), eighth.float(), sixteenth.float()]
        area = Box(window.left // 4, window.top // 4, window.width // 4, window.height // 4)
        cells, side = config.patch // 16, config.patch // 4

        articulation = torch.minimum(articulation, self.limits)
        embedded = self.embedding(torch.cat([articulation, likeness.float()], dim=1))
        mixture = self.mixture(embedded)
        films = self.films(embedded).split(self._widths, dim=1)
        n = config.n_drawn

        image = scales[-1] + self.outline_in(self.outline(embedded).reshape(-1, config.n_outline, cells, cells))
        for level in reversed(range(len(scales))):
            if level < len(scales) - 1:
                image = doubled(self.risers[level](image)) + scales[level]
            image = self._drawn(image, films, range(level * n, (level + 1) * n))
        face = self.face_pictures(mixture).reshape(-1, side, side, 12).permute(0, 3, 1, 2)
        face = face + self.face_out(functional.relu(image))
        face = functional.conv2d(face, self.enlarging, padding=1).permute(0, 2, 3, 1) * self.border

        colours = crop.float()
        lips = colours[:, area.rows, area.columns] / HALF - 1
        near = self.near_pictures(mixture).reshape(-1, area.height, area.width, 48)
        near = near - replaced(articulation)[:, None, None, None] * (lips - self.plain)
        drafted = halved(lips + face[:, area.rows, area.columns] + near, area.height, area.width)
        image = doubled(self.window_riser(image[:, :, area.rows, area.columns])) + window_seen.float()
        image = image + self.draft_in(drafted.permute(0, 3, 1, 2))
        image = self._drawn(image, films, range(len(scales) * n, len(films)))
        full = functional.relu(self.window_open(functional.relu(image)))
        full = self.window_out(full).permute(0, 2, 3, 1)
        near = (near + joined(full, area.height, area.width)) * self.fade

        right, below = side - area.left - area.width, side - area.top - area.height
        added = face + functional.pad(near, (0, 0, area.left, right, area.top, below))
        patch = colours + gate(articulation)[:, None, None, None] * HALF * added
        return patch.clamp(0, WHITE).round().to(torch.uint8)

    def _drawn(self, image: Tensor, films: tuple[Tensor, ...], places: range) -> Tensor:
        for place in places:
            scale, shift = films[place][:, :, None, None].chunk(2, dim=1)
            image = image + self.drawers[place](functional.relu(image * (1 + scale) + shift))
        return image
