"""Letting every voice speak into the corpus, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.progress import Progress

from models.making.speech.corpus import path_of, record
from models.making.speech.voices import Voice


def synthesise(voices: tuple[Voice, ...], folder: Path, n_processes: int) -> dict[str, dict[str, int]]:
    """Record the voices that ``folder`` lacks; returns, by voice, the phones that no class claims (not recorded).

    A process speaks one voice and ends: eSpeak's library keeps state from voice to voice.
    """
    missing = [voice for voice in voices if not path_of(voice.name, folder).exists()]
    unclaimed: dict[str, dict[str, int]] = {}
    context = multiprocessing.get_context("spawn")
    with (
        Progress() as progress,
        ProcessPoolExecutor(n_processes, mp_context=context, max_tasks_per_child=1) as pool,
    ):
        bar = progress.add_task("voices", total=len(missing))
        futures = {pool.submit(record, voice, folder): voice for voice in missing}
        for future in as_completed(futures):
            name = futures[future].name
            try:
                seconds, unknown = future.result()
            except (RuntimeError, ValueError, OSError, ImportError) as error:
                progress.console.log(f"[red]{name}: {error}")
            else:
                progress.console.log(f"{name}: {seconds / 60:.1f} min {unknown or ''}")
                if unknown:
                    unclaimed[name] = unknown
            progress.advance(bar)
    return unclaimed
