"""avatar.toml: what an avatar's folder holds and what each thing is for."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path, PurePosixPath

import msgspec

from avatar.bundle import STATES
from avatar.errors import BundleError
from avatar.features import HOP_MS
from avatar.geometry import Size
from avatar.lipsync import SMOOTHING_STEP_MS, MouthTuning
from models.toml_text import to_toml, with_table

FILE_NAME = "avatar.toml"
FORMAT = 1
ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CLIP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
GESTURE = re.compile(r"[A-Z0-9][A-Z0-9_]{0,63}")
LARGEST_SIDE = 4096
MOST_FRAMES = 10_000
TUNING_RANGES: Mapping[str, tuple[float, float]] = {
    "gain": (0, 4),
    "closure": (0, 4),
    "smoothing_ms": (0, 160),
    "sync_offset_ms": (-120, 200),
    "mask_feather": (0, 64),
    "voice_threshold_db": (-120, 0),
}
"""Lowest and highest value of each knob of ``avatar.lipsync.MouthTuning``."""

TUNING_STEPS = {"smoothing_ms": SMOOTHING_STEP_MS, "sync_offset_ms": HOP_MS}
"""Knobs that move in steps."""


class LipSyncEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The networks that draw the mouth, as paths in the folder.

    Attributes:
        weights: draws the mouth; the whole of a renderer, or its drawing half where there is a ``look``.
        encoder: left out by avatars that use the shared speech encoder.
        look: the image half of a renderer, which runs once for each frame of footage.
    """

    kind: str
    weights: str
    encoder: str | None = None
    look: str | None = None


class ClipEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A clip: its footage, its track, how many frames both have, and whether a loop of it turns round at its ends."""

    file: str
    track: str
    frames: int
    there_and_back: bool = True


class TuningEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of ``avatar.lipsync.MouthTuning``, all optional."""

    gain: float = MouthTuning().gain
    closure: float = MouthTuning().closure
    smoothing_ms: int = MouthTuning().smoothing_ms
    sync_offset_ms: int = MouthTuning().sync_offset_ms
    mask_feather: float = MouthTuning().mask_feather
    voice_threshold_db: float = MouthTuning().voice_threshold_db


class Credit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose work a part of the avatar is, and under which licence."""

    what: str
    author: str
    source: str
    licence: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """avatar.toml as written.

    Attributes:
        size: width and height of every clip, pixels.
        fps: frames per second of every clip, a fraction: "25", "30000/1001".
        states: the clip that loops in each of ``avatar.bundle.STATES``.
        gestures: the clip of each gesture, by its name in upper case.
        files: sha256 (hexadecimal) of every file by its path in the folder, avatar.toml excepted.
    """

    id: str
    name: str
    version: str
    size: tuple[int, int]
    fps: str
    clips: dict[str, ClipEntry]
    states: dict[str, str]
    format: int = FORMAT
    lipsync: LipSyncEntry | None = None
    gestures: dict[str, str] = {}
    tuning: TuningEntry = TuningEntry()
    credits: list[Credit] = []
    files: dict[str, str] = {}

    @property
    def frame_size(self) -> Size:
        return Size(*self.size)

    @property
    def rate(self) -> Fraction:
        return Fraction(self.fps)

    @property
    def mouth_tuning(self) -> MouthTuning:
        return MouthTuning(**msgspec.structs.asdict(self.tuning))


STRUCTS: Mapping[str, type[msgspec.Struct]] = {
    "$": Manifest,
    "$.lipsync": LipSyncEntry,
    "$.clips[...]": ClipEntry,
    "$.tuning": TuningEntry,
    "$.credits[...]": Credit,
}
"""Where in the document msgspec says that something is, and what belongs there."""


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks avatar.toml alone; no other file is opened.

    Raises:
        BundleError: no such file, no TOML, or a value that does not belong; the sentence names it and what is allowed.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse_manifest(text, str(path))


def parse_manifest(text: str, source: str = FILE_NAME) -> Manifest:
    """The same, of a text; ``source`` is what errors call it."""
    try:
        manifest = msgspec.convert(tomllib.loads(text), Manifest)
        check(manifest)
    except tomllib.TOMLDecodeError as error:
        raise BundleError(f"{source} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise BundleError(f"{source}: {explained(str(error))}") from error
    except BundleError as error:
        raise BundleError(f"{source}: {error}") from error
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Hashes every file in the folder, checks the manifest and writes avatar.toml, whole or not at all.

    Args:
        folder: already holds the clips, the tracks, mask.png and the weights that the manifest names.
        manifest: its ``files`` are replaced by what is found in the folder; hidden files are left out.

    Returns:
        The manifest as written.

    Raises:
        BundleError: a value that does not belong, or a file that the manifest names and the folder lacks.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    files = {
        name: sha256_of(path)
        for name, path in names.items()
        if name != FILE_NAME and not any(part.startswith(".") for part in PurePosixPath(name).parts)
    }
    written = msgspec.structs.replace(manifest, files=files)
    text = to_toml(msgspec.to_builtins(written))
    written = parse_manifest(text, str(folder / FILE_NAME))
    put_in_place(folder / FILE_NAME, text)
    return written


def write_tuning(folder: Path, tuning: MouthTuning) -> Manifest:
    """Writes an avatar's knobs into its avatar.toml, whole or not at all; every other line stays as it is.

    Returns:
        The manifest as written.

    Raises:
        BundleError: avatar.toml cannot be read, or a knob is out of its range; the file stays as it was.
    """
    path, before = folder / FILE_NAME, read_manifest(folder)
    entry = msgspec.convert(dataclasses.asdict(tuning), TuningEntry)
    wanted = msgspec.structs.replace(before, tuning=entry)
    text = with_table(path.read_text(encoding="utf-8"), "tuning", msgspec.structs.asdict(entry))
    try:
        written = parse_manifest(text, str(path))
    except BundleError:
        check(wanted)  # says which knob is wrong; if none is, the table was written in some other way
        written = None
    if written != wanted:
        text = to_toml(msgspec.to_builtins(wanted))
        written = parse_manifest(text, str(path))
    put_in_place(path, text)
    return written


def put_in_place(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def explained(message: str) -> str:
    """msgspec's sentence, with the names that are allowed when it complains about an unknown one."""
    if match := re.search(r"unknown field .* at `(.*?)`$|unknown field `[^`]*`$", message):
        struct = STRUCTS.get(match[1] or "$")
        if struct is not None:
            return f"{message}; allowed are {', '.join(struct.__struct_fields__)}"
    return message


def check(manifest: Manifest) -> None:
    """Refuses, in one sentence, values that have the right type but make no avatar."""
    if manifest.format != FORMAT:
        raise BundleError(f"format is {manifest.format}, this version reads format {FORMAT}")
    if not ID.fullmatch(manifest.id):
        raise BundleError(f"id is '{manifest.id}', allowed is {ID.pattern}")
    width, height = manifest.size
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE) or width % 2 or height % 2:
        raise BundleError(f"size is {width}x{height}, allowed are even numbers from 2 to {LARGEST_SIDE}")
    if not re.fullmatch(r"[1-9][0-9]{0,6}(/[1-9][0-9]{0,6})?", manifest.fps) or not 1 <= manifest.rate <= 240:
        raise BundleError(f"fps is '{manifest.fps}', allowed are fractions from 1 to 240 such as '25' and '30000/1001'")
    if not manifest.clips:
        raise BundleError("there are no clips")
    for name, clip in manifest.clips.items():
        if not CLIP_NAME.fullmatch(name):
            raise BundleError(f"a clip is called '{name}', allowed is {CLIP_NAME.pattern}")
        if not 0 < clip.frames <= MOST_FRAMES:
            raise BundleError(f"clip '{name}' has {clip.frames} frames, allowed are 1 to {MOST_FRAMES}")
    if set(manifest.states) != set(STATES):
        raise BundleError(f"states are {', '.join(sorted(manifest.states))}; needed are {', '.join(STATES)}")
    for gesture in manifest.gestures:
        if not GESTURE.fullmatch(gesture):
            raise BundleError(f"a gesture is called '{gesture}', allowed is {GESTURE.pattern}")
    for use, clip_name in [*manifest.states.items(), *manifest.gestures.items()]:
        if clip_name not in manifest.clips:
            raise BundleError(f"'{use}' plays clip '{clip_name}', the clips are {', '.join(manifest.clips)}")
    for knob, (low, high) in TUNING_RANGES.items():
        if not low <= (value := getattr(manifest.tuning, knob)) <= high:
            raise BundleError(f"tuning.{knob} is {value:g}, allowed is {low:g} to {high:g}")
        if (step := TUNING_STEPS.get(knob)) and value % step:
            raise BundleError(f"tuning.{knob} is {value:g}, allowed are multiples of {step}")
    for file in [*used_files(manifest), *manifest.files]:
        if not stays_inside(file):
            raise BundleError(f"'{file}' leads out of the avatar's folder")
    for file in used_files(manifest):
        if file not in manifest.files:
            raise BundleError(f"'{file}' is used but not listed with its sha256 under [files]")


def used_files(manifest: Manifest) -> list[str]:
    """Every file that the manifest uses, as paths in the folder."""
    files = ["mask.png"]
    for clip in manifest.clips.values():
        files += [clip.file, clip.track]
    if manifest.lipsync is not None:
        files.append(manifest.lipsync.weights)
        if manifest.lipsync.look is not None:
            files.append(manifest.lipsync.look)
        if manifest.lipsync.encoder is not None:
            files += [manifest.lipsync.encoder, sidecar(manifest.lipsync.encoder)]
    return files


def sidecar(encoder: str) -> str:
    """The file beside a speech encoder that says what it needs to hear: speech_encoder.onnx has speech_encoder.toml."""
    return PurePosixPath(encoder).with_suffix(".toml").as_posix()


def stays_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not set(file) & set("\\:\0")
