"""The schedule of behaviours, on the timeline of a pure performance."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

from avatar.audio import AudioChunk
from avatar.cues import SPEECH, Action, Behaviour, Block, Composition, Edge, Enter, Happening, Moment, Pause, Perform
from avatar.director import Manner
from avatar.performance import Performance, Plan
from avatar.reception import Reception
from avatar.schedule import MOST_WAITING
from avatar.timeline import Timeline
from tests.avatar.clips import bundle

RATE = 48_000
TIMELINE = Timeline(Fraction(25), RATE)
MANNER = Manner(hold=4, shortest_crossing=2, longest_crossing=3, haste=1)
NOD, SMILE = 8, 6
"""Frames that the gestures of these tests are seen before something crosses in: two less than their clips have."""


def do(
    action: Action | str,
    start: Moment | float | None = None,
    end: Moment | float | None = None,
    id: str = "",
    repetition: int | None = None,
) -> Behaviour:
    start, end = (Moment(one) if isinstance(one, int | float) else one for one in (start, end))
    return Behaviour(Perform(action) if isinstance(action, str) else action, id, start, end, repetition)


def after(id: str, edge: Edge = "end", offset_s: float = 0) -> Moment:
    return Moment(offset_s, id, edge)


@dataclass
class Stage:
    """A performance without a mouth, and what it has shown."""

    cost: float = 0.0
    plans: list[Plan] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.performance = Performance(bundle(self.cost), TIMELINE, None, manner=MANNER)

    @property
    def now(self) -> int:
        return len(self.plans)

    def ask(self, *behaviours: Behaviour, composition: Composition = "MERGE") -> Reception:
        return self.performance.perform(Block(behaviours, composition, "e"), self.now)

    def say(self, seconds: float, complete: bool = True) -> None:
        voice = np.random.default_rng(5).normal(0, 6000, round(seconds * RATE)).clip(-32000, 32000)
        self.performance.hear(AudioChunk(voice.astype(np.int16), self.performance.turn))
        if complete:
            self.performance.end_speech()

    def run(self, n: int) -> Stage:
        self.plans += [self.performance.step(TIMELINE.tick(index)) for index in range(self.now, self.now + n)]
        return self

    def interrupt(self, n_not_shown: int) -> None:
        del self.plans[self.now - n_not_shown :]
        self.performance.interrupt(self.now)

    @property
    def happened(self) -> list[tuple[int, str, str]]:
        return [(plan.tick.index, one.what, one.name) for plan in self.plans for one in plan.happenings]

    @property
    def ignored(self) -> list[Happening]:
        return [one for plan in self.plans for one in plan.happenings if one.what == "ignored"]

    @property
    def states(self) -> list[str]:
        return [plan.shot.state for plan in self.plans]

    def starts(self, name: str = "NOD") -> list[int]:
        return [index for index, what, one in self.happened if (what, one) == ("started", name)]

    def ends(self, name: str = "NOD") -> list[int]:
        return [index for index, what, one in self.happened if (what, one) == ("ended", name)]


# When things begin


@pytest.mark.parametrize("seconds", [0, 0.04, 0.4, 1, 3.5, 60])
@pytest.mark.parametrize("cost", [0.0, 3.0])
def test_a_gesture_begins_on_the_frame_that_its_seconds_name(seconds: float, cost: float) -> None:
    stage = Stage(cost).run(17)
    stage.ask(do("nod", seconds))
    stage.run(round(seconds * 25) + 5)
    assert stage.starts() == [17 + round(seconds * 25)]


def test_a_gesture_without_a_start_comes_at_once_and_the_next_behind_it() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod"), do("smile"))
    stage.run(40)
    assert stage.happened == [
        (10, "started", "NOD"),
        (10 + NOD, "ended", "NOD"),
        (10 + NOD, "started", "SMILE"),
        (10 + NOD + SMILE, "ended", "SMILE"),
    ]


def test_several_actions_close_together_are_played_one_after_the_other_and_each_is_told() -> None:
    stage = Stage().run(10)
    for _ in range(3):
        stage.ask(do("nod"))
        stage.run(1)
    stage.run(60)
    assert stage.starts() == [10, 10 + NOD, 10 + 2 * NOD]
    assert stage.ends() == [10 + NOD, 10 + 2 * NOD, 10 + 3 * NOD]


def test_a_pause_holds_back_what_comes_after_it() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod"), do(Pause(0.4)), do("smile"))
    stage.run(60)
    assert stage.starts("SMILE") == [10 + NOD + 10]


def test_a_pause_that_nothing_comes_before_counts_from_the_arrival() -> None:
    stage = Stage().run(10)
    stage.ask(do(Pause(0.2)), do(Enter("listen")), do(Pause(0.4)), do(Enter("idle")))
    stage.run(30)
    assert stage.states == ["idle"] * 15 + ["listen"] * 10 + ["idle"] * 15


def test_a_state_is_entered_on_its_frame() -> None:
    stage = Stage().run(10)
    stage.ask(do(Enter("listen"), 0.4), do(Enter("talk"), after("x", "start", 0.2)), do(Pause(9), 0.6, id="x"))
    stage.run(30)
    assert stage.states == ["idle"] * 20 + ["listen"] * 10 + ["talk"] * 10


@pytest.mark.parametrize(("offset_s", "frame"), [(0, 0), (0.4, 10), (2, 50), (-0.2, 0)])
def test_after_the_end_of_another(offset_s: float, frame: int) -> None:
    stage = Stage().run(10)
    stage.ask(do("smile", after("g", "end", offset_s)), do("nod", 0.2, id="g"))
    stage.run(90)
    assert stage.starts() == [15]
    assert stage.starts("SMILE") == [15 + NOD + frame]


def test_after_the_start_of_another_that_is_played_it_has_to_wait_for_its_end() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod", 0.2, id="g"), do("smile", after("g", "start", 0.12)))
    stage.run(40)
    assert stage.starts("SMILE") == [15 + NOD]


def test_a_later_message_may_refer_to_an_earlier_one() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod", 1, id="g"))
    stage.run(5)
    assert stage.ask(do("smile", after("g", "end", 0.4))).refused == ()
    stage.run(80)
    stage.ask(do("nod", after("g", "end", 4)))
    stage.run(80)
    assert stage.starts() == [35, 35 + NOD + 100]
    assert stage.starts("SMILE") == [35 + NOD + 10]


# Speech


def spoken(stage: Stage) -> range:
    frames = [plan.tick.index for plan in stage.plans if plan.utterance]
    return range(frames[0], frames[-1] + 1)


@pytest.mark.parametrize(("edge", "offset_s"), [("start", 0), ("start", 0.4), ("end", 0), ("end", 0.4), ("end", -0.4)])
def test_what_refers_to_speech_begins_in_that_frame_of_the_next_utterance(edge: Edge, offset_s: float) -> None:
    stage = Stage().run(10)
    stage.ask(do("nod", after(SPEECH, edge, offset_s)))
    stage.run(30)
    assert stage.starts() == []
    stage.say(2)
    stage.run(90)
    said = spoken(stage)
    assert len(said) == 50
    assert stage.starts() == [(said.start if edge == "start" else said.stop) + round(offset_s * 25)]


def test_while_somebody_speaks_the_utterance_that_is_heard_is_meant() -> None:
    stage = Stage().run(10)
    stage.say(2)
    stage.run(20)
    stage.ask(do("nod", after(SPEECH, "start", 1.2)), do("smile", after(SPEECH)))
    stage.run(80)
    stage.say(2)
    stage.run(80)
    frames = [plan.tick.index for plan in stage.plans if plan.utterance and plan.utterance.number == 1]
    assert stage.starts() == [frames[0] + 30]
    assert stage.starts("SMILE") == [frames[-1] + 1]


def test_the_end_of_speech_that_is_not_complete_is_not_known_before_it_comes() -> None:
    stage = Stage().run(10)
    stage.say(2, complete=False)
    stage.ask(do("nod", after(SPEECH, "end", -0.4)))
    stage.run(100)
    assert stage.starts() == [spoken(stage).stop - 1], "as soon as the last sound was heard"


def test_a_gesture_may_last_as_long_as_the_speech() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod", after(SPEECH, "start"), after(SPEECH)))
    stage.say(2)
    stage.run(90)
    said = spoken(stage)
    assert stage.starts() == [said.start]
    assert said.stop - NOD // 2 <= stage.ends()[0] <= said.stop + 1
    nodding = {plan.tick.index for plan in stage.plans if plan.shot.gesture}
    assert nodding == set(range(stage.starts()[0], stage.ends()[0]))


def test_a_gesture_during_speech_does_not_change_the_speech() -> None:
    quiet, lively = Stage(), Stage()
    for stage in (quiet, lively):
        stage.run(10).say(2)
    lively.ask(do("nod", 0.4), do("smile"))
    for stage in (quiet, lively):
        stage.run(80)
    assert lively.starts()
    for one, other in zip(quiet.plans, lively.plans, strict=True):
        assert (one.utterance, one.begins, one.ends) == (other.utterance, other.begins, other.ends)
        assert np.array_equal(one.sound, other.sound)


# How long things last


def test_a_gesture_is_repeated_as_often_as_asked_for_and_told_once() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod", repetition=3, id="n"), do("smile"))
    stage.run(60)
    assert stage.starts() == [10]
    assert stage.ends() == [10 + 3 * NOD] == stage.starts("SMILE")


@pytest.mark.parametrize(("end", "lasts"), [(0.2, 5), (0.32, NOD), (0.48, NOD), (0.64, 2 * NOD), (0.72, 2 * NOD)])
def test_a_gesture_lasts_about_until_its_end(end: float, lasts: int) -> None:
    stage = Stage().run(10)
    stage.ask(do("nod", 0, end))
    stage.run(40)
    assert stage.ends() == [10 + lasts]


def test_a_gesture_whose_end_comes_before_it_could_begin_is_ignored() -> None:
    stage = Stage().run(10)
    stage.ask(do("smile"), do("nod", end=0.2))
    stage.run(40)
    assert stage.starts() == []
    (ignored,) = stage.ignored
    assert (ignored.name, ignored.event_id) == ("NOD", "e")
    assert "its end came" in ignored.reason


# How blocks get on with each other


def test_append_waits_until_everything_before_is_over_and_its_seconds_count_from_there() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod"), do(Pause(1), 0))
    stage.ask(do("smile", 0.4), composition="APPEND")
    stage.run(90)
    assert stage.starts("SMILE") == [10 + 25 + 10]


def test_append_follows_the_last_gesture_without_a_gap() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod"))
    stage.ask(do("smile"), composition="APPEND")
    stage.run(60)
    assert stage.starts("SMILE") == stage.ends() == [10 + NOD]


def test_replace_ends_what_plays_and_drops_what_waits() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod"), do("nod"), do(Enter("listen"), 1))
    stage.run(4)
    stage.ask(do("smile"), composition="REPLACE")
    stage.run(60)
    assert stage.starts() == [10]
    assert stage.ends() == [14] == stage.starts("SMILE")
    assert stage.ends("SMILE") == [14 + SMILE]
    assert [one.reason for one in stage.ignored] == ["a later message replaced it"]
    assert set(stage.states) == {"idle"}


# Interruption


def test_an_interruption_drops_what_refers_to_speech_ends_what_plays_and_leaves_the_rest() -> None:
    stage = Stage().run(10)
    stage.say(4)
    stage.run(5)
    stage.ask(
        do("nod", 0, id="now"),
        do("nod", after(SPEECH), id="bound"),
        do("smile", after("bound"), id="bound to bound"),
        do("smile", 2, id="free"),
    )
    stage.run(6)
    stage.interrupt(2)
    stage.run(90)
    assert stage.starts() == [15]
    assert 19 <= stage.ends()[0] <= 19 + MANNER.haste
    assert [one.id for one in stage.ignored] == ["bound", "bound to bound"]
    assert {one.reason for one in stage.ignored} == {"speech was interrupted"}
    assert stage.starts("SMILE") == [15 + 50]


def test_an_interruption_in_silence_leaves_gestures_alone() -> None:
    stage = Stage().run(10)
    stage.ask(do("nod"), do("smile", after(SPEECH, "start")))
    stage.run(6)
    stage.interrupt(2)
    stage.run(40)
    stage.say(1)
    stage.run(50)
    assert stage.ends() == [10 + NOD]
    assert stage.starts("SMILE") == [spoken(stage).start]


def test_a_gesture_whose_frames_were_taken_back_begins_again() -> None:
    stage = Stage().run(10)
    stage.say(4)
    stage.run(10)
    stage.ask(do("nod", id="g"))
    stage.run(2)
    assert stage.starts() == [20]
    stage.interrupt(2)
    assert stage.starts() == []
    stage.run(40)
    assert stage.starts() == [20]
    assert stage.ends() == [20 + NOD]


def test_what_comes_after_an_interruption_refers_to_the_next_speech() -> None:
    stage = Stage().run(10)
    stage.say(4)
    stage.run(10)
    stage.interrupt(2)
    stage.ask(do("nod", after(SPEECH, "start", 0.4)))
    stage.run(20)
    stage.say(1)
    stage.run(60)
    begins = [plan.tick.index for plan in stage.plans if plan.begins]
    assert stage.starts() == [begins[-1] + 10]


# What is refused


def test_unknown_references_and_circles_are_refused_and_so_is_what_hangs_on_them() -> None:
    stage = Stage()
    refused = stage.ask(
        do("nod", after("nobody"), id="a"),
        do("nod", after("a"), id="b"),
        do("nod", after("d"), id="c"),
        do("nod", after("c", "start"), id="d"),
        do("nod", 0, after("e", "end"), id="e"),
        do("nod", 0, after("f", "start", 1), id="f"),
        do("smile", id="g"),
    ).refused
    assert [(one.behaviour.id, one.attribute) for one in refused] == [
        ("a", "start"),
        ("b", "start"),
        ("c", "start"),
        ("d", "start"),
        ("e", "end"),
    ]
    assert refused[0].reason == "nothing is called 'nobody'"
    stage.run(60)
    assert len(stage.starts()) == len(stage.starts("SMILE")) == 1


def test_a_pause_in_a_circle_with_a_gesture_behind_it_is_refused() -> None:
    refused = Stage().ask(do("nod", after("b"), id="a"), do(Pause(1)), do("smile", id="b")).refused
    assert len(refused) == 3


def test_a_gesture_that_the_avatar_does_not_have_takes_no_time() -> None:
    stage = Stage().run(10)
    reception = stage.ask(do("wave", 0.4, id="w"), do("nod", after("w")))
    assert [(one.name, one.id) for one in reception.ignored] == [("wave", "w")]
    stage.run(40)
    assert stage.starts() == [20]


@pytest.mark.parametrize("name", ["NOD", "nod", "Head-Nod", "head nod", "YES"])
def test_names_do_not_mind_their_case_and_have_aliases(name: str) -> None:
    stage = Stage()
    stage.ask(do(name))
    assert stage.run(30).starts() == [0]


def test_the_newest_are_refused_when_too_many_wait() -> None:
    stage = Stage()
    assert stage.ask(*[do("nod", 3000)] * (MOST_WAITING - 1)).ignored == ()
    ignored = stage.ask(do("nod", 1), do("smile", 0, id="late")).ignored
    assert [one.id for one in ignored] == ["late"]
    stage.run(30)
    assert len(stage.starts()) == 1
    assert stage.ask(*[do("smile")] * MOST_WAITING, composition="REPLACE").ignored == ()


def test_a_state_that_is_commanded_comes_though_many_wait() -> None:
    stage = Stage()
    stage.ask(*[do("nod", 3000)] * MOST_WAITING)
    stage.performance.enter("listen")
    assert stage.run(1).states == ["listen"]


def test_what_is_over_is_forgotten() -> None:
    stage = Stage()
    for _ in range(200):
        stage.ask(do("nod", id="n"), do(Enter("idle")), do(Pause(0.04)))
        stage.run(NOD)
    score = stage.run(100).performance.score
    assert len(score.parts) < 20
    assert len(score.marks) == 3 * len(score.parts)
    for _ in range(200):
        stage.ask(do(Enter("idle")))
        stage.run(1)
    assert len(stage.performance.score.parts) < 20


@pytest.mark.parametrize("seed", range(20))
def test_frames_taken_back_anywhere_are_planned_the_same_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    straight, jumpy = Stage(), Stage()
    asked = 0
    for index in range(200):
        if rng.random() < 0.1:
            asked = index
            start = [None, 0.2, 1.0][int(rng.integers(3))]
            name, state = str(rng.choice(["nod", "smile"])), str(rng.choice(["idle", "listen"]))
            how: Composition = ("MERGE", "APPEND", "REPLACE")[int(rng.integers(3))]
            for stage in (straight, jumpy):
                stage.ask(do(name, start), do(Pause(0.2)), do(Enter(state)), composition=how)
        for stage in (straight, jumpy):
            stage.run(1)
        if rng.random() < 0.1:
            n = min(index + 1 - asked, int(rng.integers(1, 10)))
            jumpy.interrupt(n)  # in silence: nothing is dropped
            jumpy.run(n)
    assert [plan.shot for plan in straight.plans] == [plan.shot for plan in jumpy.plans]
    assert straight.happened == jumpy.happened


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_asked_for_begins_and_ends_once_or_is_ignored(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stage = Stage()
    asked: set[str] = set()
    refused: set[str] = set()

    def moment() -> Moment | None:
        offset_s = float(rng.choice([0, 0, 0.2, -0.2, 1]))
        of = str(rng.choice(["", "", SPEECH, *map(str, range(len(asked) + 2))]))
        at = Moment(offset_s if of else abs(offset_s), of, "start" if rng.random() < 0.5 else "end")
        return at if rng.random() < 0.6 else None

    for _ in range(250):
        chance = rng.random()
        if chance < 0.08:
            block = []
            for _ in range(int(rng.integers(1, 5))):
                actions: list[Action] = [Perform("nod"), Perform("smile"), Pause(0.3), Enter("listen")]
                action = actions[int(rng.integers(4))]
                block.append(do(action, moment(), moment(), id=f"{len(asked)}"))
                asked.add(block[-1].id)
            how: Composition = ("MERGE", "MERGE", "APPEND", "REPLACE")[int(rng.integers(4))]
            reception = stage.ask(*block, composition=how)
            refused |= {one.behaviour.id for one in reception.refused} | {one.id for one in reception.ignored}
        elif chance < 0.1:
            stage.say(float(rng.uniform(0.2, 2)), complete=bool(rng.random() < 0.5))
        elif chance < 0.12 and stage.now > 5:
            stage.interrupt(int(rng.integers(1, 5)))
        stage.run(1)
    stage.ask(do("smile", id="last"), composition="REPLACE")
    stage.run(60)
    told = [one for plan in stage.plans for one in plan.happenings]
    started, ended, ignored = ([one.id for one in told if one.what == what] for what in ("started", "ended", "ignored"))
    assert started == ended, "one at a time, each to its end"
    assert len(set(started)) == len(started)
    assert not set(started) & (set(ignored) | refused)
    assert set(started) | set(ignored) | refused <= asked | {"last"}
    assert started[-1] == "last"
    assert not list(stage.performance.score.unfinished())
