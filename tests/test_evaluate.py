"""A small avatar speaks a programme, its film is watched, and the page on it is written: all but the face tracker."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from rich.console import Console

from models.loading import Catalogue
from models.making.evaluate.evaluation import Material, evaluate
from models.making.evaluate.page import page
from models.making.evaluate.programme import write_programme
from models.making.speech.corpus import Recorded
from models.making.speech.utterances import SAMPLE_RATE, Phone, Utterance
from models.speech_files import read_speech, resampled
from server.render import render
from server.session import SAMPLE_RATE as FILM_HZ

SYLLABLE_S, N_SYLLABLES = 0.4, 7


def babble(name: str, seed: int) -> Recorded:
    """Loud and silent stretches by turns, named after what the small avatar's mouth does in them."""
    random = np.random.default_rng(seed)
    phones, pieces, end = [], [], 0.0
    for number in range(2 * N_SYLLABLES):
        start, end = end, end + SYLLABLE_S * float(random.uniform(0.6, 1.4))
        loud = 9000 if number % 2 else 0
        n = round(end * SAMPLE_RATE) - round(start * SAMPLE_RATE)
        pieces.append((loud * random.uniform(-1, 1, n)).astype(np.int16))
        phones.append(Phone("aa" if loud else "pau", start, end))
    return Recorded(name, "arpabet", False, (Utterance(np.concatenate(pieces), tuple(phones)),))


def watch(film: Path, gaps: Path) -> None:
    """What a face tracker would see: the small avatar's mouth is painted without blue, the redder the wider it is."""
    times, red = [], []
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="rgb24").astype(float)
            painted = (picture[..., 2] < 40) & (picture[..., 0] > 90)
            times.append(frame.time or 0.0)
            red.append(float((picture[..., 0] * painted).mean()) / 255)
    np.savez(gaps, times_s=times, gaps=red)


def test_a_film_is_judged_from_end_to_end(tiny_avatar: Path, tmp_path: Path) -> None:
    loaded = Catalogue([tiny_avatar], threads=1).load("tiny")
    sound, film, gaps = tmp_path / "programme.wav", tmp_path / "film.mp4", tmp_path / "gaps.npz"
    voices = [babble("one", 1), babble("two", 2)]
    write_programme({"human": voices}, {"one": "ah ah", "two": "oh oh"}, [], sound)
    render(resampled(*read_speech(sound), FILM_HZ), loaded.bundle, loaded.model, film)
    watch(film, gaps)
    material = Material(film, gaps, sound, tmp_path / "no recordings", tmp_path / "no speech")
    figures, pictures = evaluate(material, "tiny", [tiny_avatar], tmp_path / "lips", Console(quiet=True), 20)
    human = figures.seen["human"]
    assert human.aperture_r > 0.6
    assert -90 < human.lag_ms < -20  # its jaw follows what it heard last, which lies up to 80 ms ahead
    assert figures.sounds["silence"].closed == 1
    assert figures.sounds["noise"].n_frames == 200
    assert any("d2" in reason for reason in figures.skipped)
    assert all((tmp_path / "lips" / name).stat().st_size > 1000 for name in pictures.values())
    text = page(figures, pictures)
    assert "| d3 · known words, film: aperture r | ≥ 0.650 |" in text
    assert "a · joins" in text
    assert "b · gradient" in text
