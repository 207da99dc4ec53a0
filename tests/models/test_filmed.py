"""Films of a person become an avatar: a small drawn one everywhere, a real one where it is there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from avatar.audio import AudioChunk
from avatar.errors import BundleError
from avatar.geometry import Size
from avatar.performance import Performance
from avatar.pictures import from_rgb, planes, to_rgb
from avatar.timeline import Timeline
from models.bundles import read_bundle, read_manifest
from models.loading import EMBEDDED, Catalogue
from models.making.filmed.__main__ import filmed
from models.making.filmed.faces import FaceBox, FaceFinder, FaceTracker, crop_maps, mouth_mask
from models.making.filmed.film import Film, read_film
from models.making.filmed.timing import pictures_at, played_once, there, tracks_at
from models.making.seams.joins_seen import BAR, judge_joins
from models.making.seams.script import scripted_session

FOOTAGE = Path(__file__).parents[3] / "shared/data/footage"
SIZE = Size(96, 128)
FACE = FaceBox(24, 30, 48)


def drawn(x: float, y: float, turn: float = 0.0, mouth: float = 0.0) -> NDArray[np.uint8]:
    """A face with its box at x, y (for FACE, nothing moves), turned by radians, on a striped wall, RGB."""
    side = 96
    face = np.zeros((side, side, 3), np.uint8)
    mask = np.zeros((side, side), np.uint8)
    cv2.ellipse(mask, (48, 48), (40, 47), 0, 0, 360, 255, -1, cv2.LINE_AA)
    face[...] = (205, 165, 140)
    for eye in (30, 66):
        cv2.circle(face, (eye, 36), 7, (40, 30, 30), -1, cv2.LINE_AA)
        cv2.line(face, (eye - 9, 22), (eye + 9, 20), (70, 50, 40), 3, cv2.LINE_AA)
    cv2.line(face, (48, 40), (44, 58), (150, 110, 90), 2, cv2.LINE_AA)
    cv2.line(face, (44, 58), (52, 58), (120, 90, 80), 2, cv2.LINE_AA)
    cv2.ellipse(face, (48, 74), (14, 2 + round(8 * mouth)), 0, 0, 360, (150, 50, 60), -1, cv2.LINE_AA)
    wall = np.full((SIZE.height, SIZE.width, 3), (120, 130, 150), np.uint8)
    wall[::6] = (100, 110, 140)
    scale = FACE.side / side
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    middle = np.array([x + FACE.side / 2, y + FACE.side / 2])
    turned = np.array([[cos, -sin], [sin, cos]])
    move = np.hstack([turned, (middle - turned @ [48, 48])[:, None]])
    size = (SIZE.width, SIZE.height)
    share = cv2.warpAffine(mask, move, size, flags=cv2.INTER_AREA)[..., None] / 255
    there = cv2.warpAffine(face, move, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.round(wall * (1 - share) + there * share), np.uint8)


def write_film(path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    """A film as a camera might write it."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv420p"
        stream.options = {"crf": "12"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def swaying(n: int, amount: float, speed: float, phase: float = 0.0, mouth: float = 0.0) -> list[NDArray[np.uint8]]:
    t = np.arange(n) / 30
    return [
        drawn(
            FACE.left + amount * np.sin(speed * s + phase),
            FACE.top + 0.5 * amount * np.sin(2 * speed * s),
            0.01 * amount * np.sin(speed * s),
            mouth * abs(np.sin(9 * s)),
        )
        for s in t
    ]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of a drawn person: three states and a gesture, 30 frames a second, none made to loop."""
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "idle.mp4", swaying(100, 2, 1.1))
    write_film(folder / "listen.mp4", swaying(80, 2.5, 1.4, phase=0.4))
    write_film(folder / "talk.mkv", swaying(90, 3, 2.0, mouth=1))
    # A gesture is filmed from rest to rest: a nod that is under way in its first frame leaves nothing to cross in.
    nodding = [drawn(FACE.left, FACE.top + 5 * np.sin(np.pi * np.clip((i - 8) / 40, 0, 1)) ** 2) for i in range(61)]
    write_film(folder / "nod.mp4", nodding)
    return folder


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(filmed)
    said = CliRunner().invoke(app, list(arguments))
    return said.exit_code, said.output.replace("\n", " ")


def make(films: Path, out: Path, *more: str) -> tuple[int, str]:
    return run(
        "--out", str(out), "--idle", f"{films}/idle.mp4", "--listen", f"{films}/listen.mp4",
        "--talk", f"{films}/talk.mkv", "--gesture", f"NOD={films}/nod.mp4", "--face", "24,30,48", *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def avatar(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("avatars") / "drawn_person"
    code, said = make(films, folder, "--licence", "CC0-1.0", "--author", "the tests", "--look", f"{folder}.png")
    assert code == 0, said
    assert "4 clips" in said
    return folder


def test_films_become_an_avatar_without_lips(avatar: Path) -> None:
    manifest = read_manifest(avatar)
    assert (manifest.id, manifest.name, manifest.fps, manifest.size) == (
        "drawn_person",
        "Drawn Person",
        "25",
        (96, 128),
    )
    assert manifest.lipsync is None
    assert manifest.gestures == {"NOD": "nod"}
    assert [(credit.author, credit.licence) for credit in manifest.credits] == [("the tests", "CC0-1.0")]
    bundle = read_bundle(avatar)
    assert len(bundle.clips["nod"]) == int(60 / 30 * 25) + 1
    assert not bundle.clips["nod"].there_and_back
    assert all(bundle.clips[loop].there_and_back for loop in bundle.loops.values())
    assert cv2.imread(f"{avatar}.png") is not None


def test_its_clips_cross_without_a_jump(avatar: Path) -> None:
    bundle = read_bundle(avatar)
    session = scripted_session(bundle, 60)
    assert {shot.gesture for shot in session.shots} == {None, "NOD"}
    figures = judge_joins(bundle, session)
    assert figures.ratio <= BAR, figures.summary()
    assert max(figures.gesture_waits_s) <= 1
    assert max(figures.state_waits_s) <= 2


def test_its_talk_loop_runs_while_it_speaks_and_no_longer(avatar: Path) -> None:
    loaded = Catalogue([avatar]).load("drawn_person")
    assert loaded.model is None
    timeline = Timeline(loaded.bundle.fps, 48_000)
    performance = Performance(loaded.bundle, timeline, None)
    voice = np.random.default_rng(1).normal(0, 5000, 48_000 * 3).astype(np.int16)
    performance.hear(AudioChunk(voice, 0))
    performance.end_speech()
    plans = [performance.step(timeline.tick(index)) for index in range(150)]
    np.testing.assert_array_equal(np.concatenate([plan.sound for plan in plans])[: len(voice)], voice)
    talking = [plan.tick.index for plan in plans if plan.shot.clip == "talk"]
    assert talking[0] <= 8
    assert 75 <= talking[-1] <= 75 + 6 + 8
    assert {plan.mouth for plan in plans} == {None}


def test_loops_turn_without_a_jerk(avatar: Path) -> None:
    idle = read_bundle(avatar).clips["idle"]
    places = idle.faces[:, :, 2]
    speed = np.hypot(*np.diff(places, axis=0).T)
    assert max(speed[:2].max(), speed[-2:].max()) < 0.25 * speed.max()
    assert np.abs(np.diff(speed)).max() < 0.5 * speed.max()


def test_the_crops_hold_the_face_still(avatar: Path) -> None:
    for name, clip in read_bundle(avatar).clips.items():
        eyes = clip.crops[:, 26:42, 20:76].astype(int)
        assert np.abs(eyes - eyes.mean(axis=0)).mean() < 4, name
        assert np.ptp(clip.faces[:, :, 2], axis=0).max() > 1.5, "while it moves through the frame"


def test_listening_falls_back_on_idling(films: Path, tmp_path: Path) -> None:
    code, said = run(
        "--out", f"{tmp_path}/two", "--idle", f"{films}/idle.mp4", "--talk", f"{films}/talk.mkv", "--face", "24,30,48",
        "--fps", "30", "--height", "96", "--seconds", "1",
    )  # fmt: skip
    assert code == 0, said
    manifest = read_manifest(tmp_path / "two")
    assert manifest.states == {"idle": "idle", "listen": "idle", "talk": "talk"}
    assert (manifest.size, manifest.fps) == ((72, 96), "30")
    assert manifest.clips["idle"].frames <= 30 * 1.4 + 1


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--gesture", "WAVE"), "--gesture is 'WAVE', needed is a name and a film that exists"),
        (("--gesture", "IDLE=nod.mp4"), "a gesture cannot be called idle"),
        (("--fps", "fast"), "--fps is 'fast'"),
        (("--fps", "500"), "--fps is '500', needed is a number from 1 to 240"),
        (("--face", "1,2"), "--face is '1,2', needed are three numbers"),
        (("--face", "0,0,4"), "the face is too plain or too small to be followed"),
        (("--listen", "wide.mp4"), "wide.mp4 becomes 128x96, but the avatar's first film 96x128"),
        (("--talk", "noise.bin"), "noise.bin cannot be read"),
        (("--talk", "short.mp4"), "short.mp4 has 3 pictures, needed are 5 or more"),
    ],
)
def test_what_makes_no_avatar_is_refused_in_a_sentence(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise.bin").write_bytes(b"no film" * 100)
    write_film(tmp_path / "short.mp4", swaying(3, 1, 1))
    write_film(tmp_path / "nod.mp4", swaying(8, 1, 1))
    write_film(tmp_path / "wide.mp4", [np.rot90(picture) for picture in swaying(8, 1, 1)])
    code, said = make(films, tmp_path / "out", *more)
    assert code == 1
    assert sentence in said
    assert not (tmp_path / "out").exists()


def test_a_film_without_a_face_is_refused_with_a_way_out(films: Path) -> None:
    wall = Film(np.stack([from_rgb(np.full((128, 96, 3), 90, np.uint8))] * 6), np.arange(6) / 25)
    with pytest.raises(BundleError, match="a face was found in 0 of 6 pictures of wall.mp4.*--face LEFT,TOP,SIDE"):
        FaceFinder().find(wall, "wall.mp4")


def test_a_face_is_found_where_it_is() -> None:
    bundle = read_bundle(EMBEDDED / "ava")
    idle = bundle.clips["idle"]
    side = bundle.size.width
    box = FaceFinder().find(Film(idle.frames[::5], np.arange(len(idle.frames[::5])) / 25), "idle")
    face = idle.faces[0] @ np.array([bundle.mask.shape[1] / 2, bundle.mask.shape[0] / 2, 1])
    assert abs(box.left + box.side / 2 - side / 2) < 0.08 * side
    assert box.top < face[1] < box.top + 1.2 * box.side, "the mouth is in it"
    assert 0.25 * side < box.side < 0.7 * side


def test_a_head_is_followed_to_parts_of_a_pixel() -> None:
    moves = [(0.0, 0.0, 0.0), (1.5, 0.25, 0.02), (3.25, -1.5, -0.03), (-4.5, 3.0, 0.06)]
    pictures = [from_rgb(drawn(FACE.left + x, FACE.top + y, turn, mouth=x % 1)) for x, y, turn in moves]
    film = Film(np.stack([*pictures, pictures[-1]]), np.arange(5) / 25)
    tracker = FaceTracker(planes(pictures[0]).y, FACE)
    middle = np.array([FACE.left + 24, FACE.top + 24, 1])
    for index, (x, y, turn) in enumerate(moves):
        alone = Film(film.pictures[index : index + 1], np.zeros(1))
        found = tracker.follow(alone, FACE, "a film")[0]
        np.testing.assert_allclose(found @ middle, middle[:2] + (x, y), atol=0.35)
        assert np.arctan2(found[1, 0], found[0, 0]) == pytest.approx(turn, abs=0.02)


def test_a_lost_face_is_told() -> None:
    tracker = FaceTracker(planes(from_rgb(drawn(FACE.left, FACE.top))).y, FACE)
    wall = Film(np.stack([from_rgb(np.full((128, 96, 3), 90, np.uint8))] * 6), np.arange(6) / 25)
    with pytest.raises(BundleError, match="the face was lost in 6 of 6 pictures of wall.mp4"):
        tracker.follow(wall, FACE, "wall.mp4")


def test_frames_that_do_not_last_equally_long_are_read_with_their_times(tmp_path: Path) -> None:
    path = tmp_path / "uneven.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for moment_ms in (0, 33, 100, 133, 200, 233):
            picture = np.zeros((96, 128, 3), np.uint8)
            picture[:, :40] = 200
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = moment_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    film = read_film(path, 960)
    np.testing.assert_allclose(film.times_s, [0, 0.033, 0.1, 0.133, 0.2, 0.233], atol=0.002)
    assert film.size == Size(128, 96)
    small = read_film(path, 48)
    assert (small.size, small.shrunk) == (Size(64, 48), 0.5)
    np.testing.assert_allclose(played_once(film, Fraction(30)), [0, 1.01, 1.5, 2, 3.01, 3.5, 4], atol=0.06)


def test_pictures_between_two_are_moved_and_those_near_one_are_it() -> None:
    film = Film(np.stack([from_rgb(drawn(FACE.left + 2 * i, FACE.top)) for i in range(4)]), np.arange(4) / 30)
    near, between = pictures_at(film, np.array([1.15, 1.5]))
    assert np.array_equal(near, film.pictures[1])
    expected = drawn(FACE.left + 3, FACE.top)
    assert np.abs(to_rgb(between).astype(int) - expected).mean() < 3
    faces = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), np.float32)
    assert tracks_at(faces, np.array([1.5, 3.0]))[:, 0, 0].tolist() == [1.5, 3.0]


def test_a_loop_begins_and_ends_where_least_moves_and_is_no_longer_than_asked() -> None:
    x = np.r_[
        np.linspace(0, 10, 20), np.full(8, 10.0), np.linspace(10, -6, 50), np.full(8, -6.0), np.linspace(-6, 0, 14)
    ]
    film = Film(np.stack([from_rgb(drawn(FACE.left + at, FACE.top)) for at in x]), np.arange(len(x)) / 30)
    places = there(film, Fraction(25), longest_s=60)
    assert 20 <= places[0] <= 27
    assert 78 <= places[-1] <= 86
    steps = np.diff(places)
    assert steps.min() >= 0
    assert steps[:2].max() < 0.3
    assert np.median(steps) == pytest.approx(1.2, abs=0.05)
    assert there(film, Fraction(25), longest_s=1.5)[-1] - places[0] <= 45


def test_crops_and_masks_hold_the_mouth() -> None:
    faces = crop_maps(np.array([[[1, 0, 0], [0, 1, 0]]], np.float32), FaceBox(100, 200, 100), 96)
    mask = mouth_mask(96)
    mouth = faces[0] @ np.array([*(np.argwhere(mask == 255).mean(axis=0)[::-1]), 1])
    assert mouth[0] == pytest.approx(150, abs=1)
    assert 270 < mouth[1] < 295
    assert max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) == 0


@pytest.mark.skipif(not FOOTAGE.is_dir(), reason=f"needs the footage in {FOOTAGE}")
def test_real_footage_becomes_an_avatar_whose_clips_cross_without_a_jump(tmp_path: Path) -> None:
    code, said = run(
        "--out", f"{tmp_path}/tutor", "--height", "320", "--seconds", "3",
        "--idle", f"{FOOTAGE}/tutor_neutral_resting.mp4", "--listen", f"{FOOTAGE}/tutor_active_listening.mp4",
        "--talk", f"{FOOTAGE}/tutor_speaking_direct.mp4", "--gesture", f"NOD={FOOTAGE}/tutor_nod_agree.mp4",
        "--gesture", f"SMILE={FOOTAGE}/tutor_light_smile.mp4",
    )  # fmt: skip
    assert code == 0, said
    bundle = read_bundle(tmp_path / "tutor")
    assert bundle.size == Size(180, 320)
    session = scripted_session(bundle, 60)
    assert {shot.gesture for shot in session.shots} == {None, "NOD", "SMILE"}
    figures = judge_joins(bundle, session)
    assert figures.ratio <= BAR, figures.summary()
