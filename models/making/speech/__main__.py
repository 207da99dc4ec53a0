"""Command line: ``python -m models.making.speech synthesise | listen | gather | train | evaluate | export``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

_SHIPPED = Path(__file__).parents[2] / "embedded" / "speech_encoder.onnx"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m models.making.speech", description="Make the speech encoder.")
    parser.add_argument("--work", type=Path, default=Path("work/speech"), help="folder of corpus and checkpoints")
    commands = parser.add_subparsers(dest="command", required=True)

    synthesise = commands.add_parser(
        "synthesise", help="let every voice speak into WORK/corpus and WORK/validation (what is there stays)"
    )
    synthesise.add_argument("--processes", type=int, default=2)
    synthesise.add_argument("--only", default="", help="only voices whose name begins so")

    commands.add_parser("listen", help="fetch a person's recordings with known words, and align them into WORK/corpus")

    train = commands.add_parser("train", help="train from WORK/corpus, resuming WORK/RUN/checkpoint.pt")
    train.add_argument("--steps", type=int, default=4000, help="in all; over the last third the learning rate falls")
    train.add_argument("--threads", type=int, default=2)
    train.add_argument("--batch", type=int, default=24, help="stretches of 4 s in a batch")
    train.add_argument("--run", default="run", help="name of the run")
    train.add_argument("--start", type=Path, help="an exported encoder (.onnx) whose weights a new run begins with")
    train.add_argument("--rate", type=float, default=1.5e-3, help="the highest learning rate")
    train.add_argument("--seed", type=int, default=1, help="runs with other seeds hear other stretches")
    train.add_argument("--bf16", action="store_true", help="multiply in bfloat16 (faster where the processor can)")

    commands.add_parser("gather", help="fetch more human recordings with known words into WORK/recordings")

    study = commands.add_parser("look-ahead", help="train one network with several look-aheads, and compare them")
    study.add_argument("--start", type=Path, default=_SHIPPED, help="the exported encoder to go on from")
    study.add_argument("--steps", type=int, default=400)
    study.add_argument("--recordings", type=Path, default=Path("../shared/data/speech"), help="folder with words.tsv")
    study.add_argument("--bf16", action="store_true", help="multiply in bfloat16 (faster where the processor can)")

    evaluate = commands.add_parser("evaluate", help="measure an encoder on human, neural and unseen synthetic voices")
    evaluate.add_argument("--encoder", type=Path, default=_SHIPPED, help="the .onnx file (default: the shipped one)")
    evaluate.add_argument(
        "--recordings", type=Path, default=Path("../shared/data/speech"), help="folder with words.tsv"
    )
    evaluate.add_argument("--json", type=Path, help="also write the figures here")

    export = commands.add_parser("export", help="write WORK/RUN/checkpoint.pt as ONNX with a .toml beside it")
    export.add_argument("--run", nargs="+", default=["run"], help="names of runs; of several the mean is exported")
    export.add_argument("--to", type=Path, default=_SHIPPED)
    export.add_argument("--figures", type=Path, help="what evaluate --json wrote, to put in the .toml")

    options = parser.parse_args(arguments)
    console = Console()
    try:
        _COMMANDS[options.command](options, console)
    except KeyboardInterrupt:
        console.print("Stopped; what was done is kept, and the same command goes on from there.")
        return 130
    return 0


def _synthesise(options: argparse.Namespace, console: Console) -> None:
    from models.making.speech.synthesis import synthesise
    from models.making.speech.voices import all_voices, validation_voices

    unclaimed: dict[str, dict[str, int]] = {}
    for voices, folder in ((all_voices(), "corpus"), (validation_voices(), "validation")):
        chosen = tuple(voice for voice in voices if voice.name.startswith(options.only))
        unclaimed |= synthesise(chosen, options.work / folder, options.processes)
    for name, phones in unclaimed.items():
        console.print(f"[yellow]{name}: no viseme claims {phones}; utterances with these phones were left out")


def _train(options: argparse.Namespace, console: Console) -> None:
    from models.making.speech.training import Plan, train

    plan = Plan(
        steps=options.steps,
        learning_rate=options.rate,
        n_batch=options.batch,
        n_threads=options.threads,
        seed=options.seed,
        bf16=options.bf16,
    )
    console.print(f"trained: {train(options.work / 'corpus', options.work / options.run, plan, options.start)}")


def _listen(options: argparse.Namespace, console: Console) -> None:
    from models.making.speech.prompts import listen

    console.print(f"{listen(options.work / 'corpus', console) / 60:.1f} minutes")


def _gather(options: argparse.Namespace, console: Console) -> None:
    from models.making.speech.gathering import gather

    console.print(f"{gather(options.work / 'recordings')} recordings")


def _look_ahead(options: argparse.Namespace, console: Console) -> None:
    from models.making.speech.look_ahead import scores, train
    from models.making.speech.report import known_words, table

    many = train(options.work / "corpus", options.start, options.steps, console, bf16=options.bf16)
    voices = known_words(options.work, options.recordings, console)
    console.print(table({f"{ms} ms": one for ms, one in scores(many, voices).items()}))


def _evaluate(options: argparse.Namespace, console: Console) -> None:
    from models.making.speech.report import figures_of, table

    scores = figures_of(options.encoder, options.work, options.recordings, console)
    console.print(table(scores))
    if options.json:
        options.json.write_text(json.dumps({name: one.as_dict() for name, one in scores.items()}, indent=2))


def _export(options: argparse.Namespace, console: Console) -> None:
    from models.making.speech.export import export

    figures: dict[str, float | str] = {}
    if options.figures:
        for name, one in json.loads(options.figures.read_text()).items():
            name = name.replace(", ", "_").replace(" ", "_")
            figures |= {
                f"{name}_{key}": round(value, 3) for key, value in one.items() if isinstance(value, float | int)
            }
    export([options.work / run / "checkpoint.pt" for run in options.run], options.to, figures)
    console.print(f"{options.to}: {options.to.stat().st_size / 1e6:.1f} MB")


_COMMANDS = {
    "synthesise": _synthesise,
    "listen": _listen,
    "gather": _gather,
    "train": _train,
    "look-ahead": _look_ahead,
    "evaluate": _evaluate,
    "export": _export,
}

if __name__ == "__main__":
    raise SystemExit(main())
