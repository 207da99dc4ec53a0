"""Writing the trained encoder as one ONNX file, with what a program needs to know about it beside it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.articulation import CHANNELS, VISEMES
from avatar.features import HOP_MS, N_MELS
from models.nets.speech_encoder import LOOK_AHEAD_MS, WINDOW, SpeechEncoder, SpeechWindow

if TYPE_CHECKING:
    from torch import Tensor

_OPSET = 18
_LICENCE = """\
# Trained for this project on synthetic speech, made with eSpeak NG (program: GPL-3.0-or-later), with Flite's and
# Festival's voices as Debian packages them, with the Piper voice en_US-joe-medium (CC0) and with Kokoro-82M (network
# and voices: Apache-2.0); and on Asterisk's announcements (asterisk-core-sounds-en, read by Allison Smith, CC-BY-SA
# 3.0). Texts of the former were written for the project, with words of the SCOWL list (public domain). No recording and
# no part of a synthesiser is in the file.
# Licence of the weights: that of this repository.
"""


def export(checkpoints: Sequence[Path], path: Path, figures: Mapping[str, float | str]) -> None:
    """Write the averaged weights of ``checkpoints`` to ``path`` (.onnx, weights stored as fp16) and a .toml sidecar.

    Of several runs, each gone on from the one before, the mean of their weights is taken: it generalises better than
    any of them (Wortsman et al., "Model soups", 2022).

    Input ``mel`` (batch, WINDOW, 80) float32; outputs ``articulation`` (batch, 7) in 0…1 and ``visemes`` (batch, 14)
    logits. The window's last frame ends ``LOOK_AHEAD_MS`` after the time that the outputs describe.
    """
    import onnx
    import torch

    from models.making.half_weights import store_in_half

    runs = [torch.load(checkpoint, weights_only=True, map_location="cpu") for checkpoint in checkpoints]
    saved = runs[-1]
    encoder = SpeechEncoder()
    encoder.load_state_dict(
        {name: torch.stack([run["average"][name] for run in runs]).mean(dim=0) for name in saved["average"]}
    )
    window = SpeechWindow(encoder).eval()
    part = path.with_suffix(".part")
    program = torch.onnx.export(
        window,
        (torch.zeros(2, WINDOW, N_MELS),),
        input_names=["mel"],
        output_names=["articulation", "visemes"],
        dynamic_shapes={"mel": {0: torch.export.Dim("batch")}},
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch exported nothing")
    model = program.model_proto
    store_in_half(model)
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    onnx.checker.check_model(model)
    part.write_bytes(model.SerializeToString())
    os.replace(part, path)
    _write_sidecar(path, {"steps": saved["step"], "hours": round(saved["spent_s"] / 3600, 2), **figures})


def exported_weights(path: Path) -> dict[str, Tensor]:
    """The weights of an encoder that ``export`` wrote."""
    import onnx
    import torch

    weights = {}
    for one in onnx.load(path).graph.initializer:
        if one.name.startswith("encoder."):
            name = re.sub("_(half|fp16)$", "", one.name.removeprefix("encoder."))
            weights[name] = torch.from_numpy(onnx.numpy_helper.to_array(one).astype("float32"))
    return weights


def _write_sidecar(path: Path, training: Mapping[str, float | str]) -> None:
    lines = [
        _LICENCE.rstrip(),
        f'file = "{path.name}"',
        f'sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"',
        f"window = {WINDOW}  # mel frames",
        f"look_ahead_ms = {LOOK_AHEAD_MS}",
        f"hop_ms = {HOP_MS}",
        f"n_mels = {N_MELS}",
        f"channels = {json.dumps(CHANNELS)}",
        f"visemes = {json.dumps(VISEMES)}",
        "",
        "[training]",
        *(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in training.items()),
    ]
    path.with_suffix(".toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
