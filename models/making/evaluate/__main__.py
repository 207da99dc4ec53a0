"""`python -m models.making.evaluate`: what the avatar is given to say, and the page on how its lips did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from avatar.errors import AvatarError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Recordings = Annotated[Path, typer.Option(help="Folder with words.tsv; where there is none, this is skipped.")]
Speech = Annotated[Path, typer.Option(help="Folder of the speech corpus; held-out voices are made where they lack.")]
Programme = Annotated[Path, typer.Option(help="The .wav file; a .json file beside it tells what is where.")]

RECORDINGS, SPEECH, PROGRAMME = Path("../shared/data/speech"), Path("work/speech"), Path("work/evaluate/programme.wav")


@app.command()
def programme(recordings: Recordings = RECORDINGS, speech: Speech = SPEECH, to: Programme = PROGRAMME) -> None:
    """Write what the avatar is to say: recordings, synthetic voices, and sounds that nobody speaks in."""
    from models.making.evaluate.programme import write_programme
    from models.making.evaluate.voices import read_voices

    console = Console()
    voices = read_voices(recordings, speech, console)
    written = write_programme(voices.recorded, voices.words, voices.synthetic, to)
    console.print(f"{to}: {len(written.pieces)} pieces, {written.pieces[-1].end_s:.0f} s")


@app.command()
def page(
    film: Annotated[Path, typer.Option(help="The programme as an avatar spoke it.")] = Path("work/evaluate/film.mp4"),
    gaps: Annotated[Path, typer.Option(help="What lip_gaps.py saw in it.")] = Path("work/evaluate/gaps.npz"),
    programme: Programme = PROGRAMME,
    recordings: Recordings = RECORDINGS,
    speech: Speech = SPEECH,
    avatar: Annotated[str, typer.Option(help="Who spoke.")] = "ava",
    avatar_dirs: Annotated[str, typer.Option(envvar="AVATAR_AVATAR_DIRS", help="Folders that hold avatars.")] = "",
    out: Annotated[Path, typer.Option(help="The page; its pictures go into a folder of the same name.")] = Path(
        "docs/lips.md"
    ),
) -> None:
    """Judge the film and the encoder; write the page and its pictures."""
    from models.making.evaluate.evaluation import Material, evaluate
    from models.making.evaluate.page import page as text

    console = Console()
    material = Material(film, gaps, programme, recordings, speech)
    folders = [Path(part.strip()) for part in avatar_dirs.split(",") if part.strip()]
    figures, pictures = evaluate(material, avatar, folders, out.with_suffix(""), console)
    out.write_text(text(figures, {caption: f"{out.stem}/{name}" for caption, name in pictures.items()}), "utf-8")
    missed = [bar.what for bar in figures.bars if not bar.met]
    console.print(f"{out}: {len(figures.bars) - len(missed)} of {len(figures.bars)} bars met")
    for what in missed:
        console.print(f"[yellow]not met: {what}")


if __name__ == "__main__":
    try:
        app()
    except (AvatarError, OSError) as error:
        sys.exit(f"evaluate: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
