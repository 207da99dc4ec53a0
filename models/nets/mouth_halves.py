"""The mouth renderer as it is served: two networks, of which one runs once for each frame of footage.

`ImageHalf` is what `MouthRenderer.look` does. `DrawingHalf` does what `MouthRenderer.paint` does, put differently so
that it takes two thirds of the time: pictures come and go in blocks of 4x4 pixels (``models.pixel_blocks``), and what
the renderer does at twice or four times that resolution is done on blocks, too. There, enlarging is a convolution with
fixed weights, and a convolution over small pixels is one over blocks with more channels, so that hardly anything has to
be resized or moved about. Nothing is approximated.

Where training has left the U-Net without effect, as for the avatar that ships, `LikenessHalf` and `DraftHalf` draw the
same in a fifth of that time.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    alike,
    doubled,
    fade_of,
    gate,
    likeness_of,
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


class LikenessHalf(nn.Module):
    """The image half for a `DraftHalf`: crops uint8 (b, patch, patch, 3) to their likeness."""

    def __init__(self, config: RendererConfig | None = None) -> None:
        super().__init__()
        config = config or RendererConfig()
        self.likeness = likeness_of(config)

    @classmethod
    def of(cls, renderer: MouthRenderer) -> Self:
        half = cls(renderer.config)
        half.likeness.load_state_dict(renderer.likeness.state_dict())
        return half

    def forward(self, crop: Tensor) -> Tensor:
        return alike(self.likeness, crop.permute(0, 3, 1, 2).float() / HALF - 1).half()


class DraftHalf(nn.Module):
    """The drawing half without the U-Net, for a renderer whose U-Net adds nothing but its last biases.

    Takes crops in blocks uint8 (b, patch / 4, patch / 4, 48), their likeness, and articulation float (b, 7); gives
    patches like the crops.
    """

    limits: Tensor
    enlarging: Tensor
    border: Tensor
    fade: Tensor

    def __init__(self, config: RendererConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RendererConfig()
        hidden, window = config.hidden, config.window
        self.register_buffer("limits", torch.ones(len(CHANNELS)))
        self.embedding = nn.Sequential(
            nn.Linear(len(CHANNELS) + config.n_likeness, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.mixture = nn.Linear(hidden, config.rank)
        n_face, n_near = config.n_draft
        self.face_pictures, self.near_pictures = nn.Linear(config.rank, n_face), nn.Linear(config.rank, n_near)
        self.plain = nn.Parameter(torch.zeros(window.height // 4, window.width // 4, 48))
        self.register_buffer("enlarging", enlarging_kernel(), persistent=False)
        self.register_buffer("border", in_blocks(border_of(config.patch, config.patch), 4), persistent=False)
        fade = fade_of(window, config.fade_px).expand(3, -1, -1)
        self.register_buffer("fade", in_blocks(fade, 4), persistent=False)
        self.area = Box(window.left // 4, window.top // 4, window.width // 4, window.height // 4)

    @classmethod
    def of(cls, renderer: MouthRenderer) -> Self:
        """The drawing half of a renderer, with weights of its own."""
        half = cls(renderer.config)
        half.load_state_dict(half.taken(renderer.state_dict()))
        return half

    @classmethod
    def without_unet(cls, renderer: MouthRenderer) -> Self:
        """The same, but with the last biases of the U-Net, which are all that a dead one adds, in every draft."""
        half, added = cls.of(renderer), renderer.state_dict()
        weights = half.state_dict()
        for name, bias in (
            ("face_pictures.bias", added["face_out.bias"][SHUFFLED]),
            ("near_pictures.bias", added["window_out.bias"]),
        ):
            weights[name] += bias.repeat(len(weights[name]) // len(bias))
        return half

    def taken(self, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A renderer's weights in the order in which this half wants them."""
        config = self.config
        weights = {name: before[name] for name in self.state_dict() if name in before}
        weights["plain"] = in_blocks(before["plain"], 4)
        n_face, _ = config.n_draft
        for name, part, side, shape in (
            ("face_pictures", slice(None, n_face), 2, (3, config.patch // 2, config.patch // 2)),
            ("near_pictures", slice(n_face, None), 4, (3, config.window.height, config.window.width)),
        ):
            for kind in ("weight", "bias"):
                pictures = before[f"pictures.{kind}"][part]
                order = in_blocks(torch.arange(len(pictures)).reshape(shape), side).flatten()
                weights[f"{name}.{kind}"] = pictures[order]
        return weights

    def forward(self, crop: Tensor, likeness: Tensor, articulation: Tensor) -> Tensor:
        articulation, embedded = self._embedded(articulation, likeness)
        face, near = self._draft(embedded)
        colours = crop.float()
        return self._patch(colours, self._enlarged(face), self._near(near, colours, articulation), articulation)

    def _embedded(self, articulation: Tensor, likeness: Tensor) -> tuple[Tensor, Tensor]:
        articulation = torch.minimum(articulation, self.limits)
        return articulation, self.embedding(torch.cat([articulation, likeness.float()], dim=1))

    def _draft(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Of the face in blocks of 2x2 (b, 12, side, side), of the window in blocks of 4x4 (b, height, width, 48)."""
        mixture, side = self.mixture(embedded), self.config.patch // 4
        face = self.face_pictures(mixture).reshape(-1, side, side, 12).permute(0, 3, 1, 2)
        return face, self.near_pictures(mixture).reshape(-1, self.area.height, self.area.width, 48)

    def _enlarged(self, face: Tensor) -> Tensor:
        return functional.conv2d(face, self.enlarging, padding=1).permute(0, 2, 3, 1) * self.border

    def _lips(self, colours: Tensor) -> Tensor:
        return colours[:, self.area.rows, self.area.columns] / HALF - 1

    def _near(self, draft: Tensor, colours: Tensor, articulation: Tensor) -> Tensor:
        return draft - replaced(articulation)[:, None, None, None] * (self._lips(colours) - self.plain)

    def _patch(self, colours: Tensor, face: Tensor, near: Tensor, articulation: Tensor) -> Tensor:
        side, area = self.config.patch // 4, self.area
        right, below = side - area.left - area.width, side - area.top - area.height
        added = face + functional.pad(near * self.fade, (0, 0, area.left, right, area.top, below))
        patch = colours + gate(articulation)[:, None, None, None] * HALF * added
        return patch.clamp(0, WHITE).round().to(torch.uint8)


class DrawingHalf(DraftHalf):
    """The drawing half: the draft, and the U-Net that fits it to the crop. It takes all of ``SEEN``."""

    def __init__(self, config: RendererConfig | None = None) -> None:
        super().__init__(config)
        config = self.config
        widths, hidden, inner = config.widths, config.hidden, config.window_width
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
        self._widths = [2 * width for width in drawn]

    def taken(self, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        config, weights = self.config, super().taken(before)
        places = [(f"drawers.{level}", place) for level in range(len(config.widths)) for place in range(config.n_drawn)]
        places += [("window_drawers", place) for place in range(config.n_window)]
        for kind in ("weight", "bias"):
            films = [before[f"{row}.films.{place}.{kind}"] for row, place in places]
            weights[f"films.{kind}"] = torch.cat(films)
            for index, (row, place) in enumerate(places):
                weights[f"drawers.{index}.{kind}"] = before[f"{row}.convolutions.{place}.convolution.{kind}"]
            weights[f"face_out.{kind}"] = before[f"face_out.{kind}"][SHUFFLED]
        weights["draft_in.weight"] = before["draft_in.weight"][:, SHUFFLED]
        weights["window_out.weight"] = over_blocks(before["window_out.weight"])
        weights["window_out.bias"] = before["window_out.bias"].repeat(4)
        return weights

    def forward(  # type: ignore[override]
        self,
        crop: Tensor,
        quarter: Tensor,
        eighth: Tensor,
        sixteenth: Tensor,
        window_seen: Tensor,
        likeness: Tensor,
        articulation: Tensor,
    ) -> Tensor:
        config, area = self.config, self.area
        scales = [quarter.float(), eighth.float(), sixteenth.float()]
        cells, n = config.patch // 16, config.n_drawn
        articulation, embedded = self._embedded(articulation, likeness)
        films = self.films(embedded).split(self._widths, dim=1)

        image = scales[-1] + self.outline_in(self.outline(embedded).reshape(-1, config.n_outline, cells, cells))
        for level in reversed(range(len(scales))):
            if level < len(scales) - 1:
                image = doubled(self.risers[level](image)) + scales[level]
            image = self._drawn(image, films, range(level * n, (level + 1) * n))
        face, near = self._draft(embedded)
        face = self._enlarged(face + self.face_out(functional.relu(image)))

        colours = crop.float()
        near = self._near(near, colours, articulation)
        drafted = self._lips(colours) + face[:, area.rows, area.columns] + near
        image = doubled(self.window_riser(image[:, :, area.rows, area.columns])) + window_seen.float()
        image = image + self.draft_in(halved(drafted, area.height, area.width).permute(0, 3, 1, 2))
        image = self._drawn(image, films, range(len(scales) * n, len(films)))
        full = functional.relu(self.window_open(functional.relu(image)))
        full = self.window_out(full).permute(0, 2, 3, 1)
        return self._patch(colours, face, near + joined(full, area.height, area.width), articulation)

    def _drawn(self, image: Tensor, films: tuple[Tensor, ...], places: range) -> Tensor:
        for place in places:
            scale, shift = films[place][:, :, None, None].chunk(2, dim=1)
            image = image + self.drawers[place](functional.relu(image * (1 + scale) + shift))
        return image
