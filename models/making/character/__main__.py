"""Render the embedded avatar: ``python -m models.making.character all|clips|mouths|still``."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from avatar.articulation import TARGETS, VISEMES
from models.making.character.head import HeadDataMissing
from models.making.character.performance import PERFORMANCES

_REPOSITORY = Path(__file__).resolve().parents[3]


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and render; 0, or 2 where the head's data is missing."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    from models.making.character.clips import render_clip, write_track
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
    if options.command == "all":
        render_mouths(presenter, options.out / "mouths", options.mouth_samples, options.first)
    if options.command in ("clips", "all"):
        clips = options.out / "clips" if options.command == "all" else options.out
        for name in options.names:
            write_track(presenter, name, clips / name)
        for name in options.names:
            render_clip(presenter, name, clips / name, options.samples, options.step)
    if options.command == "mouths":
        render_mouths(presenter, options.out, options.samples, options.first)
    if options.command == "all":
        render_mouths(presenter, options.out / "mouths", options.mouth_samples)
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

    clips = commands.add_parser("clips", help="render the frames of clips that are not there yet")
    clips.add_argument("names", nargs="*", default=list(PERFORMANCES), metavar="CLIP", help=", ".join(PERFORMANCES))
    clips.add_argument("--out", type=Path, default=Path("work/clips"))
    clips.add_argument("--samples", type=int, default=10, help="light samples a pixel (default: %(default)s)")
    clips.add_argument("--step", type=int, default=None, help="frames from one that is rendered to the next")

    everything = commands.add_parser(
        "all", help="some mouth regions, the clips, then the other regions; can be resumed"
    )
    everything.add_argument(
        "names", nargs="*", default=list(PERFORMANCES), metavar="CLIP", help=", ".join(PERFORMANCES)
    )
    everything.add_argument("--out", type=Path, default=Path("work"))
    everything.add_argument("--samples", type=int, default=10, help="of clips (default: %(default)s)")
    everything.add_argument("--mouth-samples", type=int, default=6, help="of mouth regions (default: %(default)s)")
    everything.add_argument("--first", type=int, default=240, help="regions before the clips (default: %(default)s)")
    everything.set_defaults(step=None)

    mouths = commands.add_parser("mouths", help="render the mouth regions that are not there yet")
    mouths.add_argument("--out", type=Path, default=Path("work/mouths"))
    mouths.add_argument("--samples", type=int, default=6, help="light samples a pixel (default: %(default)s)")
    mouths.add_argument("--first", type=int, default=None, help="only the first FIRST regions")

    still = commands.add_parser("still", help="render one picture of a viseme")
    still.add_argument("viseme", choices=VISEMES[: len(TARGETS)])
    still.add_argument("out", type=Path)
    still.add_argument("--smile", type=float, default=0.0, help="0 to 1")
    still.add_argument("--samples", type=int, default=16, help="light samples a pixel (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
