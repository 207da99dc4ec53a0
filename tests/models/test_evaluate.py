"""The judge of lips, on lips whose faults are known."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.articulation import aperture
from avatar.errors import AvatarError
from models.bundles import read_bundle
from models.making.evaluate.bars import at_least, at_most, within
from models.making.evaluate.film import SeenLips, heard_at
from models.making.evaluate.page import Figures, page
from models.making.evaluate.programme import Piece, Programme, read_programme, write_programme
from models.making.evaluate.seen import Judge
from models.making.evaluate.sounds import SOUNDS
from models.making.look.crossing_sheet import crossing_sheet, crossings
from models.making.speech.corpus import Recorded
from models.making.speech.report import KNOWN_WORDS
from models.making.speech.utterances import SAMPLE_RATE, Phone, Utterance

FPS = 25
GAP = 0.12
"""Of wide open lips, in distances between the eyes."""

SENTENCES = (
    "pau m aa m ah pau p iy p ao l b ay s ow p pau",
    "pau s eh v ah n pau b ih g b eh d z pau",
    "pau ao l w ey z f uw l ow m iy pau b ah t pau",
)


def spoken(number: int, sentence: str, start_s: float) -> Piece:
    random = np.random.default_rng(number)
    phones, end = [], 0.0
    for name in sentence.split():
        start, end = end, end + (0.8 if name == "pau" else float(random.uniform(0.07, 0.16)))
        phones.append((name, start, end))
    return Piece(f"voice {number}", "human", start_s, end, sentence, "arpabet", tuple(phones))


@pytest.fixture(scope="module")
def programme() -> Programme:
    pieces: list[Piece] = []
    for number, sentence in enumerate(SENTENCES * 4):
        pieces.append(spoken(number, sentence, pieces[-1].end_s + 0.5 if pieces else 0.5))
    return Programme((*pieces, Piece("music", "sound", pieces[-1].end_s + 0.5, 4.0)))


def lips(programme: Programme, lag_s: float = 0.0, leak: float = 0.0) -> SeenLips:
    """Lips that do what the phones ask for, seen by a camera; ``leak`` keeps them apart all the time."""
    times = (np.arange(int((programme.pieces[-1].end_s + 1) * FPS)) + 0.5) / FPS
    wanted = np.zeros_like(times)
    for piece in programme.spoken:
        asked = aperture(piece.truth.articulation)
        now = piece.start_s + np.arange(len(asked)) / 100
        inside = (times - lag_s >= piece.start_s) & (times - lag_s < piece.end_s)
        wanted[inside] = np.interp(times[inside] - lag_s, now, asked)
    return SeenLips(times, GAP * wanted + leak)


def test_lips_that_do_what_the_phones_ask_for_are_found_true(programme: Programme) -> None:
    judge = Judge(lips(programme), programme)
    figures = judge.speech(programme.spoken)
    assert figures.aperture_r > 0.95
    assert figures.n_closures == 40
    assert figures.closure_recall > 0.9
    assert figures.open_vowels_shut == 0
    assert judge.pauses().closed > 0.98
    assert judge.pauses().n_frames > 100


@pytest.mark.parametrize("lag_ms", [-80, -20, 0, 20, 80])
def test_the_lag_of_the_lips_is_found(programme: Programme, lag_ms: int) -> None:
    figures = Judge(lips(programme, lag_ms / 1000), programme).speech(programme.spoken)
    assert figures.lag_ms == pytest.approx(lag_ms, abs=6)


def test_lips_that_never_close_find_no_closure_and_rest_in_no_pause(programme: Programme) -> None:
    judge = Judge(lips(programme, leak=0.05), programme)
    assert judge.speech(programme.spoken).closure_recall == 0
    assert judge.pauses().closed == 0


def test_lips_that_never_open_are_shut_over_open_vowels(programme: Programme) -> None:
    seen = lips(programme)
    still = np.where(np.arange(len(seen.gaps)) % 15, 0, GAP)  # opens now and then, so that wide open is known
    figures = Judge(SeenLips(seen.times_s, still), programme).speech(programme.spoken)
    assert figures.open_vowels_shut > 0.8


def test_lips_of_one_sentence_do_not_fit_another(programme: Programme) -> None:
    figures = Judge(lips(programme), programme).speech(programme.spoken)
    assert abs(figures.swapped_r) < 0.4 < 0.9 < figures.aperture_r


def test_frames_without_a_face_are_bridged_and_not_counted_as_closed(programme: Programme) -> None:
    seen = lips(programme)
    gaps = seen.gaps.copy()
    gaps[10:20] = np.nan
    partly = SeenLips(seen.times_s, gaps)
    assert not partly.found[10:20].any()
    assert np.isfinite(partly.opening(programme.pieces[0])).all()
    assert len(partly.frames(0, 1)) == FPS - 10


def test_sounds_without_a_voice_are_as_loud_as_they_say_and_no_louder_than_full_scale() -> None:
    levels = {name: 20 * np.log10(np.sqrt(np.mean(make() ** 2)) + 1e-9) for name, make in SOUNDS.items()}
    assert levels["noise"] == pytest.approx(-43, abs=0.1)
    assert levels["silence"] < -150 < levels["breath"] < levels["music"]
    assert all(np.abs(make()).max() <= 1 for make in SOUNDS.values())


def noise(seconds: float, seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-9000, 9000, int(seconds * SAMPLE_RATE)).astype(np.int16)


def voice(name: str, seed: int, n_utterances: int = 1) -> Recorded:
    phones = (Phone("pau", 0.0, 0.2), Phone("aa", 0.2, 3.0))
    return Recorded(name, "arpabet", True, tuple(Utterance(noise(3, seed + i), phones) for i in range(n_utterances)))


def write_wav(path: Path, pcm: NDArray[np.int16]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm.tobytes())


def test_a_programme_says_where_in_it_everything_is(tmp_path: Path) -> None:
    written = write_programme(
        {"human": [voice("Mark.wav", 1)], "more human": [], "neural": [voice("tts_x.wav", 2)]},
        {"Mark.wav": "ah", "tts_x.wav": "ah"},
        [voice("made", 3, n_utterances=9)],
        tmp_path / "p.wav",
    )
    assert read_programme(tmp_path / "p.wav") == written
    assert [piece.kind for piece in written.spoken] == ["human", "neural", "synthetic", "synthetic", "synthetic"]
    assert [piece.name for piece in written.of("sound")] == list(SOUNDS)
    with wave.open(str(tmp_path / "p.wav")) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    second = written.pieces[1]
    start = round(second.start_s * SAMPLE_RATE)
    assert np.array_equal(sound[start : start + 3 * SAMPLE_RATE], noise(3, 2))
    assert second.sounds == [(second.start_s + 0.2, second.start_s + 3.0)]


def test_where_a_film_begins_to_speak_is_found_to_the_sample(tmp_path: Path) -> None:
    spoken_pcm = noise(2, 5)
    write_wav(tmp_path / "programme.wav", spoken_pcm)
    write_wav(tmp_path / "film.wav", np.concatenate([np.zeros(1234, np.int16), spoken_pcm, np.zeros(999, np.int16)]))
    assert heard_at(tmp_path / "film.wav", tmp_path / "programme.wav") == 1234 / SAMPLE_RATE
    write_wav(tmp_path / "other.wav", noise(2, 6))
    with pytest.raises(AvatarError, match="does not sound like"):
        heard_at(tmp_path / "other.wav", tmp_path / "programme.wav")


def test_bars_are_met_at_their_bound_and_missed_beyond() -> None:
    assert at_least("r", 0.65, 0.65).met and not at_least("r", 0.65, 0.649).met  # noqa: PT018
    assert at_most("shut", 0.05, 0.05).met and not at_most("shut", 0.05, 0.051).met  # noqa: PT018
    assert within("lag", 20, -20).met and not within("lag", 20, -21).met  # noqa: PT018


def test_the_page_says_yes_no_and_what_was_not_measured(programme: Programme) -> None:
    judge = Judge(lips(programme), programme)
    seen = {KNOWN_WORDS: judge.speech(programme.spoken)}
    music = programme.pieces[-1]
    sounds = {"music": judge.rest(music.start_s, music.end_s)}
    text = page(Figures(["about"], seen=seen, sounds=sounds, skipped=["d2: no voices"]), {"Lag": "lips/lag.png"})
    assert "| f · … lips later than sound | ± 20.0 ms |" in text
    assert "| g · music, film: closed | ≥ 98.0 % | 100.0 % | yes |" in text
    assert "* d2: no voices" in text
    assert "![Lag](lips/lag.png)" in text
    moving = Judge(lips(programme, leak=0.05), programme)
    assert "**no**" in page(Figures(["about"], sounds={"music": moving.rest(music.start_s, music.end_s)}), {})


def test_every_clip_is_crossed_into_and_out_of(tiny_avatar: Path) -> None:
    bundle = read_bundle(tiny_avatar)
    found = crossings(bundle)
    names = [crossing.name for crossing in found]
    assert len(names) == len(set(names)) == 3 * 2 + 3 * 2 * len(bundle.gestures)
    assert {"idle > listen", "talk > NOD", "NOD > talk"} <= set(names)
    for crossing in found:
        before, *between, _ = crossing.shots
        assert before.clip != between[-1].clip
        assert {shot.leaving and shot.leaving.clip for shot in between} == {before.clip}
    sheet = crossing_sheet(bundle, found)
    assert sheet.shape[0] > 100 * len(found) // 3
