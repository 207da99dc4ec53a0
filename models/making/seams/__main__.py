"""`python -m models.making.seams`: an avatar's joins and its mouth's border, measured and made to be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console
from rich.progress import Progress

from avatar.errors import AvatarError, BundleError
from avatar.pictures import Rgb

app = typer.Typer(help="Where pictures meet: measured, looked at, and made anew.", no_args_is_help=True)
console = Console(stderr=True)

Avatar = Annotated[Path, typer.Argument(help="The avatar's folder.", exists=True, file_okay=False)]
Sheet = Annotated[Path | None, typer.Option(help="Also write a contact sheet of the worst, a PNG.")]


@app.command()
def joins(
    avatar: Avatar,
    seconds: Annotated[float, typer.Option(min=5, help="Length of the scripted session.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the script.")] = 1,
    sheet: Sheet = None,
) -> None:
    """Measure every join of a scripted session against the clips' own steps; prints JSON, exits with 1 over the bar."""
    from models.bundles import read_bundle
    from models.making.seams.joins_seen import BAR, judge_joins
    from models.making.seams.script import scripted_session
    from models.making.seams.sheets import joins_sheet

    try:
        bundle = read_bundle(avatar)
        session = scripted_session(bundle, seconds, seed)
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("looking at joins")
            figures = judge_joins(bundle, session, lambda done, total: bar.update(task, completed=done, total=total))
    except BundleError as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from error
    if sheet is not None:
        write(sheet, joins_sheet(bundle, session, figures))
    typer.echo(json.dumps({"avatar": bundle.id, "seconds": seconds, "seed": seed, **figures.summary()}, indent=2))
    raise typer.Exit(int(figures.ratio > BAR))


@app.command()
def borders(
    avatar: Avatar,
    speech: Annotated[Path, typer.Argument(help="What it is to speak, any sound file.", exists=True, dir_okay=False)],
    runtime: Annotated[str, typer.Option(help="What runs the networks, as for the server.")] = "auto",
    sheet: Sheet = None,
) -> None:
    """Measure the border of the drawn mouth against the footage; prints JSON, exits with 1 over the bar."""
    from models.loading import Catalogue
    from models.making.seams.borders_seen import BAR, SAMPLE_RATE, judge_borders
    from models.making.seams.sheets import borders_sheet
    from models.manifest import read_manifest
    from models.speech_files import read_speech, resampled

    try:
        loaded = Catalogue([avatar], runtime).load(read_manifest(avatar).id)
        if loaded.model is None:
            raise BundleError(f"avatar '{loaded.bundle.id}' has no trained mouth, so none has a border")
        pcm = resampled(*read_speech(speech), SAMPLE_RATE)
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("looking at borders")
            figures = judge_borders(
                loaded.bundle, loaded.model, pcm, lambda done, total: bar.update(task, completed=done, total=total)
            )
    except AvatarError as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from error
    if sheet is not None:
        write(sheet, borders_sheet(loaded.bundle, figures))
    typer.echo(json.dumps({"avatar": loaded.bundle.id, "speech": speech.name, **figures.summary()}, indent=2))
    raise typer.Exit(int(figures.ratio > BAR))


@app.command()
def rejoin(avatar: Avatar) -> None:
    """Find the joins of an avatar anew, after a clip was changed."""
    from models.making.seams.rejoin import rejoin as find

    try:
        found = find(avatar)
    except BundleError as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from error
    for clip, others in found.items():
        for other, join in others.items():
            typer.echo(f"{clip} > {other}: cheapest {join.cost.min():.2f}, dearest {join.cost.max():.2f}")


def write(path: Path, picture: Rgb) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    app()
