from __future__ import annotations

import numpy as np
import pytest

from avatar.bundle import Join
from avatar.cues import Enter, Perform, Wish
from avatar.director import Director, Manner, Shot
from avatar.errors import UnknownState
from avatar.loops import loop_frame
from tests.avatar.clips import LENGTHS, bundle, clip

MANNER = Manner(hold=4, crossing=2, patience=10)


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
    assert director.step(True, [Enter("listen")]).state == "listen"
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


def test_the_body_waits_for_a_good_join_while_speech_has_begun() -> None:
    avatar = bundle()
    cost = np.full(LENGTHS["idle"], 9.0, np.float32)
    cost[8] = 0.1
    avatar.clips["idle"].joins["talk"] = Join(np.full(LENGTHS["idle"], 7, np.int32), cost)  # type: ignore[index]
    director = Director(avatar, MANNER)
    run(director, 3)
    shots = run(director, 9, speaking=True)
    assert [shot.clip for shot in shots] == ["idle"] * 6 + ["talk"] * 3
    assert {shot.state for shot in shots} == {"talk"}
    assert shots[6].frame == 7


def test_gestures_wait_for_each_other_and_the_loop_comes_back() -> None:
    director = Director(bundle(), MANNER)
    run(director, 3)
    first = director.step(False, [Perform("NOD"), Perform("SMILE", "APPEND")])
    names = [first.gesture, *(shot.gesture for shot in run(director, 30))]
    assert names == ["NOD"] * 10 + ["SMILE"] * 8 + [None] * 13


def test_replace_sends_a_playing_gesture_and_the_queue_away() -> None:
    director = Director(bundle(), MANNER)
    director.step(False, [Perform("NOD"), Perform("NOD")])
    run(director, 4)
    shot = director.step(False, [Perform("SMILE", "REPLACE")])
    assert shot.gesture == "SMILE"
    assert {shot.gesture for shot in run(director, 30)[8:]} == {None}


def test_a_step_depends_on_nothing_but_the_state() -> None:
    director = Director(bundle(), MANNER)
    run(director, 7)
    before = director.state
    script: list[tuple[bool, list[Wish]]] = [
        (True, [Perform("NOD")]),
        (True, []),
        (False, [Enter("listen")]),
        (False, []),
    ]
    once = [director.step(speaking, wishes) for speaking, wishes in script]
    director.state = before
    assert [director.step(speaking, wishes) for speaking, wishes in script] == once


def test_what_the_avatar_does_not_have_is_refused_with_what_it_has() -> None:
    director = Director(bundle(), MANNER)
    with pytest.raises(UnknownState, match="no state 'dance', only idle, listen, talk"):
        director.step(False, [Enter("dance")])
    with pytest.raises(UnknownState, match="no gesture 'WAVE', only NOD, SMILE"):
        director.step(False, [Perform("WAVE")])
