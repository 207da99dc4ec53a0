"""What an operator can set: one table, read from ``AVATAR_*`` variables and overridden by flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from models.runtimes.choice import RUNTIMES
from server.errors import SettingsError
from server.publishers.offers import ice_server
from server.tokens import HASHED, hashed_key

T = TypeVar("T")
Read = Callable[[str], object]


def _setting(default: T, meaning: str, read: Read, allowed: str, *, flag: str = "", secret: bool = False) -> T:
    """A row of the table. ``read`` turns text into the value or raises ValueError; ``allowed`` says what it takes."""
    metadata = {"meaning": meaning, "read": read, "allowed": allowed, "flag": flag}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


def _number(low: float, high: float = float("inf")) -> Read:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def _whole(low: int, high: int) -> Read:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def _one_of(*choices: str) -> tuple[Read, str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return read, "one of " + ", ".join(choices)


def _some_of(*choices: str) -> tuple[Read, str]:
    def read(text: str) -> tuple[str, ...]:
        values = _list(text)
        if not set(values) <= set(choices):
            raise ValueError
        return values

    return read, "a comma-separated list of " + ", ".join(choices)


def _list(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _ice_servers(text: str) -> tuple[str, ...]:
    for server in _list(text):
        ice_server(server)
    return _list(text)


def _api_keys(text: str) -> tuple[str, ...]:
    for key in _list(text):
        if key.startswith(HASHED):
            hashed_key(key)
    return _list(text)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https", "ws", "wss") or not parts.netloc or parts.query):
        raise ValueError
    return text.rstrip("/")


def of_worker(template: str, worker: int, port: int) -> str:
    """``worker_url`` with a worker's number and port in it."""
    return template.replace("{worker}", str(worker)).replace("{port}", str(port))


def _worker_url(text: str) -> str:
    one = of_worker(text, 1, 1)
    if text and (one == text or "{" in one or "}" in one):
        raise ValueError
    _url(one)
    return text.rstrip("/")


def _path(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError
    return text.rstrip("/")


def _secret(text: str) -> str:
    if text and len(text.encode()) < 32:
        raise ValueError
    return text


SECONDS = "a number of seconds, 0 for no limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator decided. Fields are read by name from ``AVATAR_<NAME>`` and ``--<name>``."""

    host: str = _setting("127.0.0.1", "address to listen on", str, "an address or host name")
    port: int = _setting(
        8080, "port to listen on; 0 takes a free one", _whole(0, 65535), "a whole number from 0 to 65535"
    )
    workers: int = _setting(
        1,
        "processes that sessions are spread over; more than one listen on ports of their own, beginning with the one "
        "after `port`, and each loads the avatars for itself",
        _whole(1, 256),
        "a whole number from 1",
    )
    public_url: str = _setting(
        "",
        "scheme, host and path under which clients reach this server; sets `websocket_address` "
        "(empty: as the request came)",
        _url,
        "a URL that starts with http://, https://, ws:// or wss://",
    )
    worker_url: str = _setting(
        "",
        "the same for the sockets of a worker, with `{worker}` for its number (from 1) and `{port}` for its port "
        "(empty: `public_url`, or as the request came, with the worker's port)",
        _worker_url,
        "a URL with {worker} or {port}, such as wss://avatar.example.com/worker/{worker}",
    )
    path_prefix: str = _setting(
        "", "serve everything under this path, too", _path, "a path that starts with a slash, such as /provider"
    )
    api_keys: tuple[str, ...] = _setting(
        (),
        "keys that callers send as `x-api-key`, or `sha256:` and the hash of one (none: one is made and printed once)",
        _api_keys,
        "a comma-separated list; hashes have 64 hexadecimal digits",
        secret=True,
    )
    token_secret: str = _setting(
        "",
        "signs session tokens (empty: made at each start)",
        _secret,
        "at least 32 bytes of text",
        secret=True,
    )
    default_app_id: str = _setting(
        "", "the Agora project of sessions that start with `POST /endpoint`, which names none", str, "an Agora app id"
    )
    publishers: tuple[str, ...] = _setting(
        ("webrtc",), "where pictures and sound go", *_some_of("agora", "webrtc", "recording"), flag="--publisher"
    )
    agora_encoding: str = _setting(
        "raw",
        "who encodes pictures for an Agora channel: its SDK (raw), or we (encoded: NVENC, x264 or libvpx)",
        *_one_of("raw", "encoded"),
    )
    record_dir: str = _setting("recordings", "folder for recordings, `<session_id>.mp4`", str, "a folder")
    ice_servers: tuple[str, ...] = _setting(
        (),
        "STUN and TURN servers for viewers in other networks",
        _ice_servers,
        "a comma-separated list of stun:host:port and turn:user:password@host:port",
        secret=True,
    )
    avatar_dirs: tuple[str, ...] = _setting(
        (), "folders that hold avatars, besides the embedded ones", _list, "a comma-separated list of folders"
    )
    max_sessions: int = _setting(
        0,
        "how many sessions may live at once, however many more would fit; more are refused with 503",
        _whole(0, 10_000),
        "a whole number, 0 for as many as fit",
    )
    overload: str = _setting(
        "avoided",
        "whether sessions that do not fit, as measured, are refused with 503, and mouths drawn less often "
        "while frames are late",
        *_one_of("avoided", "ignored"),
    )
    max_sessions_per_key: int = _setting(
        0,
        "how many sessions of one key may live at once; more are refused with 503",
        _whole(0, 10_000),
        "a whole number, 0 for no limit",
    )
    max_starts_per_minute: int = _setting(
        600,
        "how many sessions one key may start in a minute; more are refused with 429",
        _whole(0, 1_000_000),
        "a whole number, 0 for no limit",
    )
    idle_timeout_s: float = _setting(
        120.0, "ends a session that hears nothing, unless its start says otherwise", _number(0), SECONDS
    )
    idle_counts: str = _setting(
        "any", "what keeps a session from being idle: any valid message, or speech alone", *_one_of("any", "speech")
    )
    grace_s: float = _setting(
        30.0, "keeps a session whose socket was lost, for its client to come back", _number(0), "a number of seconds"
    )
    never_initialised_s: float = _setting(60.0, "ends a session that never sent `init`", _number(0), SECONDS)
    longest_session_s: float = _setting(86_400.0, "ends any session after this time", _number(0), SECONDS)
    token_wait_s: float = _setting(
        10.0,
        "how long a socket that came without a token may wait before its `init` brings one",
        _number(0.01),
        "a number of seconds",
    )
    max_request_bytes: int = _setting(
        1_048_576, "largest body of an HTTP request", _whole(1024, 2**31 - 1), "a whole number from 1024"
    )
    max_message_bytes: int = _setting(
        8_388_608,
        "largest WebSocket message (8 MiB hold two minutes of PCM16 at 24 kHz)",
        _whole(1024, 2**31 - 1),
        "a whole number from 1024",
    )
    max_messages_per_s: int = _setting(
        1000,
        "how many WebSocket messages a client may send in a second, with ten seconds' worth at once; "
        "more are refused with a warning",
        _whole(0, 1_000_000),
        "a whole number, 0 for no limit",
    )
    max_backlog_s: float = _setting(
        600.0, "how much speech may wait in a session; more is refused", _number(1), "a number of seconds from 1"
    )
    lead_ms: int = _setting(
        80, "how far rendering runs ahead of the clock, at least", _whole(0, 1000), "a whole number from 0 to 1000"
    )
    after_speech: str = _setting("idle", "the state that follows speech", *_one_of("idle", "listen"))
    drain_s: float = _setting(
        8.0, "how long sessions may take to end when the server shuts down", _number(0, 3600), "a number of seconds"
    )
    runtime: str = _setting("auto", "what runs the networks", *_one_of("auto", *RUNTIMES))
    threads: int = _setting(
        0, "CPU threads for the networks; 0 decides by the machine", _whole(0, 1024), "a whole number"
    )
    footage_mib: int = _setting(
        2048,
        "memory for footage in each process, in MiB; beyond it avatars that nobody uses are let go, "
        "the one that was asked for least lately first",
        _whole(0, 2**24),
        "a whole number",
    )
    network_mib: int = _setting(
        2048,
        "the same for networks, in the memory of what runs them: the GPU's, if there is one",
        _whole(0, 2**24),
        "a whole number",
    )
    log_level: str = _setting("info", "how much is logged", *_one_of("debug", "info", "warning", "error"))

    @classmethod
    def read(cls, environ: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> Settings:
        """The operator's settings.

        Args:
            environ: where ``AVATAR_*`` variables are looked up; an empty variable counts as not set.
            flags: by field name, as text; None counts as not given. A flag wins over its variable.

        Raises:
            SettingsError: a value that cannot be used, or a flag that does not exist.
        """
        given = dict(flags or {})
        values: dict[str, Any] = {}
        for row in table():
            flag = given.pop(row.name, None)
            source, text = (row.flag, flag) if flag is not None else (row.variable, environ.get(row.variable, ""))
            if flag is None and not text:
                continue
            try:
                values[row.name] = row.read(text)
            except ValueError:
                shown = "…" if row.secret else f"'{text}'"
                raise SettingsError(f"{source} is {shown}, but must be {row.allowed}") from None
        if given:
            raise SettingsError(f"there is no setting '{next(iter(given))}'")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting, as README and ``--help`` show it."""

    name: str
    default: object
    meaning: str
    allowed: str
    secret: bool
    read: Read
    flag: str

    @property
    def variable(self) -> str:
        return f"AVATAR_{self.name.upper()}"

    @property
    def shown_default(self) -> str:
        if isinstance(self.default, tuple):
            return ",".join(self.default)
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


def table() -> tuple[Row, ...]:
    """Every setting, in the order in which a reader wants them."""
    return tuple(
        Row(
            field.name,
            field.default,
            field.metadata["meaning"],
            field.metadata["allowed"],
            not field.repr,
            field.metadata["read"],
            field.metadata["flag"] or f"--{field.name.replace('_', '-')}",
        )
        for field in dataclasses.fields(Settings)
    )


def markdown() -> str:
    """The table of settings for README."""
    lines = ["| variable | flag | default | meaning | allowed |", "|---|---|---|---|---|"]
    for row in table():
        default = f"`{row.shown_default}`" if row.shown_default else ""
        lines.append(f"| `{row.variable}` | `{row.flag}` | {default} | {row.meaning} | {row.allowed} |")
    return "\n".join(lines) + "\n"
