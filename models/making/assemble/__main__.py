"""`python -m models.making.assemble`: rendered clips, a mask and a mouth renderer to an avatar's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import track

from avatar.errors import BundleError


def assemble(
    clips: Annotated[Path, typer.Option(help="Folder with a folder of PNGs and a track.npz for each clip.")],
    mask: Annotated[Path, typer.Option(help="The mouth mask, an 8-bit grey PNG in crop space.")],
    out: Annotated[Path, typer.Option(help="The avatar's folder; what is there is replaced.")],
    renderer: Annotated[
        Path | None, typer.Option(help="Folder of the mouth renderer's two halves, or the ONNX file of a whole one.")
    ] = None,
    version: Annotated[str, typer.Option(help="The avatar's version.")] = "1",
    crf: Annotated[int, typer.Option(help="x264's constant rate factor of the clips.")] = 15,
    look: Annotated[Path | None, typer.Option(help="Also write a picture of the joins.")] = None,
) -> None:
    """Write an avatar that loads.

    The clips idle, listen and talk are its states; every other one is the gesture of its name.
    """
    from models.bundles import read_mask
    from models.making.assemble.folder import Recipe, write_avatar
    from models.making.assemble.footage import read_footage
    from models.making.assemble.join_sheet import join_sheet
    from models.making.assemble.joins import find_joins

    states = set(Recipe().states.values())
    gestures = {folder.name for folder in clips.iterdir() if folder.is_dir()} - states
    recipe = Recipe(version=version, crf=crf, gestures={name.upper(): name for name in sorted(gestures)})
    names = sorted(states | gestures)
    console = Console()
    try:
        footage = [
            read_footage(clips / name, there_and_back=name not in gestures)
            for name in track(names, "reading", console=console)
        ]
        soft = read_mask(mask)
        joins = find_joins(footage, soft, gestures)
        if look is not None:
            look.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(look), cv2.cvtColor(join_sheet(footage, joins), cv2.COLOR_RGB2BGR))
        manifest = write_avatar(out, recipe, footage, joins, soft, renderer)
    except (BundleError, OSError) as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from error
    n_bytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    console.print(f"{out}: {len(manifest.clips)} clips, {len(manifest.files)} files, {n_bytes / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(assemble)
