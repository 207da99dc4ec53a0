"""A conversation that asks everything of a body: every state and gesture, in speech and silence, and interruptions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from avatar.audio import AudioChunk
from avatar.bundle import STATES, AvatarBundle
from avatar.cues import Action, Behaviour, Block, Composition, Enter, Perform
from avatar.director import Shot
from avatar.geometry import Size
from avatar.lipsync import LipSyncSpec
from avatar.performance import Performance
from avatar.timeline import Timeline

SAMPLE_RATE = 48_000
LEAD = 2
"""Frames that are planned but not shown yet when an interruption comes."""

COMPOSITIONS: tuple[Composition, ...] = ("MERGE", "APPEND", "REPLACE")


@dataclass(frozen=True, slots=True)
class Asked:
    """A wish, and the frame before which it was made; ``free``: nothing else was going on or waiting."""

    index: int
    block: Block
    free: bool

    @property
    def wish(self) -> Action:
        return self.block.behaviours[0].action


@dataclass(frozen=True, slots=True)
class Session:
    """What was shown, frame by frame, and what was asked for."""

    shots: list[Shot]
    asked: list[Asked]
    n_interruptions: int


def scripted_session(bundle: AvatarBundle, seconds: float, seed: int = 1) -> Session:
    """Performs a conversation; the same seed makes the same one.

    Every 0.4 to 3 s something happens: speech of 1 to 6 s, the next wish of a deck that holds every state twice and
    every gesture with every composition, or an interruption of the speech. An empty deck is shuffled anew.
    """
    rng = np.random.default_rng(seed)
    timeline = Timeline(bundle.fps, SAMPLE_RATE)
    spec = LipSyncSpec(window=20, look_ahead_ms=80, patch=Size(bundle.mask.shape[1], bundle.mask.shape[0]))
    performance = Performance(bundle, timeline, spec)
    n_frames = round(seconds * bundle.fps)
    shots: list[Shot] = []
    asked: list[Asked] = []
    deck: list[Block] = []
    n_interruptions = next_event = 0
    while len(shots) < n_frames:
        if len(shots) >= next_event:
            next_event = len(shots) + round(float(rng.uniform(0.4, 3)) * bundle.fps)
            chance = rng.random()
            if chance < 0.25:
                voice = rng.normal(0, 4000, round(rng.uniform(1, 6) * SAMPLE_RATE)).clip(-30000, 30000)
                performance.hear(AudioChunk(voice.astype(np.int16), performance.turn))
                performance.end_speech()
            elif chance < 0.35 and performance.n_waiting and len(shots) > LEAD:
                del shots[-LEAD:]
                performance.interrupt(len(shots))
                n_interruptions += 1
            else:
                deck = deck or _deck(bundle, rng)
                block = deck.pop()
                asked.append(Asked(len(shots), block, _free(shots)))
                performance.perform(block, len(shots))
        shots.append(performance.step(timeline.tick(len(shots))).shot)
    return Session(shots, asked, n_interruptions)


def _deck(bundle: AvatarBundle, rng: np.random.Generator) -> list[Block]:
    blocks = [Block((Behaviour(Enter(state)),)) for state in (*STATES, *STATES)]
    blocks += [Block((Behaviour(Perform(name)),), how) for name, how in product(bundle.gestures, COMPOSITIONS)]
    return [blocks[place] for place in rng.permutation(len(blocks))]


def _free(shots: list[Shot]) -> bool:
    return not shots or (shots[-1].gesture is None and shots[-1].leaving is None)
