"""The catalogue finds avatars, loads each once, and serves new versions to new sessions."""

from __future__ import annotations

import gc
import logging
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from avatar.errors import AvatarNotFound, BundleError, RuntimeUnavailable
from avatar.geometry import Size
from models import loading
from models.bundles import LipSyncEntry, read_manifest, write_manifest
from models.loading import Catalogue
from models.speech_lips import SpeechLips
from tests.tiny_avatar import make_tiny_avatar, write_renderer


@pytest.fixture
def avatars(tiny_avatar: Path, tiny_body: Path, tmp_path: Path) -> Path:
    """A folder with copies of the two small avatars, to be spoiled."""
    shutil.copytree(tiny_avatar, tmp_path / "avatars" / "tiny")
    shutil.copytree(tiny_body, tmp_path / "avatars" / "body")
    return tmp_path / "avatars"


def rewrite(folder: Path, **changes: Any) -> None:
    write_manifest(folder, msgspec.structs.replace(read_manifest(folder), **changes))


def test_summaries_say_what_each_avatar_is(avatars: Path) -> None:
    body, tiny = Catalogue([avatars]).summaries()
    assert (body.id, body.model_kind) == ("body", None)
    assert (tiny.id, tiny.name, tiny.version) == ("tiny", "Tiny", "1")
    assert (tiny.size, tiny.fps, tiny.model_kind) == (Size(128, 128), Fraction(25), "speech_lips")
    assert tiny.states == ("idle", "listen", "talk")
    assert tiny.gestures == ("NOD", "SMILE")
    assert tiny.licences == ("MIT",)


def test_summaries_read_nothing_but_the_manifest(avatars: Path) -> None:
    for file in [*avatars.rglob("*.mp4"), *avatars.rglob("*.onnx"), *avatars.rglob("*.npz")]:
        file.unlink()
    assert [summary.id for summary in Catalogue([avatars]).summaries()] == ["body", "tiny"]


def test_an_avatars_own_folder_may_be_given(tiny_avatar: Path, tiny_body: Path) -> None:
    assert [summary.id for summary in Catalogue([tiny_avatar, tiny_body]).summaries()] == ["body", "tiny"]


def test_folders_that_are_not_there_hold_no_avatars(tmp_path: Path) -> None:
    assert Catalogue([tmp_path / "nowhere"]).summaries() == []


def test_the_first_of_two_avatars_with_one_id_is_taken(avatars: Path, tmp_path: Path) -> None:
    other = make_tiny_avatar(tmp_path / "other" / "tiny", version="2", lips=False)
    assert Catalogue([other.parent, avatars]).load("tiny").bundle.version == "2"
    assert Catalogue([avatars, other.parent]).load("tiny").bundle.version == "1"


def test_a_broken_avatar_is_left_out_and_logged(avatars: Path, caplog: pytest.LogCaptureFixture) -> None:
    (avatars / "tiny" / "avatar.toml").write_text("id = ")
    with caplog.at_level(logging.WARNING):
        assert [summary.id for summary in Catalogue([avatars]).summaries()] == ["body"]
    assert "is not TOML" in caplog.records[0].__dict__["reason"]


def test_asking_for_a_broken_avatar_says_what_is_wrong(avatars: Path) -> None:
    (avatars / "tiny" / "avatar.toml").write_text("id = ")
    with pytest.raises(BundleError, match=r"avatar\.toml is not TOML"):
        Catalogue([avatars]).load("tiny")


def test_an_avatar_is_loaded_with_its_network(avatars: Path) -> None:
    loaded = Catalogue([avatars]).load("tiny")
    assert loaded.bundle.id == "tiny"
    assert isinstance(loaded.model, SpeechLips)
    assert loaded.n_bytes == 80 * (128 * 192 + 48 * 48 * 3)


def test_an_avatar_may_have_no_network(avatars: Path) -> None:
    assert Catalogue([avatars]).load("body").model is None


def test_an_unknown_avatar_is_refused_with_the_known_ones(avatars: Path) -> None:
    with pytest.raises(AvatarNotFound, match="There is no avatar 'eva'; known are: body, tiny") as refusal:
        Catalogue([avatars]).load("eva")
    assert refusal.value.known == ("body", "tiny")


def test_an_avatar_is_read_once_for_all_who_ask_at_once(avatars: Path) -> None:
    catalogue = Catalogue([avatars])
    together = threading.Barrier(8)

    def ask(_: int) -> loading.LoadedAvatar:
        together.wait()
        return catalogue.load("tiny")

    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(ask, range(8)))
    assert all(avatar is loaded[0] for avatar in loaded)


def test_a_failed_load_is_tried_again(avatars: Path) -> None:
    catalogue = Catalogue([avatars])
    shutil.move(avatars / "tiny" / "mask.png", avatars / "mask.png")
    with pytest.raises(BundleError, match=r"lacks the file mask\.png"):
        catalogue.load("tiny")
    shutil.move(avatars / "mask.png", avatars / "tiny" / "mask.png")
    assert catalogue.load("tiny").bundle.id == "tiny"


def test_another_process_reads_what_is_then_there_as_ever(avatars: Path) -> None:
    catalogue = Catalogue([avatars])
    aside = catalogue.load("tiny", aside=True)
    assert catalogue.load("tiny") is aside
    here = Catalogue([avatars]).load("tiny")
    assert aside.model is not None
    assert np.array_equal(aside.bundle.clips["talk"].frames, here.bundle.clips["talk"].frames)
    assert aside.bundle.loops == here.bundle.loops


def test_a_new_version_serves_those_who_ask_from_then_on(avatars: Path) -> None:
    catalogue = Catalogue([avatars])
    old = catalogue.load("tiny")
    rewrite(avatars / "tiny", version="2")
    new = catalogue.load("tiny")
    assert (old.bundle.version, new.bundle.version) == ("1", "2")
    assert old.model is not None
    assert catalogue.load("tiny") is new


def test_an_old_version_is_let_go_when_its_last_session_ends(avatars: Path) -> None:
    catalogue = Catalogue([avatars])
    old = catalogue.load("tiny")
    seen = weakref.ref(old)
    rewrite(avatars / "tiny", version="2")
    catalogue.load("tiny")
    del old
    gc.collect()
    assert seen() is None


def test_footage_beyond_the_budget_is_let_go_unless_it_is_in_use(avatars: Path) -> None:
    catalogue = Catalogue([avatars], budget_bytes=1)
    tiny = weakref.ref(catalogue.load("tiny"))
    assert tiny() is not None
    body = catalogue.load("body")
    gc.collect()
    assert tiny() is None
    catalogue.load("tiny")
    assert catalogue.load("body") is body


def test_networks_beyond_their_budget_are_let_go_unless_they_are_in_use(avatars: Path, tmp_path: Path) -> None:
    twin = make_tiny_avatar(tmp_path / "more" / "twin", id="twin", patch=40)
    folders = [avatars, twin.parent]
    roomy = Catalogue(folders)
    networks = {network for name in ("tiny", "twin") for network in roomy.load(name).networks}
    assert len(networks) == 3  # they share the encoder
    n_bytes = sum(network.n_bytes for network in networks)
    for spare, kept in ((0, True), (-1, False)):
        catalogue = Catalogue(folders, network_bytes=n_bytes + spare)
        tiny = catalogue.load("tiny")
        avatar, network = weakref.ref(tiny), weakref.ref(tiny.networks[1])
        catalogue.load("twin")
        assert catalogue.load("tiny") is tiny
        catalogue.load("twin")
        del tiny
        gc.collect()
        assert (avatar() is not None, network() is not None) == (kept, kept)


def test_avatars_share_the_networks_that_are_the_same_file(avatars: Path, tmp_path: Path) -> None:
    twin = make_tiny_avatar(tmp_path / "more" / "twin", id="twin", patch=40)
    catalogue = Catalogue([avatars, twin.parent])
    one, other = catalogue.load("tiny").model, catalogue.load("twin").model
    assert isinstance(one, SpeechLips)
    assert isinstance(other, SpeechLips)
    assert one.encoder is other.encoder
    assert one.renderer is not other.renderer


def test_a_mask_of_another_size_than_the_network_draws_is_refused(avatars: Path) -> None:
    write_renderer(avatars / "tiny" / "weights" / "mouth.onnx", 56)
    rewrite(avatars / "tiny")
    with pytest.raises(BundleError, match="avatar 'tiny' has a mask of 48x48 but its network draws 56x56"):
        Catalogue([avatars]).load("tiny")


def test_an_unknown_kind_of_lips_is_refused(avatars: Path) -> None:
    rewrite(avatars / "tiny", lipsync=LipSyncEntry("wav2lips", "weights/mouth.onnx"))
    with pytest.raises(BundleError, match="has lips of the kind 'wav2lips', allowed are speech_lips"):
        Catalogue([avatars]).load("tiny")


def test_the_shared_speech_encoder_is_taken_where_an_avatar_brings_none(
    avatars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(avatars / "tiny", lipsync=LipSyncEntry("speech_lips", "weights/mouth.onnx"))
    monkeypatch.setattr(loading, "SHARED_ENCODER", tmp_path / "speech_encoder.onnx")
    with pytest.raises(BundleError, match="avatar 'tiny' needs the shared speech encoder, which is not at"):
        Catalogue([avatars]).load("tiny")
    for file in (avatars / "tiny" / "weights").glob("speech_encoder.*"):
        shutil.move(file, tmp_path)
    rewrite(avatars / "tiny")
    assert Catalogue([avatars]).load("tiny").model is not None


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_every_runtime_loads_an_avatar(avatars: Path, runtime: str) -> None:
    assert Catalogue([avatars], runtime).load("tiny").model is not None


def test_an_unknown_runtime_is_refused_before_any_avatar_is_loaded(avatars: Path) -> None:
    with pytest.raises(
        RuntimeUnavailable,
        match="runtime is 'abacus', allowed are auto, torch, onnx-cuda, openvino, onnx, onnx-tensorrt",
    ):
        Catalogue([avatars], "abacus")
