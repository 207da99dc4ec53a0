from __future__ import annotations

import gzip
import importlib.util
import shutil
import subprocess
import wave
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avatar.articulation import CHANNELS, VISEMES
from models.loading import SHARED_ENCODER
from models.making.speech import prompts
from models.making.speech.alignment import Spoken, align, align_sounds
from models.making.speech.augmentation import breath, in_other_time, music, no_speech
from models.making.speech.batches import Stretches
from models.making.speech.coarticulation import track
from models.making.speech.corpus import Recorded, load, save
from models.making.speech.evaluation import Answers, closures, openvino_encoder, score
from models.making.speech.export import exported_weights
from models.making.speech.look_ahead import LOOK_AHEADS_MS, ManyLookAheads
from models.making.speech.phones import UnknownPhone, parts
from models.making.speech.texts import endless
from models.making.speech.utterances import SAMPLE_RATE, Phone, Utterance, phones_from_ends
from models.nets.speech_encoder import WINDOW, SpeechEncoder, SpeechWindow

CLOSE, JAW, ROUND = (CHANNELS.index(name) for name in ("close", "jaw", "round"))


def _spoken(*pairs: tuple[str, float]) -> tuple[Phone, ...]:
    """Phones of (name, seconds) one after another."""
    ends = np.cumsum([seconds for _, seconds in pairs])
    return phones_from_ends([(name, float(end)) for (name, _), end in zip(pairs, ends, strict=True)], float(ends[-1]))


@pytest.mark.parametrize("seconds", [0.02, 0.04, 0.09])
def test_lips_meet_at_the_middle_of_a_bilabial_however_short_it_is(seconds: float) -> None:
    labels = track("arpabet", _spoken(("aa", 0.2), ("b", seconds), ("aa", 0.2)), 0.4 + seconds)
    assert labels.articulation[:, CLOSE].max() > 0.9
    assert labels.articulation[[10, -10], CLOSE].max() < 0.1


def test_a_short_vowel_opens_the_mouth_less_than_a_long_one() -> None:
    short = track("arpabet", _spoken(("s", 0.1), ("aa", 0.05), ("s", 0.1)), 0.25).articulation[:, JAW].max()
    long = track("arpabet", _spoken(("s", 0.1), ("aa", 0.30), ("s", 0.1)), 0.50).articulation[:, JAW].max()
    assert short < 0.7 * long
    assert long > 0.9


def test_rounding_spreads_ahead_over_sounds_that_do_not_care() -> None:
    rounding = track("arpabet", _spoken(("pau", 0.2), ("t", 0.08), ("uw", 0.2), ("t", 0.08), ("pau", 0.2)), 0.76)
    before, after = rounding.articulation[24, ROUND], rounding.articulation[52, ROUND]
    assert before > 0.3
    assert before > after


def test_silence_is_a_mouth_at_rest() -> None:
    labels = track("arpabet", _spoken(("pau", 0.5)), 0.5)
    assert not labels.articulation.any()
    assert set(labels.visemes.tolist()) == {VISEMES.index("SIL")}


def test_there_is_a_label_every_ten_milliseconds_from_the_start_on() -> None:
    labels = track("arpabet", _spoken(("pau", 0.1), ("m", 0.1)), 0.2)
    assert labels.articulation.shape == (21, len(CHANNELS))
    assert labels.visemes[9] == VISEMES.index("SIL")
    assert labels.visemes[10] == VISEMES.index("PP")


@pytest.mark.parametrize(
    ("alphabet", "phone", "viseme"),
    [
        ("arpabet", "b", "PP"),
        ("arpabet", "AY1", "AA"),
        ("ipa", "tʃ", "CH"),
        ("ipa", "oʊ", "OO"),
        ("ipa", "əʊ", "OO"),
        ("ipa", "ɑ̃", "AA"),
        ("ipa", "ɜː", "RR"),
        ("finnish", "i:", "IH"),
        ("czech", "r~", "CH"),
        ("sampa", "a1", "AA"),
        ("russian", "bb", "PP"),
        ("ipa", "pau", "SIL"),
    ],
)
def test_phones_of_every_alphabet_are_sorted_into_visemes(alphabet: str, phone: str, viseme: str) -> None:
    found = parts(alphabet, phone)
    assert found[0].viseme == viseme
    assert sum(part.share for part in found) == pytest.approx(1)


def test_a_diphthong_keeps_its_viseme_while_its_shape_moves() -> None:
    first, second = parts("ipa", "aɪ")
    assert (first.viseme, second.viseme) == ("AA", "AA")
    assert (first.shape, second.shape) == ("AA", "IH")


def test_a_phone_that_no_viseme_claims_is_refused_by_name() -> None:
    with pytest.raises(UnknownPhone, match="'!'"):
        parts("finnish", "!")


def test_phones_that_end_after_the_sound_are_cut_to_it() -> None:
    phones = phones_from_ends([("ah", 0.3), ("pau", 0.9)], 0.5)
    assert phones[-1].end_s == 0.5


def test_a_recorded_voice_is_read_as_it_was_written(tmp_path: Path) -> None:
    pcm = np.arange(3200, dtype=np.int16)
    voice = Recorded(
        "someone", "ipa", True, (Utterance(pcm, _spoken(("p", 0.1), ("a", 0.1))), Utterance(pcm[:800], ()))
    )
    save(voice, tmp_path)
    read = load(tmp_path / "someone.npz")
    assert (read.name, read.alphabet, read.held_out) == ("someone", "ipa", True)
    assert [phone.name for phone in read.utterances[0].phones] == ["p", "a"]
    assert read.utterances[1].phones == ()
    np.testing.assert_array_equal(read.utterances[0].pcm, pcm)


def test_texts_never_end_and_are_the_same_again() -> None:
    first, again = endless("de", 3), endless("de", 3)
    assert [next(first) for _ in range(100)] == [next(again) for _ in range(100)]


def test_perfect_answers_have_perfect_scores() -> None:
    labels = track(
        "arpabet", _spoken(("pau", 0.2), ("b", 0.1), ("aa", 0.2), ("m", 0.1), ("iy", 0.2), ("pau", 0.2)), 1.0
    )
    found = score([(Answers(labels.articulation, labels.visemes.astype(np.intp)), labels)])
    assert found.frame_accuracy == found.macro_f1 == found.closure_recall == found.closure_precision == 1
    assert found.aperture_r == pytest.approx(1)
    assert found.lag_ms == pytest.approx(0, abs=0.5)
    assert found.open_vowels_shut == 0


def test_answers_that_come_late_are_told_by_how_much() -> None:
    labels = track("arpabet", _spoken(*[("b", 0.1), ("aa", 0.2), ("s", 0.1), ("iy", 0.15)] * 5), 2.75)
    late = Answers(np.roll(labels.articulation, 3, axis=0), np.roll(labels.visemes, 3).astype(np.intp))
    assert score([(late, labels)]).lag_ms == pytest.approx(30, abs=2)


def test_lips_that_flicker_are_shut_once() -> None:
    labels = track("arpabet", _spoken(("aa", 0.3), ("b", 0.1), ("aa", 0.3), ("pau", 0.3)), 1.0)
    shut = np.zeros(len(labels.visemes), np.bool_)
    shut[[32, 34, 37]] = True  # at the closure, with gaps of 10 and 20 ms
    shut[[55, 60]] = True  # at the vowel, 40 ms apart: twice wrong
    assert closures(shut, labels) == (1, 1, 1, 3)


@pytest.mark.parametrize("make", [breath, music, no_speech])
def test_sounds_in_which_nobody_speaks_are_as_long_as_asked_and_not_out_of_bounds(
    make: Callable[[int, np.random.Generator], NDArray[np.float32]],
) -> None:
    for seed in range(20):
        sound = make(24_000, np.random.default_rng(seed))
        assert sound.shape == (24_000,)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() < 20


def test_training_goes_on_from_an_exported_encoder() -> None:
    encoder = SpeechEncoder()
    encoder.load_state_dict(exported_weights(SHARED_ENCODER))
    mel = np.random.default_rng(0).standard_normal((2, WINDOW, 80)).astype(np.float32)
    with torch.no_grad():
        here, _ = SpeechWindow(encoder)(torch.from_numpy(mel))
    there, _ = openvino_encoder(SHARED_ENCODER)(mel)
    np.testing.assert_allclose(here.numpy(), there, atol=2e-3)


@pytest.fixture
def spoken_by_flite(tmp_path: Path) -> Spoken:
    if shutil.which("flite") is None or importlib.util.find_spec("pocketsphinx") is None:
        pytest.skip("flite or pocketsphinx is not installed")
    words = "but a banana is about to fall"
    path = tmp_path / "said.wav"
    subprocess.run(["flite", "-voice", "rms", "-t", words, "-o", str(path)], check=True)
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return Spoken("said", pcm, words)


def test_the_neutral_vowel_is_told_from_that_of_but(spoken_by_flite: Spoken) -> None:
    phones = [phone.name for phone in align(spoken_by_flite).phones if phone.name != "pau"]
    assert phones[:5] == ["B", "AH", "T", "ax", "B"]
    assert phones[5:10] == ["ax", "N", "AE", "N", "ax"]


def test_sounds_are_placed_under_the_names_that_they_were_given(spoken_by_flite: Spoken) -> None:
    sounds = [(f"{i}{phone}", phone) for i, phone in enumerate("B AH T AH B AH N AE N AH IH Z".split())]
    sounds += [(f"{i}", phone) for i, phone in enumerate("AH B AW T T AH F AO L".split())]
    placed = align_sounds(spoken_by_flite.pcm, sounds).phones
    assert [phone.name for phone in placed if phone.name != "pau"] == [name for name, _ in sounds]
    assert all(before.end_s <= after.start_s + 1e-6 for before, after in pairwise(placed))


def test_a_sound_is_held_at_its_pitch() -> None:
    time = np.arange(16_000) / 16_000
    tone = np.asarray(np.sin(2 * np.pi * 200 * time), np.float32)
    held, places = in_other_time(tone, np.minimum(np.arange(24_000), 8_000 + 0.1 * np.arange(24_000)))
    spectrum = np.abs(np.fft.rfft(held[12_000:20_000] * np.hanning(8_000)))
    assert spectrum.argmax() * 2 == pytest.approx(200, abs=4)
    assert places[-1] == pytest.approx(10_400, abs=200)


def test_speech_at_its_own_pace_stays_as_it_is() -> None:
    sound = np.random.default_rng(0).standard_normal(8_000).astype(np.float32)
    same, places = in_other_time(sound, np.arange(8_000.0))
    np.testing.assert_allclose(same[400:-400], sound[400:-400], atol=1e-5)
    np.testing.assert_allclose(places[400:-400], np.arange(8_000)[400:-400], atol=1)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    sound = np.random.default_rng(0).integers(-3000, 3000, 160_000).astype(np.int16)
    phones = _spoken(*[("b", 0.1), ("aa", 0.2), ("s", 0.1), ("iy", 0.1)] * 20)
    save(Recorded("someone", "arpabet", False, (Utterance(sound, phones),)), tmp_path)
    return tmp_path


def test_the_same_moment_is_described_by_a_later_answer_the_longer_the_look_ahead(corpus: Path) -> None:
    stretches = Stretches(corpus, n_batch=8, n_answers=20, seed=3, look_aheads_ms=(0, 80))
    _, visemes, articulation = next(iter(stretches))
    at_once, later = visemes.chunk(2, 1)
    assert articulation.shape == (8, 40, len(CHANNELS))
    same = (at_once[:, :-2] == later[:, 2:]).float().mean()  # 80 ms are two answers
    assert same > 0.9
    assert (at_once == later).float().mean() < 0.9


def test_each_look_ahead_answers_as_the_encoder_that_it_began_as() -> None:
    torch.manual_seed(0)
    encoder = SpeechEncoder()
    many = ManyLookAheads(encoder, len(LOOK_AHEADS_MS))
    mel = torch.randn(1, WINDOW + 8, 80)
    with torch.no_grad():
        expected = encoder(mel)
        for logits, channels in many(mel):
            torch.testing.assert_close(logits, expected[0])
            torch.testing.assert_close(channels, expected[1])
    shared = sum(weights.numel() for weights in encoder.parameters())
    assert sum(weights.numel() for weights in many.parameters()) < 1.2 * shared


def test_announcements_are_heard_whose_words_are_all_that_there_is(tmp_path: Path) -> None:
    words, sounds = tmp_path / prompts.WORDS, tmp_path / prompts.SOUNDS
    for folder in (words.parent, sounds / "digits"):
        folder.mkdir(parents=True)
    lines = (
        "; Core sounds",
        "press: Press 1 now.",
        "digits/7: seven",
        "beep: [a tone]",
        "gone: Nobody.",
        "short: Yes.",
    )
    words.write_bytes(gzip.compress("\n".join(lines).encode()))
    for name, seconds in {"press": 1.0, "digits/7": 0.5, "beep": 1.0, "short": 0.2}.items():
        with av.open(str(sounds / f"{name}.g722"), "w", format="g722") as file:
            stream = file.add_stream("g722", rate=SAMPLE_RATE, layout="mono")
            tone = 3000 * np.sin(np.arange(round(seconds * SAMPLE_RATE)) * 0.2)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
            frame.sample_rate = SAMPLE_RATE
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    heard = list(prompts.announcements(tmp_path))
    assert {one.name: one.words.split() for one in heard} == {"press": ["Press", "one", "now."], "digits/7": ["seven"]}
    assert [round(len(one.pcm) / SAMPLE_RATE, 1) for one in heard] == [1.0, 0.5]
    assert 1500 < np.abs(heard[0].pcm).mean() < 2300
