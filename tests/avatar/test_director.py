from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avatar.bundle import AvatarBundle, Join
from avatar.cues import Cue, Direction, Enter
from avatar.director import Director, Manner, Shot
from avatar.errors import UnknownState
from avatar.loops import loop_frame
from tests.avatar.clips import bundle, clip

MANNER = Manner(hold=4, shortest_crossing=2, patience=10, eagerness=6, haste=2)


def run(director: Director, n: int, speaking: bool = False) -> list[Shot]:
    return [director.step(speaking) for _ in range(n)]


def test_a_loop_plays_there_and_back_without_end() -> None:
    director = Director(bundle(), MANNER)
    frames = [shot.frame for shot in run(director, 60)]
    assert frames[:20] == list(range(20))
    assert frames[20:39] == list(range(18, -1, -1))
    assert np.abs(np.diff(frames)).max() == 1


def test_a_loop_may_start_over_instead() -> None:
    once = clip("idle", 3, {}, loop=False)
    assert [loop_frame(once, step) for step in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_a_conversation_goes_from_idle_to_talk_and_back() -> None:
    director = Director(bundle(), MANNER)
    script = [(False, 5), (True, 10), (False, 3), (True, 5), (False, 10)]
    states = [shot.state for speaking, n in script for shot in run(director, n, speaking)]
    assert states == ["idle"] * 5 + ["talk"] * 21 + ["idle"] * 7


def test_the_state_after_speech_can_be_chosen() -> None:
    director = Director(bundle(), Manner(after_speech="listen", hold=2))
    run(director, 3, speaking=True)
    assert run(director, 2)[-1].state == "listen"


def test_a_state_command_holds_even_during_speech_and_after_it() -> None:
    director = Director(bundle(), MANNER)
    run(director, 3, speaking=True)
    assert director.step(True, Direction((Enter("listen"),))).state == "listen"
    assert run(director, 3, speaking=True)[-1].state == "listen"
    assert run(director, 30)[-1].state == "listen"


def test_clips_cross_in_a_few_frames_while_both_go_on() -> None:
    director = Director(bundle(), MANNER)
    run(director, 5)
    shots = run(director, 6, speaking=True)
    assert [shot.clip for shot in shots] == ["talk"] * 6
    assert [shot.frame for shot in shots] == [0, 1, 2, 3, 4, 5]
    leaving = [(shot.leaving.frame, round(shot.leaving.weight, 2)) for shot in shots if shot.leaving]
    assert leaving == [(5, 0.25), (6, 0.75)]


def costing(avatar: AvatarBundle, clip: str, other: str, cost: list[float], entry: int = 0) -> None:
    """Gives a join of the avatar these costs."""
    n = len(cost)
    join = Join(np.full(n, entry, np.int32), np.array(cost, np.float32))
    avatar.clips[clip].joins[other] = join  # type: ignore[index]


def test_the_body_waits_for_a_good_join_while_speech_has_begun() -> None:
    avatar = bundle()
    cost = [9.0] * avatar.clips["idle"].cycle
    cost[8] = 0.1
    costing(avatar, "idle", "talk", cost, entry=7)
    director = Director(avatar, MANNER)
    run(director, 3)
    shots = run(director, 9, speaking=True)
    assert [shot.clip for shot in shots] == ["idle"] * 6 + ["talk"] * 3
    assert {shot.state for shot in shots} == {"talk"}
    assert shots[6].frame == 7


@pytest.mark.parametrize("wait", [0, 1, 6])
def test_a_crossing_is_foreseen_once_as_soon_as_it_is_decided_on(wait: int) -> None:
    avatar = bundle()
    n = len(avatar.clips["idle"].joins["talk"].cost)
    costing(avatar, "idle", "talk", [4.0 if step == 5 + wait else 9.0 for step in range(n)])
    director = Director(avatar, MANNER)
    for _ in range(6):
        before = director.state
        director.step(False)
        assert not director.crosses_next(before)
    foreseen: list[Shot] = []
    seen: list[Shot] = []
    for _ in range(40):
        before = director.state
        shot = director.step(True)
        if foreseen and shot.leaving:
            seen.append(shot)
        decided = director.state
        if coming := director.crosses_next(before):
            assert not foreseen
            foreseen = list(coming)
        assert director.state is decided
    assert len(foreseen) == (4 if wait else 3)
    assert seen == foreseen


def test_a_loop_on_its_way_back_has_joins_of_its_own() -> None:
    avatar = bundle()
    cost = [9.0] * avatar.clips["idle"].cycle
    cost[25] = 0.1  # frame 13, seen again after the turn at frame 19
    costing(avatar, "idle", "talk", cost, entry=30)
    director = Director(avatar, MANNER)
    run(director, 20)
    shots = run(director, 9, speaking=True)
    assert [shot.clip for shot in shots] == ["idle"] * 6 + ["talk"] * 3
    assert shots[5].frame == 13, "step 25"
    assert [shot.frame for shot in shots[6:]] == [4, 3, 2], "step 30 of 34: talk is on its way back, too"


@pytest.mark.parametrize(("cost", "n_mixed"), [(0.0, 2), (1.9, 2), (4.2, 5), (99.0, 15)])
def test_the_further_apart_two_clips_are_the_longer_they_cross(cost: float, n_mixed: int) -> None:
    director = Director(bundle(cost), MANNER)
    run(director, 5)
    shots = run(director, 40, speaking=True)
    assert sum(shot.leaving is not None for shot in shots) == n_mixed
    weights = [0.0, *(shot.leaving.weight for shot in shots if shot.leaving), 1.0]
    assert np.diff(weights).min() > 0


NOD, SMILE = Cue((1, 1), "NOD"), Cue((2, 1), "SMILE")


def test_gestures_wait_less_for_a_good_join_than_states_and_hurried_ones_least() -> None:
    began = []
    for direction in (Direction((Enter("talk"),)), Direction(cue=NOD), Direction(cue=NOD, leave=True)):
        avatar = bundle()
        for other in ("talk", "nod"):
            costing(avatar, "idle", other, [50.0 - step for step in range(38)])
        director = Director(avatar, MANNER)
        run(director, 3)
        clips = [director.step(False, direction).clip for _ in range(31)]
        began.append(clips.index("nod" if direction.cue else "talk"))
    assert began == [10, 6, 2]


def test_a_gesture_is_played_to_its_end_and_the_next_follows_it_at_once() -> None:
    director = Director(bundle(), MANNER)
    run(director, 3)
    shots = [director.step(False, Direction(cue=NOD))]
    shots += [director.step(False, Direction(cue=SMILE)) for _ in range(8)]
    shots += run(director, 10)
    assert [shot.gesture for shot in shots] == ["NOD"] * 8 + ["SMILE"] * 6 + [None] * 5
    fading = [shot.leaving.frame for shot in shots[8:10] if shot.leaving is not None]
    assert [*(shot.frame for shot in shots[:8]), *fading] == list(range(10)), "a gesture is seen to its end"


def test_the_same_gesture_again_is_another() -> None:
    director = Director(bundle(), MANNER)
    director.step(False, Direction(cue=NOD))
    frames = [director.step(False, Direction(cue=Cue((1, 2), "NOD"))).frame for _ in range(10)]
    assert frames == [1, 2, 3, 4, 5, 6, 7, 0, 1, 2]
    assert director.state.cue == Cue((1, 2), "NOD")


def test_a_gesture_begins_when_the_body_has_come_half_of_the_way() -> None:
    director = Director(bundle(cost=6.0), MANNER)
    run(director, 3)
    director.step(False, Direction(cue=NOD))
    shots = [shot for shot in run(director, 20) if shot.gesture == "NOD"]
    assert [shot.frame for shot in shots[:6]] == [0, 0, 1, 2, 3, 4]
    assert all(shot.leaving for shot in shots[:5]), "and it is on its way since the step before"
    near = Director(bundle(cost=0.0), MANNER)
    near.step(False, Direction(cue=NOD))
    assert [shot.frame for shot in run(near, 3)] == [1, 2, 3]


def test_a_gesture_that_ends_far_from_the_loop_is_left_earlier() -> None:
    director = Director(bundle(cost=5.0), MANNER)
    run(director, 3)
    director.step(False, Direction(cue=NOD))
    shots = run(director, 40)
    assert not any(shot.leaving.frame > 9 for shot in shots if shot.leaving and shot.leaving.clip == "nod")
    assert sum(shot.leaving is not None and shot.leaving.clip == "nod" for shot in shots) == 5


def test_a_gesture_that_has_to_end_goes_over_into_the_loop_or_the_next() -> None:
    director = Director(bundle(), MANNER)
    director.step(False, Direction(cue=NOD))
    run(director, 4)
    assert director.step(False, Direction(leave=True)).gesture is None
    run(director, 5)
    director.step(False, Direction(cue=NOD))
    run(director, 4)
    assert director.step(False, Direction(cue=SMILE, leave=True)).gesture == "SMILE"


def begins(director: Director, due: int, speaking: bool = False) -> int:
    """The step in which a gesture begins that is due after so many."""
    for step in range(due + 20):
        if director.step(speaking, Direction(cue=replace(NOD, due=due - step))).gesture:
            return step
    raise AssertionError


@pytest.mark.parametrize("due", [0, 1, 3, 8, 40])
@pytest.mark.parametrize("cost", [0.0, 5.0, 30.0])
@pytest.mark.parametrize("speaking", [False, True])
def test_a_gesture_begins_on_the_frame_it_is_due_though_a_state_changes_beside_it(
    due: int, cost: float, speaking: bool
) -> None:
    director = Director(bundle(cost), Manner())
    run(director, 7)
    assert begins(director, due, speaking) == due


def test_for_a_better_join_it_may_be_one_frame_off() -> None:
    for best in (-1, 0, 1):
        avatar = bundle()
        cost = [9.0] * avatar.clips["idle"].cycle
        cost[12 + best] = 0.1
        costing(avatar, "idle", "nod", cost)
        director = Director(avatar, MANNER)
        run(director, 3)
        assert begins(director, 10) == 10 + best


def test_a_crossing_gives_way_to_a_gesture_that_is_due_and_goes_on_below_it() -> None:
    director = Director(bundle(cost=9.0), MANNER)
    run(director, 5)
    shots = run(director, 4, speaking=True)
    assert shots[-1].leaving
    assert begins(director, 2, speaking=True) == 2
    shots = run(director, 10, speaking=True)
    leaving = shots[0].leaving
    assert leaving
    assert (leaving.clip, leaving.leaving and leaving.leaving.clip) == ("talk", "idle")
    assert any(shot.leaving and not shot.leaving.leaving for shot in shots)


def test_a_gesture_that_is_due_waits_for_the_end_of_another() -> None:
    director = Director(bundle(), MANNER)
    director.step(False, Direction(cue=NOD))
    due = [director.step(False, Direction(cue=replace(SMILE, due=3 - step))).gesture for step in range(9)]
    assert due == ["NOD"] * 7 + ["SMILE"] * 2


def test_without_lips_the_talk_loop_comes_and_goes_sooner() -> None:
    avatar = bundle()
    costing(avatar, "idle", "talk", [50.0 - step for step in range(38)])
    usual, lipless = (Director(avatar, manner) for manner in (Manner(), Manner().without_lips()))
    came = [[shot.clip for shot in run(director, 60, speaking=True)].index("talk") for director in (usual, lipless)]
    assert came == [30, 8]


def test_a_step_depends_on_nothing_but_the_state() -> None:
    director = Director(bundle(), MANNER)
    run(director, 7)
    before = director.state
    script = [
        (True, Direction(cue=NOD)),
        (True, Direction()),
        (False, Direction((Enter("listen"),))),
        (False, Direction(leave=True)),
    ]
    once = [director.step(speaking, direction) for speaking, direction in script]
    director.state = before
    assert [director.step(speaking, direction) for speaking, direction in script] == once


def test_what_the_avatar_does_not_have_is_refused_with_what_it_has() -> None:
    director = Director(bundle(), MANNER)
    with pytest.raises(UnknownState, match="no state 'dance', only idle, listen, talk"):
        director.step(False, Direction((Enter("dance"),)))
    with pytest.raises(UnknownState, match="no gesture 'WAVE', only NOD, SMILE"):
        director.step(False, Direction(cue=Cue((1, 1), "WAVE")))
