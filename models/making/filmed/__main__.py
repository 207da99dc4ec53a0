"""`python -m models.making.filmed`: films of a person to an avatar's folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console

from avatar.bundle import STATES
from avatar.errors import BundleError
from models.making.filmed.faces import FaceBox


def filmed(
    out: Annotated[Path, typer.Option(help="The avatar's folder; what is there is replaced.")],
    idle: Annotated[Path, typer.Option(help="A film of the person waiting.", exists=True, dir_okay=False)],
    talk: Annotated[Path, typer.Option(help="… talking.", exists=True, dir_okay=False)],
    listen: Annotated[
        Path | None, typer.Option(help="… listening; without it, the film of idling.", exists=True, dir_okay=False)
    ] = None,
    gesture: Annotated[list[str] | None, typer.Option(help="A gesture, as NOD=nod.mp4; may be repeated.")] = None,
    name: Annotated[str, typer.Option(help="What people call the avatar; its id is the folder's name.")] = "",
    fps: Annotated[str, typer.Option(help="The avatar's frames per second, such as 25 or 30000/1001.")] = "25",
    height: Annotated[int, typer.Option(min=64, max=2160, help="Higher films are shrunk to this.")] = 960,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="How much of a film a loop uses at most.")] = 8,
    face: Annotated[str, typer.Option(help="Where the face is in the film of idling, LEFT,TOP,SIDE.")] = "",
    version: Annotated[str, typer.Option(help="The avatar's version.")] = "1",
    crf: Annotated[int, typer.Option(min=0, max=51, help="x264's constant rate factor of the clips.")] = 17,
    author: Annotated[str, typer.Option(help="Who filmed it.")] = "unknown",
    source: Annotated[str, typer.Option(help="Where it is from.")] = "",
    licence: Annotated[str, typer.Option(help="What may be done with it.")] = "not stated",
    look: Annotated[Path | None, typer.Option(help="Also write a picture of the joins.")] = None,
) -> None:
    """Make an avatar without a trained mouth of films that were never made to loop or to fit together."""
    from models.making.assemble.folder import Recipe, write_avatar
    from models.making.assemble.join_sheet import join_sheet
    from models.making.assemble.joins import find_joins
    from models.making.filmed.clips import PATCH, read_clips
    from models.making.filmed.faces import mouth_mask
    from models.manifest import Credit

    console = Console()
    try:
        performed = films_of_gestures(gesture or [])
        films = {"idle": idle, **({"listen": listen} if listen else {}), "talk": talk}
        films |= {clip: film for clip, film in performed.values()}
        recipe = Recipe(
            id=out.resolve().name,
            name=name or out.resolve().name.replace("_", " ").title(),
            version=version,
            fps=rate(fps),
            crf=crf,
            states={"idle": "idle", "listen": "listen" if listen else "idle", "talk": "talk"},
            gestures={gesture: clip for gesture, (clip, _) in performed.items()},
            credits=(Credit("the person on film", author, source, licence),),
        )
        once = set(recipe.gestures.values())
        with console.status("reading films") as status:
            footage = read_clips(
                films, once, recipe.fps, height, seconds, face_box(face), lambda clip: status.update(f"filming {clip}")
            )
            status.update("finding joins")
            mask = mouth_mask(PATCH)
            joins = find_joins(footage, mask, once)
            if look is not None:
                look.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(look), cv2.cvtColor(join_sheet(footage, joins), cv2.COLOR_RGB2BGR))
            status.update("writing and reading back")
            manifest = write_avatar(out, recipe, footage, joins, mask, None)
    except (BundleError, OSError) as error:
        console.print(f"[red]{error}")
        raise typer.Exit(1) from error
    n_frames = sum(clip.frames for clip in manifest.clips.values())
    width, height = manifest.size
    n_bytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    console.print(
        f"{out}: {len(manifest.clips)} clips, {n_frames} frames of {width}x{height}, {n_bytes / 1e6:.1f} MB on disk, "
        f"{n_frames * width * height * 1.5 / 1e6:.0f} MB in memory while it performs"
    )


def films_of_gestures(gestures: list[str]) -> dict[str, tuple[str, Path]]:
    """By gesture: the name of its clip, and its film. From ``NOD=nod.mp4``."""
    found: dict[str, tuple[str, Path]] = {}
    for each in gestures:
        gesture, equals, film = each.partition("=")
        if not equals or not gesture or not Path(film).is_file():
            raise BundleError(f"--gesture is '{each}', needed is a name and a film that exists, as in NOD=nod.mp4")
        found[gesture.upper()] = (gesture.lower(), Path(film))
    if taken := {clip for clip, _ in found.values()} & set(STATES):
        raise BundleError(f"a gesture cannot be called {', '.join(sorted(taken))}: states are")
    return found


def rate(fps: str) -> Fraction:
    try:
        found = Fraction(fps)
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if not 1 <= found <= 240:
        raise BundleError(f"--fps is '{fps}', needed is a number from 1 to 240, such as 25 or 30000/1001")
    return found


def face_box(text: str) -> FaceBox | None:
    if not text:
        return None
    numbers = text.split(",")
    try:
        left, top, side = (float(number) for number in numbers)
    except ValueError as error:
        raise BundleError(f"--face is '{text}', needed are three numbers: LEFT,TOP,SIDE") from error
    return FaceBox(left, top, side)


if __name__ == "__main__":
    typer.run(filmed)
