"""Render the embedded avatar: ``python -m models.making.character all|clips|mouths|still``."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from avatar.articulation import TARGETS, VISEMES
from models.making.character.head import HeadDataMissing
from models.making.character.performance import PERFORMANCES

_CLIPS = ", ".join(PERFORMANCES)
_REPOSITORY = Path(__file__).resolve().parents[3]


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and render; 0, or 2 where the head's data is missing."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    from models.making.character.atlas import render_atlas
    from models.making.character.clips import Atlas, make_clip
    from models.making.character.mouth_crops import render_mouths
    from models.making.character.presenter import build_presenter

    try:
        presenter = build_presenter(options.head)
    except HeadDataMissing as missing:
        logging.getLogger(__name__).error("%s", missing)
        return 2
    if options.command == "still":
        from models.making.character.still import render_still

        render_still(presenter, options.viseme, options.smile, options.out, options.samples)
    if options.command in ("clips", "all"):
        render_atlas(presenter, options.out / "atlas", options.samples)
        atlas = Atlas(options.out / "atlas")
        for name in options.names:
            make_clip(presenter, atlas, name, options.out / "clips" / name)
    if options.command in ("mouths", "all"):
        render_mouths(presenter, options.out / "mouths", options.mouth_samples, options.first)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.making.character", description=__doc__)
    parser.add_argument(
        "--head",
        type=Path,
        default=_REPOSITORY.parent / "shared" / "data" / "head",
        help="folder of the scanned head (default: %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    for command, what in (
        ("clips", "render the pictures that are not there yet, then make clips of them"),
        ("mouths", "render the mouth regions that are not there yet"),
        ("all", "both; can be stopped and goes on"),
    ):
        making = commands.add_parser(command, help=what)
        if command != "mouths":
            making.add_argument("names", nargs="*", default=list(PERFORMANCES), metavar="CLIP", help=_CLIPS)
            making.add_argument("--samples", type=int, default=12, help="light samples a pixel (default: %(default)s)")
        if command != "clips":
            making.add_argument("--mouth-samples", type=int, default=8, help="of mouth regions (default: %(default)s)")
            making.add_argument("--first", type=int, default=None, help="only the first FIRST regions")
        making.add_argument("--out", type=Path, default=Path("work"), help="folder (default: %(default)s)")

    still = commands.add_parser("still", help="render one picture of a viseme")
    still.add_argument("viseme", choices=VISEMES[: len(TARGETS)])
    still.add_argument("out", type=Path)
    still.add_argument("--smile", type=float, default=0.0, help="0 to 1")
    still.add_argument("--samples", type=int, default=16, help="light samples a pixel (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
