"""The command ``avatar``."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from avatar.errors import AvatarError
from models.runtimes.choice import RUNTIMES
from server.settings import Row, Settings, table

if TYPE_CHECKING:
    from models.loading import Catalogue
    from server.bench.subject import Measuring

app = typer.Typer(
    name="avatar",
    help="A self-hosted avatar provider: speech in, a talking avatar out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SpeechFile = Annotated[Path, typer.Argument(help="any sound file that FFmpeg reads", show_default=False)]
AvatarId = Annotated[str, typer.Option("--avatar", help="which avatar speaks; `avatar list` shows them")]
AvatarDirs = Annotated[
    str, typer.Option(envvar="AVATAR_AVATAR_DIRS", help="folders that hold avatars, besides the embedded ones")
]
Runtime = Annotated[
    str, typer.Option(envvar="AVATAR_RUNTIME", help=f"what runs the networks: {', '.join(('auto', *RUNTIMES))}")
]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object instead of a table")]

T = TypeVar("T")

SAMPLE = Path(__file__).parent / "studio" / "sample.wav"


def run() -> None:
    """Runs a command; what goes wrong becomes one line on stderr and a non-zero exit."""
    try:
        app()
    except AvatarError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except BaseExceptionGroup as group:
        if group.subgroup((AvatarError, OSError)) is None:
            raise
        _fail(str(_first(group)))


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _fail(message: str) -> None:
    sys.stderr.write(f"avatar: {message}\n")
    sys.exit(1)


def _serve_signature(rows: tuple[Row, ...]) -> inspect.Signature:
    """``serve`` has one option for every setting that is no secret: those come from the environment alone."""
    parameters = []
    for row in rows:
        if row.secret:
            continue
        text = f"{row.meaning} [{row.variable}; default: {row.shown_default or 'none'}]"
        option = typer.Option(row.flag, help=text, show_default=False)
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(row.name, kind, default=None, annotation=Annotated[str | None, option]))
    return inspect.Signature(parameters)


def serve(**flags: str | None) -> None:
    """Serves avatars until SIGTERM or Ctrl-C. API keys come from AVATAR_API_KEYS; if it is not set, one is made."""
    from server.wiring import serve_forever

    settings = Settings.read(os.environ, flags)
    serve_forever(settings)


serve.__signature__ = _serve_signature(table())  # type: ignore[attr-defined]
serve.__annotations__ = {name: p.annotation for name, p in serve.__signature__.parameters.items()}  # type: ignore[attr-defined]
app.command()(serve)


@app.command()
def render(
    speech: SpeechFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="the film to write", show_default=False)],
    avatar: AvatarId = "ava",
    avatar_dirs: AvatarDirs = "",
    runtime: Runtime = "auto",
) -> None:
    """Makes a film of an avatar speaking, without a server, as fast as the machine can."""
    from models.speech_files import read_speech, resampled
    from server.render import render as render_film
    from server.session import SAMPLE_RATE

    pcm, rate = read_speech(speech)
    loaded = _catalogue(avatar_dirs, runtime, threads=os.cpu_count() or 1).load(avatar)
    with _progress("rendering") as progress:
        n_frames = render_film(resampled(pcm, rate, SAMPLE_RATE), loaded.bundle, loaded.model, out, progress)
    Console(stderr=True).print(f"{out}: {n_frames} frames, {n_frames / float(loaded.bundle.fps):.2f} s")


@app.command()
def speak(
    speech: SpeechFile,
    url: Annotated[str, typer.Option(help="of a running server")] = "http://127.0.0.1:8080",
    avatar: AvatarId = "ava",
    api_key: Annotated[str, typer.Option(envvar="AVATAR_API_KEY", help="one of the server's keys")] = "",
) -> None:
    """Streams a speech file to a running server through the real protocol, and waits until it was spoken."""
    from models.speech_files import read_speech
    from server.client import ClientError, conversation

    key = api_key or os.environ.get("AVATAR_API_KEYS", "").split(",")[0]
    if not key:
        raise ClientError("give the server's API key with --api-key or AVATAR_API_KEY")
    pcm, rate = read_speech(speech)

    async def talk() -> None:
        async with conversation(url, key, avatar) as session:
            with _progress("sending", unit="s") as progress:
                spoken = await session.speak(pcm, rate, progress)
            Console(stderr=True).print(
                f"session {session.session_id}: {spoken.played_ms / 1000:.2f} s spoken, "
                f"first frame after {spoken.first_frame_ms:.0f} ms"
            )

    asyncio.run(_interruptible(talk()))


@app.command(name="list")
def list_avatars(avatar_dirs: AvatarDirs = "", as_json: AsJson = False) -> None:
    """Lists the avatars, with their states and gestures."""
    import msgspec

    from server.avatar_routes import described

    summaries = _catalogue(avatar_dirs).summaries()
    if as_json:
        _print_json({"avatars": [msgspec.to_builtins(described(summary)) for summary in summaries]})
        return
    rows = Table("id", "name", "version", "size", "fps", "states", "gestures", "mouth")
    for one in summaries:
        states, gestures = ", ".join(one.states), ", ".join(one.gestures)
        rows.add_row(
            one.id, one.name, one.version, str(one.size), str(one.fps), states, gestures, one.model_kind or "none"
        )
    Console().print(rows)


@app.command()
def doctor(runtime: Runtime = "auto") -> None:
    """Says what this machine has: GPU, CPU features, runtime, encoders, Agora SDK; and how to mend what is missing."""
    from server.doctor import findings

    console, ok = Console(), True
    for finding in findings(runtime):
        ok &= finding.ok
        mark = "[green]ok  [/]" if finding.ok else "[red]FAIL[/]"
        remedy = f"  [dim]→ {escape(finding.remedy)}[/]" if finding.remedy else ""
        console.print(f"{mark} {finding.what}: {escape(finding.found)}{remedy}", highlight=False, soft_wrap=True)
    if not ok:
        raise typer.Exit(1)


@app.command()
def bench(
    sessions: Annotated[int, typer.Option(min=1, help="how many speak at once; where a search begins")] = 1,
    seconds: Annotated[float, typer.Option(min=1, help="for how long")] = 60,
    quality: Annotated[
        str, typer.Option(help="size of the pictures: low (360), medium (480) or high (720)")
    ] = "medium",
    publisher: Annotated[
        str,
        typer.Option(
            help="null: H.264 and Opus are encoded live as for WebRTC, and the packets thrown away; recording: "
            "H.264 and AAC into a temporary folder; webrtc: true viewers, in a process of their own; "
            "none: nothing is encoded"
        ),
    ] = "null",
    find_capacity: Annotated[
        bool, typer.Option("--find-capacity", help="raise the number until late frames or latencies break the bar")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="a PNG of what was measured over the number of sessions", show_default=False)
    ] = None,
    speech: Annotated[
        list[Path] | None,
        typer.Option(help="stretches of this are spoken; may be given several times", show_default=str(SAMPLE.name)),
    ] = None,
    avatar: AvatarId = "ava",
    avatar_dirs: AvatarDirs = "",
    runtime: Runtime = "auto",
    threads: Annotated[
        int, typer.Option(envvar="AVATAR_THREADS", help="of the networks; 0 decides by the machine")
    ] = 0,
    workers: Annotated[
        int, typer.Option(min=1, help="processes that sessions are spread over, each with its share of the cores")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Measures real sessions on this machine: late frames, latencies, CPU by stage, batches and memory."""
    from server.bench.chart import chart, draw_png

    measuring = _measuring(
        _folders(avatar_dirs), avatar, quality, speech or [SAMPLE], runtime, threads, publisher, workers
    )
    with _progress("measuring", unit="s") as progress, measuring as measure:
        if find_capacity:
            run = measure.found(seconds, sessions, progress, Console(stderr=True).print)
        else:
            run = measure.ran(sessions, seconds, progress)
        found = asyncio.run(_interruptible(run))
    if plot:
        draw_png(found.ladder(), plot)
    if as_json:
        _print_json(found.as_json() if find_capacity else found.confirmed.as_json())
        return
    title = f"{found.sessions} sessions hold the bars" if find_capacity else "bench"
    _print_figures(title, found.confirmed.as_json())
    if find_capacity:
        for rows in chart(found.ladder()):
            Console().print(rows)


def _measuring(
    folders: list[Path],
    avatar: str,
    quality: str,
    speech: list[Path],
    runtime: str,
    threads: int,
    publisher: str,
    workers: int,
) -> AbstractContextManager[Measuring]:
    if workers > 1:
        from server.bench.workers import InWorkers, Share

        share = Share([*map(str, folders)], avatar, quality, [*map(str, speech)], runtime, threads, 0, publisher)
        return nullcontext(InWorkers(share, workers))
    from server.bench.subject import measuring, subject_of

    return measuring(subject_of(folders, avatar, quality, speech, runtime, threads), publisher)


@app.command()
def demo(
    speech: Annotated[Path, typer.Argument(help="what is said")] = SAMPLE,
    out: Annotated[Path, typer.Option("--out", "-o", help="the film; figures go beside it as .json")] = Path(
        "demo.mp4"
    ),
    avatar: AvatarId = "ava",
) -> None:
    """Starts a server, speaks to it through the real protocol, and leaves the film and the figures."""
    from models.speech_files import read_speech
    from server.demo import demo as run_demo

    pcm, rate = read_speech(speech)
    with _progress("speaking", unit="s") as progress:
        console = Console(stderr=True)
        run = run_demo(pcm, rate, out, avatar, lambda step: console.print(f"[dim]{step} …[/]"), progress)
        figures = dataclasses.asdict(asyncio.run(_interruptible(run)))
    out.with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _print_figures(str(out), figures)


def _catalogue(avatar_dirs: str, runtime: str = "auto", threads: int = 1) -> Catalogue:
    from models.loading import Catalogue

    return Catalogue(_folders(avatar_dirs), runtime=runtime, threads=threads)


def _folders(avatar_dirs: str) -> list[Path]:
    from models.loading import EMBEDDED

    return [*(Path(part.strip()) for part in avatar_dirs.split(",") if part.strip()), EMBEDDED]


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Runs ``work``; Ctrl-C and SIGTERM cancel it, so that whatever it opened is closed."""
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise AvatarError("stopped") from None


@contextmanager
def _progress(what: str, unit: str = "frames") -> Iterator[Callable[[float, float], None]]:
    """A progress bar on stderr; yields a function that is told how much is done, of how much."""
    count = MofNCompleteColumn() if unit == "frames" else TaskProgressColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def _print_figures(title: str, figures: dict[str, object]) -> None:
    rows = Table("figure", "value", title=title)
    for name, value in figures.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {one}" for key, one in value.items())
        shown = "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.add_row(name, shown)
    Console().print(rows)
