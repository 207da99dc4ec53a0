"""The avatars that there are, and how each is loaded: once, whole, and shared by all who ask."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from avatar.bundle import AvatarBundle
from avatar.errors import AvatarNotFound, BundleError
from avatar.geometry import Size
from avatar.lipsync import LipSyncModel
from models.aside import done_aside
from models.bundles import read_bundle
from models.looks import Looks
from models.manifest import FILE_NAME, Credit, LipSyncEntry, Manifest, parse_manifest, sha256_of, sidecar
from models.renderers import HalvedRenderer, Renderer, WholeRenderer
from models.runtimes.choice import choose_runtime
from models.runtimes.network import Network, Precision
from models.shared import Shared
from models.sizes import Sizes
from models.speech_lips import SpeechLips, read_card

log = logging.getLogger(__name__)

EMBEDDED = Path(__file__).parent / "embedded"
"""Where the avatars that ship with this project are, and the speech encoder that avatars share."""

SHARED_ENCODER = EMBEDDED / "speech_encoder.onnx"

LOOK_BYTES = 2**29
"""Memory for what networks have seen in frames of footage: 400 kB for each of 192x192, if the renderer has a U-Net."""

OpenNetwork = Callable[[Path], Network]


@dataclass(frozen=True, slots=True)
class AvatarSummary:
    """What can be said of an avatar without loading it.

    Attributes:
        model_kind: of its lip-sync network, or None for a body without one.
        licences: of its parts, without repetition.
    """

    id: str
    name: str
    version: str
    size: Size
    fps: Fraction
    states: tuple[str, ...]
    gestures: tuple[str, ...]
    model_kind: str | None
    licences: tuple[str, ...]
    credits: tuple[Credit, ...]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LoadedAvatar:
    """An avatar ready to perform.

    Attributes:
        model: None for one without a trained mouth.
        sizes: its footage in the sizes in which sessions show it.
        networks: that the model runs; others may share them.
    """

    bundle: AvatarBundle
    model: LipSyncModel | None
    sizes: Sizes
    networks: tuple[Network, ...] = ()

    @property
    def n_bytes(self) -> int:
        """Memory that its footage takes, in all sizes."""
        return self.sizes.n_bytes + sum(clip.crops.nbytes for clip in self.bundle.clips.values())


@dataclass(frozen=True, slots=True)
class Entry:
    """An avatar's folder as it is now; ``digest`` is the sha256 of avatar.toml, and so of every file that it lists."""

    folder: Path
    manifest: Manifest
    digest: str

    @property
    def key(self) -> tuple[str, str]:
        return (self.manifest.id, self.digest)


def speech_lips(folder: Path, manifest: Manifest, open_network: OpenNetwork, looks: Looks) -> LipSyncModel:
    """A speech encoder, the avatar's own or the shared one, and the avatar's mouth renderer.

    Both in bf16 where the CPU has it: half to two thirds of the time. No articulation was ever more than 0.012 off, and
    mouths are the same to 59 dB.
    """
    lipsync = manifest.lipsync
    assert lipsync is not None  # noqa: S101 — asked for by its kind
    encoder = folder / lipsync.encoder if lipsync.encoder else SHARED_ENCODER
    if not encoder.is_file():
        raise BundleError(f"avatar '{manifest.id}' needs the shared speech encoder, which is not at {encoder}")
    card = read_card(encoder.parent / sidecar(encoder.name))
    return SpeechLips(open_network(encoder), _renderer(folder, lipsync, open_network, looks), card)


def _renderer(folder: Path, lipsync: LipSyncEntry, open_network: OpenNetwork, looks: Looks) -> Renderer:
    draws = open_network(folder / lipsync.weights)
    if lipsync.look is None:
        return WholeRenderer(draws)
    return HalvedRenderer(open_network(folder / lipsync.look), draws, looks)


KINDS: Mapping[str, Callable[[Path, Manifest, OpenNetwork, Looks], LipSyncModel]] = {"speech_lips": speech_lips}
"""How to make the lip-sync model of each ``kind`` in avatar.toml."""


class Catalogue:
    """The avatars in some folders; a changed folder is a new version, for those who ask from then on. Thread-safe.

    Args:
        folders: each an avatar's own or a folder of such; of two avatars with one id the first is taken.
        runtime: see ``models.runtimes.choice.choose_runtime``; a wrong name is refused here, not at the first avatar.
        threads: that one call of a network computes with. More than one answers sooner, but at a price: a mouth then
            takes half as much processor time again.
        at_once: calls of a network that may run at the same time.
        budget_bytes: footage that is kept when nobody uses it; the avatar that was asked for least lately goes first.
            Half of it is what one avatar may take up in other sizes than its own, used or not.
        network_bytes: the same for networks, on the device that runs them: whichever does not suffice, an avatar goes.
        look_bytes: what networks have seen in footage that is kept.
        watch: takes the place of each network that is opened of a file: for who measures them.

    Raises:
        RuntimeUnavailable: from ``runtime``.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (EMBEDDED,),
        runtime: str = "auto",
        threads: int = 1,
        at_once: int = 1,
        budget_bytes: int = 2**31,
        network_bytes: int = 2**31,
        look_bytes: int = LOOK_BYTES,
        watch: Callable[[Path, Network], Network] = lambda path, network: network,
    ) -> None:
        self._folders = tuple(folders)
        self._runtime = choose_runtime(runtime)
        self._threads, self.at_once = threads, at_once
        self.max_batch = self._runtime.max_batch
        self._budget, self._network_budget = budget_bytes, network_bytes
        self._looks = Looks(look_bytes)
        self._watch = watch
        self._lock = threading.Lock()
        self._loading: dict[tuple[str, str], threading.Lock] = {}
        self._in_use: weakref.WeakValueDictionary[tuple[str, str], LoadedAvatar] = weakref.WeakValueDictionary()
        self._kept: OrderedDict[tuple[str, str], LoadedAvatar] = OrderedDict()
        self._opening = threading.Lock()
        self._networks: weakref.WeakValueDictionary[str, Network] = weakref.WeakValueDictionary()

    def summaries(self) -> list[AvatarSummary]:
        """Every avatar, by id; only avatar.toml is read. One that cannot be read is logged and left out."""
        entries, broken = self._entries()
        for folder, error in broken.items():
            log.warning("avatar left out", extra={"folder": folder, "reason": str(error)})
        return [summary(entries[avatar_id].manifest) for avatar_id in sorted(entries)]

    def load(self, avatar_id: str, aside: bool = False) -> LoadedAvatar:
        """The avatar as it is on disk now. Blocks for as long as reading takes, and reads once for all who ask.

        Args:
            aside: whether a process reads footage that leaves the cores to others, instead of this one on all of them.

        Raises:
            AvatarNotFound: no folder has it; the sentence lists those that there are.
            BundleError: its folder cannot be used; the sentence says why.
            AvatarError: the process that read it came to an end.
        """
        entries, broken = self._entries()
        if avatar_id not in entries:
            if avatar_id in broken:
                raise broken[avatar_id]
            raise AvatarNotFound(avatar_id, tuple(sorted(entries)))
        entry = entries[avatar_id]
        with self._lock:
            loading = self._loading.setdefault(entry.key, threading.Lock())
        with loading:
            with self._lock:
                loaded = self._in_use.get(entry.key)
            if loaded is None:
                loaded = self._read(entry, aside)
            with self._lock:
                self._keep(entry.key, loaded)
        return loaded

    def _entries(self) -> tuple[dict[str, Entry], dict[str, BundleError]]:
        """Avatars by id, and what is wrong with those that cannot be read by the name of their folder."""
        entries: dict[str, Entry] = {}
        broken: dict[str, BundleError] = {}
        for folder in avatar_folders(self._folders):
            try:
                entry = read_entry(folder)
            except BundleError as error:
                broken.setdefault(folder.name, error)
            else:
                entries.setdefault(entry.manifest.id, entry)
        return entries, broken

    def _read(self, entry: Entry, aside: bool) -> LoadedAvatar:
        work = partial(read_bundle, entry.folder, entry.manifest, arrays=Shared().arrays)
        read = partial(done_aside, work) if aside else partial(work, at_once=n_cores())
        lipsync = entry.manifest.lipsync
        if lipsync is not None and lipsync.kind not in KINDS:
            raise BundleError(
                f"avatar '{entry.manifest.id}' has lips of the kind '{lipsync.kind}', allowed are {', '.join(KINDS)}"
            )
        if lipsync is None:
            bundle = read()
            return LoadedAvatar(bundle, None, Sizes(bundle, self._budget // 2))
        networks: list[Network] = []

        def open_network(path: Path) -> Network:
            networks.append(self._open(path, aside))
            return networks[-1]

        # Opening networks takes a third of the time, and mostly one core.
        with ThreadPoolExecutor(1, "footage") as other:
            reading = other.submit(read)
            try:
                model = KINDS[lipsync.kind](entry.folder, entry.manifest, open_network, self._looks)
            finally:
                bundle = reading.result()  # what is wrong with the files comes first: hashes are checked there
        mask = Size(bundle.mask.shape[1], bundle.mask.shape[0])
        if model.spec.patch != mask:
            raise BundleError(f"avatar '{bundle.id}' has a mask of {mask} but its network draws {model.spec.patch}")
        return LoadedAvatar(bundle, model, Sizes(bundle, self._budget // 2), tuple(networks))

    def _open(self, path: Path, aside: bool) -> Network:
        """The network in a file; the same file is opened once, whichever avatars use it."""
        with self._opening:
            key = sha256_of(path)
            network = self._networks.get(key)
            if network is None:
                network = self._networks[key] = self._watch(path, self._opened(path, aside))
            return network

    def _opened(self, path: Path, aside: bool) -> Network:
        how: tuple[Path, int, Precision, int] = (path, self._threads, "auto", self.at_once)
        if not aside or self._runtime.in_two is None:
            return self._runtime.open(*how)
        compile_it, reopen = self._runtime.in_two
        return reopen(*how, done_aside(compile_it, *how, Shared().arrays))

    def _keep(self, key: tuple[str, str], loaded: LoadedAvatar) -> None:
        self._in_use[key] = loaded
        for other in [other for other in self._kept if other[0] == key[0] and other != key]:
            del self._kept[other]
        self._kept[key] = loaded
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and not self._fit():
            self._kept.popitem(last=False)

    def _fit(self) -> bool:
        """Whether what is kept fits; a network that avatars share counts once."""
        networks = {id(network): network for avatar in self._kept.values() for network in avatar.networks}
        return (
            sum(avatar.n_bytes for avatar in self._kept.values()) <= self._budget
            and sum(network.n_bytes for network in networks.values()) <= self._network_budget
        )


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def avatar_folders(folders: Sequence[Path]) -> Iterator[Path]:
    """The folders among these, and in these, that have an avatar.toml."""
    for folder in folders:
        if (folder / FILE_NAME).is_file():
            yield folder
        elif folder.is_dir():
            yield from (inner for inner in sorted(folder.iterdir()) if (inner / FILE_NAME).is_file())


def read_entry(folder: Path) -> Entry:
    path = folder / FILE_NAME
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    return Entry(folder, parse_manifest(text, str(path)), hashlib.sha256(data).hexdigest())


def summary(manifest: Manifest) -> AvatarSummary:
    return AvatarSummary(
        id=manifest.id,
        name=manifest.name,
        version=manifest.version,
        size=manifest.frame_size,
        fps=manifest.rate,
        states=tuple(manifest.states),
        gestures=tuple(sorted(manifest.gestures)),
        model_kind=manifest.lipsync.kind if manifest.lipsync else None,
        licences=tuple(dict.fromkeys(credit.licence for credit in manifest.credits)),
        credits=tuple(manifest.credits),
    )
