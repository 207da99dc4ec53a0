"""`python -m models.making.mouth`: train a mouth renderer on rendered mouths, judge it, export it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Mouths_ = Annotated[Path, typer.Option("--mouths", help="Folder of rendered mouth regions (index.jsonl and PNGs).")]
Checkpoint_ = Annotated[Path, typer.Option("--checkpoint", help="Where training stands; made if it is not there.")]
PATCH = 192


@app.command()
def synthesize(mouths: Mouths_, poses: Annotated[int, typer.Option(help="How many.")] = 60, held_out: int = 6) -> None:
    """Draw cartoon mouths in the format of rendered ones, to try the other commands on."""
    from models.making.mouth.synthetic import write_synthetic

    write_synthetic(mouths, poses, held_out, PATCH)
    Console().print(f"{poses} poses in {mouths}")


@app.command()
def train(
    mouths: Mouths_,
    checkpoint: Checkpoint_,
    minutes: Annotated[
        float, typer.Option(help="Time of all the training together; 0 only works out the first draft.")
    ] = 25,
    learning_rate: Annotated[float, typer.Option(help="At its highest.")] = 1.2e-3,
    threads: Annotated[int, typer.Option(help="CPU threads to train on.")] = 1,
) -> None:
    """Work out a first draft, then train; or go on training. Ctrl-C saves and stops; new poses are taken in."""
    import torch

    from models.making.mouth.regions import Mouths
    from models.making.mouth.training import Plan, Training
    from models.making.mouth.training import Progress as Stand
    from models.making.mouth.training import train as run
    from models.nets.mouth_renderer import RendererConfig

    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    plan = Plan(seconds=minutes * 60, learning_rate=learning_rate)
    training = Training(plan, RendererConfig(patch=PATCH))
    if checkpoint.is_file():
        training.resume(checkpoint)
        console.print(f"going on from step {training.progress.step}, {training.progress.spent_s / 60:.1f} min")
    columns = [BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=plan.seconds)

        def report(stand: Stand) -> None:
            told = f"step {stand.step}  loss {stand.loss:.4f}  {stand.n_poses} poses"
            progress.update(task, completed=stand.spent_s, description=told)
            if not console.is_terminal and stand.step % 100 == 0:
                console.print(f"{stand.spent_s:7.0f} s  {told}")

        try:
            run(training, Mouths(mouths), checkpoint, report)
        except KeyboardInterrupt:
            console.print(f"stopped at step {training.progress.step}; saved in {checkpoint}")
            raise typer.Exit(130) from None


@app.command()
def mask(
    mouths: Mouths_,
    out: Annotated[Path, typer.Option(help="The mask, an 8-bit grey PNG.")],
    look: Annotated[Path | None, typer.Option(help="Also write the mask's outline over faces, to look at.")] = None,
) -> None:
    """Work out the soft mask of what moves when the mouth moves."""
    from models.making.mouth.motion import measure_motion, mouth_mask
    from models.making.mouth.regions import Mouths

    poses = Mouths(mouths).read()
    motion = measure_motion(poses, PATCH)
    soft = mouth_mask(motion)
    out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out), soft)
    if look is not None:
        grey = [
            np.clip(level * gain, 0, 255)
            for level, gain in ((motion.mean, 8), (motion.most, 2), (motion.unrest, 8), (soft, 1))
        ]
        tiles = [np.repeat(level[:, :, None], 3, axis=2).astype(np.uint8) for level in grey]
        for pose in poses[:: max(1, len(poses) // 5)][:5]:
            face = pose.spoken[0].crop(PATCH)[:, :, ::-1].copy()
            for level, colour in ((16, (0, 255, 0)), (128, (255, 255, 0)), (250, (0, 0, 255))):
                edges, _ = cv2.findContours((soft >= level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(face, edges, -1, colour, 1)
            tiles.append(face)
        cv2.imwrite(str(look), cv2.resize(np.hstack(tiles), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST))
    Console().print(f"{out}: {np.mean(soft > 0):.0%} of the crop touched, {np.mean(soft == 255):.0%} replaced")


@app.command()
def evaluate(
    mouths: Mouths_,
    checkpoint: Checkpoint_,
    mask: Annotated[Path, typer.Option(help="The mask that `mask` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
) -> None:
    """Draw the held-out mouths: PSNR, SSIM, and sheets of crop, target, drawn, difference x 4."""
    from models.making.mouth.evaluation import draw_held_out, sheet
    from models.making.mouth.regions import Mouths
    from models.making.mouth.training import load_renderer

    soft = np.asarray(cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE), np.uint8)
    drawn = draw_held_out(load_renderer(checkpoint), Mouths(mouths).read(), soft)
    if not drawn:
        raise typer.BadParameter(f"{mouths} holds out no poses yet")
    out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(drawn), 24):
        picture = sheet(drawn[start : start + 24], soft)
        cv2.imwrite(str(out / f"held_out_{start // 24}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    figures = np.array([(each.psnr_db, each.ssim) for each in drawn])
    console = Console()
    for name, values in zip(("PSNR dB", "SSIM"), figures.T, strict=True):
        console.print(f"{name}: mean {values.mean():.3f}, lowest {values.min():.3f}, median {np.median(values):.3f}")
    console.print(f"{len(drawn)} mouths; pictures in {out}")


@app.command()
def export(
    checkpoint: Checkpoint_,
    out: Annotated[Path, typer.Option(help="Folder for the ONNX files of both halves.")],
    mouths: Annotated[
        Path | None, typer.Option(help="Mouths to compare runtimes on, and to tell whether the U-Net is needed.")
    ] = None,
) -> None:
    """Write both halves of the averaged network as ONNX and compare them with the original in OpenVINO.

    A U-Net that moves no pixel of the mouths by more than a level is left out.
    """
    from models.making.mouth.export import export_halves, needs_unet
    from models.making.mouth.regions import Mouths
    from models.making.mouth.runtime_check import compare
    from models.making.mouth.training import load_renderer

    network, console = load_renderer(checkpoint), Console()
    if mouths is None:
        console.print(f"{out}: {export_halves(network, out) / 1e6:.2f} MB")
        return
    regions = [(pose.rest, pose.spoken[0]) for pose in Mouths(mouths).read()[-16:]]
    crops = np.stack([rest.crop(PATCH) for rest, _ in regions])
    articulations = np.stack([spoken.articulation for _, spoken in regions])
    unet = needs_unet(network, crops, articulations)
    n_bytes = export_halves(network, out, unet=unet)
    console.print(
        f"{out}: {n_bytes / 1e6:.2f} MB, {'with the U-Net' if unet else 'without the U-Net: it adds nothing'}"
    )
    for found in compare(network, out, crops, articulations):
        console.print(
            f"OpenVINO {found.precision}: largest difference {found.largest}, mean {found.mean:.4f} levels; "
            f"{found.milliseconds:.2f} ms a mouth on one thread"
        )


@app.command()
def compare(
    avatar: Annotated[str, typer.Option(help="Whose mouth is drawn.")] = "ava",
    times: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 10,
) -> None:
    """Time a mouth's networks on one thread, against Wav2Lip's architecture in torch."""
    from models.loading import Catalogue
    from models.making.mouth.comparison import THEIRS
    from models.making.mouth.comparison import compare as run

    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=times)
        spent = run(Catalogue().load(avatar), times, lambda done, total: progress.update(task, completed=done))
    for name, milliseconds in spent.items():
        faster = "" if name == THEIRS else f", {spent[THEIRS] / milliseconds:.1f} times as fast"
        console.print(f"{name}: {milliseconds:.2f} ms a mouth{faster}")


if __name__ == "__main__":
    app()
