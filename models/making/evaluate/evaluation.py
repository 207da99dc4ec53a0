"""Everything that ``make evaluate`` measures, in one go."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress, track

from avatar.errors import AvatarError
from models.loading import EMBEDDED, SHARED_ENCODER, Catalogue, LoadedAvatar
from models.making.evaluate.bars import percent
from models.making.evaluate.cost import measure_cost
from models.making.evaluate.film import SeenLips, read_lips
from models.making.evaluate.page import Figures
from models.making.evaluate.plots import plot_lag, plot_strips, plot_visemes
from models.making.evaluate.programme import Piece, Programme, read_programme
from models.making.evaluate.seen import Judge
from models.making.look.crossing_sheet import crossing_sheet, crossings
from models.making.look.labelled import write_picture
from models.making.look.viseme_sheets import viseme_pair_sheet, viseme_sheet
from models.making.seams.borders_seen import SAMPLE_RATE, judge_borders
from models.making.seams.joins_seen import judge_joins
from models.making.seams.script import scripted_session
from models.making.seams.sheets import borders_sheet, joins_sheet
from models.making.speech.report import KNOWN_WORDS, figures_of
from models.manifest import sha256_of
from models.speech_files import read_speech, resampled
from models.speech_lips import SpeechLips

N_STRIPS = 3
MOST_LATE = 0.02
"""Share of late frames above which the page warns of its own figures."""

SCRIPT_S = 300
BORDERS_S = 30
"""How much of the programme is looked at for the mouth's border."""


@dataclass(frozen=True)
class Material:
    """Where things lie: see the command's options."""

    film: Path
    gaps: Path
    programme: Path
    recordings: Path
    speech: Path


def evaluate(
    material: Material, avatar_id: str, folders: list[Path], out: Path, console: Console, script_s: float = SCRIPT_S
) -> tuple[Figures, Mapping[str, str]]:
    """Measure, and draw pictures into the folder ``out``; returns also the pictures' files by their captions.

    Joins are those of a session of ``script_s``.

    Raises:
        AvatarError: no such avatar, or one without a mouth of its own; the film is not of the programme.
    """
    avatar = Catalogue([*folders, EMBEDDED], threads=1).load(avatar_id)
    model = avatar.model
    if not isinstance(model, SpeechLips):
        raise AvatarError(f"avatar '{avatar_id}' draws no mouth, so there are no lips to judge")
    programme = read_programme(material.programme)
    lips = read_lips(material.film, material.gaps, material.programme)
    heard = figures_of(SHARED_ENCODER, material.speech, material.recordings, console)
    sets = _sets(programme)
    judge = Judge(lips, programme) if programme.spoken else None
    session = scripted_session(avatar.bundle, script_s)
    pcm = resampled(*read_speech(material.programme), SAMPLE_RATE)[: BORDERS_S * SAMPLE_RATE]
    with Progress(console=console) as bars:
        joins = judge_joins(avatar.bundle, session, _told(bars, "looking at joins"))
        borders = judge_borders(avatar.bundle, model, pcm, _told(bars, "looking at borders"))
    figures = Figures(
        about=[*_about(avatar, model), _about_film(material.film, lips)],
        heard=heard,
        seen={name: judge.speech(pieces) for name, pieces in sets.items()} if judge else {},
        sounds={one.name: judge.rest(one.start_s, one.end_s) for one in programme.of("sound")} if judge else {},
        pauses=judge.pauses() if judge else None,
        cost=measure_cost(model, avatar.bundle),
        joins=joins,
        borders=borders,
        skipped=_skipped(sets, material),
    )
    pictures = _draw(judge, sets, avatar, model, out, console)
    write_picture(out / "joins.jpg", joins_sheet(avatar.bundle, session, joins))
    write_picture(out / "borders.jpg", borders_sheet(avatar.bundle, borders))
    seams = {"The joins with the largest steps": "joins.jpg", "The mouths with the steepest borders": "borders.jpg"}
    return figures, pictures | seams


def _told(bars: Progress, what: str) -> Callable[[int, int], None]:
    task = bars.add_task(what)
    return lambda done, total: bars.update(task, completed=done, total=total)


def _sets(programme: Programme) -> dict[str, list[Piece]]:
    """What is judged together; sets of nothing are left out."""
    sets = {
        "human": programme.of("human"),
        "more human": programme.of("more human"),
        "neural": programme.of("neural"),
        KNOWN_WORDS: programme.of("human", "more human", "neural"),
        "unseen synthetic": programme.of("synthetic"),
    }
    return {name: pieces for name, pieces in sets.items() if pieces}


def _skipped(sets: Mapping[str, object], material: Material) -> list[str]:
    skipped = []
    if KNOWN_WORDS not in sets:
        skipped.append(f"d, d3, e, f: there are no recordings with known words in {material.recordings}")
    if "unseen synthetic" not in sets:
        skipped.append("d2: there is no synthesiser (espeak-ng, flite, festival) that speaks the held-out voices")
    if not sets:
        skipped.append("g: how far lips open in speech is not known")
    return skipped


def _about(avatar: LoadedAvatar, model: SpeechLips) -> list[str]:
    bundle = avatar.bundle
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())
    tuning = bundle.tuning
    return [
        f"Avatar `{bundle.id}` version {bundle.version}, {bundle.size} at {bundle.fps} fps; gain {tuning.gain:g}, "
        f"closure {tuning.closure:g}, smoothing {tuning.smoothing_ms} ms, sync offset {tuning.sync_offset_ms} ms, "
        f"mask feather {tuning.mask_feather:g}.",
        f"Speech encoder with {model.spec.look_ahead_ms} ms look-ahead, sha256 {sha256_of(SHARED_ENCODER)[:12]}….",
        f"{datetime.date.today()}, {os.cpu_count()} cores of {cpu}, Python {platform.python_version()}.",
    ]


def _about_film(film: Path, lips: SeenLips) -> str:
    told = film.with_suffix(".json")
    recorded = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
    late = f", {recorded['late_frames']} of them late" if "late_frames" in recorded else ""
    offset = f"; pictures begin {recorded['av_offset_ms']:g} ms after the sound" if "av_offset_ms" in recorded else ""
    found = percent(float(np.mean(lips.found)))
    about = f"A recording of {len(lips.gaps)} frames{late}{offset}; a face is found in {found} of them."
    if recorded.get("late_frames", 0) > MOST_LATE * len(lips.gaps):
        about += " **The machine was too busy: late frames show an older mouth, so the film's figures say little.**"
    return about


def _draw(
    judge: Judge | None,
    sets: Mapping[str, list[Piece]],
    avatar: LoadedAvatar,
    model: SpeechLips,
    out: Path,
    console: Console,
) -> dict[str, str]:
    """Every picture there is something for: its file's name by its caption."""
    bundle = avatar.bundle
    jobs: dict[str, tuple[str, Callable[[Path], None]]] = {}
    if judge:
        strips = sorted((piece for pieces in sets.values() for piece in pieces[:1]), key=lambda piece: piece.start_s)
        strips = list(dict.fromkeys(strips))[:N_STRIPS]
        longest = max(sets.values(), key=len)
        jobs = {
            "Lips seen over lips asked for": ("strips.png", lambda to: plot_strips(judge, strips, to)),
            "Each viseme's gap": ("visemes.png", lambda to: plot_visemes(judge, longest, to)),
            "Lag": ("lag.png", lambda to: plot_lag(judge, sets, to)),
        }
    jobs |= {
        "Every viseme": ("faces.jpg", lambda to: write_picture(to, viseme_sheet(bundle, model))),
        "Between every two visemes": ("pairs.jpg", lambda to: write_picture(to, viseme_pair_sheet(bundle, model))),
        "Between every two clips": (
            "crossings.jpg",
            lambda to: write_picture(to, crossing_sheet(bundle, crossings(bundle))),
        ),
    }
    for name, draw in track(jobs.values(), "drawing", console=console):
        draw(out / name)
    return {caption: name for caption, (name, _) in jobs.items()}
