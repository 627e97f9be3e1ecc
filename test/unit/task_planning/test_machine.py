"""One execute_task goal from its plan to its outcome, without ROS."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_ros.task_planning.machine import (
    CancelRun,
    Finish,
    SendRun,
    Subtask,
    TaskLimits,
    TaskMachine,
)

S = 1_000_000_000
PLAN = (Subtask(text="first", prompt="do a"), Subtask(text="second", prompt="do b"))
LIMITS = TaskLimits(attempts=2, attempt_ns=10 * S, policy_silence_ns=5 * S)


def machine(subtasks: tuple[Subtask, ...] = PLAN, **options: object) -> TaskMachine:
    settings = {
        "judged": True,
        "limits": LIMITS,
        "time_limit_ns": 0,
        "confirm": False,
        "now_ns": 0,
        "steady_ns": 0,
    }
    return TaskMachine(subtasks, **{**settings, **options})  # type: ignore[arg-type]


def finish(task: TaskMachine) -> Finish:
    (action,) = task.actions()
    assert isinstance(action, Finish)
    assert task.finished
    return action


def sent(task: TaskMachine) -> SendRun:
    (action,) = task.actions()
    assert isinstance(action, SendRun)
    return action


def test_each_subtask_takes_over_from_the_one_before_and_the_last_run_is_cancelled() -> None:
    task = machine()
    first = sent(task)
    assert (first.subtask.prompt, first.continue_motion) == ("do a", False)
    task.success(3 * S, 0, "seen")
    second = sent(task)
    assert (second.subtask.prompt, second.continue_motion) == ("do b", True)
    task.run_ended(first.number, "CANCELED", "taken over", 3 * S, 0)
    assert task.actions() == []
    task.success(5 * S, 0, "seen too")
    assert task.actions() == [CancelRun(number=second.number)]
    assert not task.finished
    task.run_ended(second.number, "CANCELED", "", 6 * S, 0)
    end = finish(task)
    assert end.outcome == "SUCCEEDED"
    assert [(r.outcome, r.attempts, r.duration_ns) for r in end.subtasks] == [
        ("SUCCEEDED", 1, 3 * S),
        ("SUCCEEDED", 1, 2 * S),
    ]


def test_a_subtask_out_of_time_is_tried_again_and_then_given_up_with_what_was_missing() -> None:
    task = machine()
    run = sent(task)
    task.note("the red cube is not in the bin")
    task.run_ended(run.number, "TIMED_OUT", "", 10 * S, 0)
    run = sent(task)
    assert not run.continue_motion
    assert task.progress(10 * S).phase == "REPLANNING"
    task.alive(0)
    task.note("the red cube is not in the bin")
    task.run_ended(run.number, "TIMED_OUT", "", 20 * S, 0)
    end = finish(task)
    assert end.outcome == "FAILED"
    assert "2 attempts" in end.message
    assert "not in the bin" in end.message
    assert [r.outcome for r in end.subtasks] == ["FAILED", "UNKNOWN"]
    assert [r.attempts for r in end.subtasks] == [2, 0]


def test_a_final_failure_is_not_tried_again() -> None:
    task = machine()
    run = sent(task)
    task.failure(S, "the cube fell off the table")
    assert task.actions() == [CancelRun(number=run.number)]
    task.run_ended(run.number, "CANCELED", "", S, 0)
    assert "fell off" in finish(task).message


@pytest.mark.parametrize(("outcome", "expected"), [("STOPPED", "STOPPED"), ("REFUSED", "REFUSED")])
def test_a_stopped_or_refused_run_ends_the_task_with_its_reason(
    outcome: str, expected: str
) -> None:
    task = machine()
    run = sent(task)
    task.run_ended(run.number, outcome, "because", S, 0)  # type: ignore[arg-type]
    end = finish(task)
    assert (end.outcome, end.message) == (expected, "because")


def test_cancel_waits_for_the_run_to_end() -> None:
    task = machine()
    run = sent(task)
    task.cancel(S)
    assert task.actions() == [CancelRun(number=run.number)]
    assert task.progress(S).phase == "STOPPING"
    task.success(S, 0, "too late")
    assert task.actions() == []
    task.run_ended(run.number, "CANCELED", "", 2 * S, 0)
    assert finish(task).outcome == "CANCELED"


def test_a_silent_policy_ends_the_task_though_ros_time_stands_still() -> None:
    task = machine()
    sent(task)
    task.alive(S)
    task.tick(0, 6 * S)
    assert task.actions() == []
    task.tick(0, 6 * S + 1)
    end = finish(task)
    assert end.outcome == "STOPPED"
    assert "policy" in end.message


def test_the_time_limit_of_the_task_cancels_the_run() -> None:
    task = machine(time_limit_ns=4 * S)
    run = sent(task)
    task.tick(4 * S, 0)
    assert task.actions() == [CancelRun(number=run.number)]
    task.run_ended(run.number, "CANCELED", "", 4 * S, 0)
    assert finish(task).outcome == "TIMED_OUT"


def test_nothing_moves_before_the_operator_confirms() -> None:
    task = machine(confirm=True)
    assert task.actions() == []
    assert task.progress(0).phase == "CONFIRMING"
    task.confirm(S, 0)
    sent(task)
    task.confirm(S, 0)
    assert task.actions() == []


def test_cancel_while_waiting_for_the_operator_ends_at_once() -> None:
    task = machine(confirm=True)
    task.cancel(S)
    assert finish(task).outcome == "CANCELED"


def test_without_a_judge_every_subtask_runs_for_its_time_and_nobody_claims_success() -> None:
    task = machine(judged=False)
    task.run_ended(sent(task).number, "TIMED_OUT", "", 10 * S, 0)
    task.run_ended(sent(task).number, "TIMED_OUT", "", 20 * S, 0)
    end = finish(task)
    assert end.outcome == "UNKNOWN"
    assert "nobody judged" in end.message


def test_a_run_that_somebody_else_took_over_fails_the_task() -> None:
    task = machine()
    task.run_ended(sent(task).number, "CANCELED", 'taken over by "x"', S, 0)
    assert "somebody else" in finish(task).message


OUTCOMES = ["SUCCEEDED", "FAILED", "REFUSED", "TIMED_OUT", "STOPPED", "CANCELED"]
EVENTS = st.one_of(
    st.tuples(st.just("success")),
    st.tuples(st.just("failure")),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("tick"), st.integers(0, 20)),
    st.tuples(st.just("end"), st.sampled_from(OUTCOMES), st.integers(0, 3)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=30), st.booleans(), st.booleans())
def test_whatever_happens_there_is_one_end_and_at_most_one_run_at_a_time(
    events: list[tuple[object, ...]], judged: bool, confirm: bool
) -> None:
    task = machine(judged=judged, confirm=confirm)
    now = 0
    finishes = 0
    last = 0
    for event in [*events, ("tick", 1000)]:
        if event[0] == "success":
            task.success(now, now, "seen")
        elif event[0] == "failure":
            task.failure(now, "gone")
        elif event[0] == "cancel":
            task.cancel(now)
        elif event[0] == "tick":
            now += int(event[1]) * S  # type: ignore[call-overload]
            task.tick(now, now)
        else:
            number = max(0, last - int(event[2]))  # type: ignore[call-overload]
            task.run_ended(number, event[1], "why", now, now)  # type: ignore[arg-type]
        for action in task.actions():
            assert not finishes, "nothing follows the end"
            if isinstance(action, SendRun):
                assert action.number == last + 1
                last = action.number
            elif isinstance(action, CancelRun):
                assert action.number == last
            else:
                finishes += 1
                assert len(action.subtasks) == len(PLAN)
    assert finishes <= 1
    assert task.finished == bool(finishes)
