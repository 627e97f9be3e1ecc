"""Which run_policy goal runs, when it starts, and with what words it ends."""

from __future__ import annotations

import pytest

from vla_ros.policy.desk import Patience, RunDesk
from vla_ros.policy.protocol import PolicySpec
from vla_ros.policy.runner import PolicyRunner
from vla_ros.policy.runs import BridgeView, RunEnded, RunGoal, RunStarted
from vla_ros.spaces.time_contract import TimeContract
from vla_ros.spaces.vectors import VectorSpace

S = 1_000_000_000
READY = BridgeView(epoch=7, enabled=True, stopped=False)
SPACE = VectorSpace.of(("arm", "position", ("a", "b")))


def runner() -> PolicyRunner:
    contract = TimeContract(
        image_latency_ns={},
        state_at="capture",
        action_offset_ns=0,
        dt_ns=S // 20,
        interpolation="linear",
    )
    spec = PolicySpec(
        name="fake",
        model_id="x",
        camera_keys=(),
        image_size=(8, 8),
        state_names=("a", "b"),
        action_names=("a", "b"),
        horizon=4,
        contract=contract,
    )
    return PolicyRunner(spec, SPACE)


def goal(number: int, prompt: str = "wave", **options: object) -> RunGoal:
    return RunGoal(run_id=bytes([number] * 16), prompt=prompt, **options)  # type: ignore[arg-type]


@pytest.fixture
def desk() -> RunDesk:
    """Loaded, observing, and in touch with a bridge that is ready."""
    desk = RunDesk()
    desk.observed(0)
    desk.loaded(runner(), 0, 0)
    desk.bridge(READY, 0, 0)
    return desk


def only_end(desk: RunDesk) -> RunEnded:
    (event,) = desk.events()
    assert isinstance(event, RunEnded)
    return event


def test_a_goal_starts_in_the_epoch_of_the_bridge(desk: RunDesk) -> None:
    desk.request(goal(1), 5 * S, 0)
    (event,) = desk.events()
    assert event == RunStarted(goal=goal(1), epoch=7, continues=False)
    assert desk.running == goal(1)


def test_a_second_goal_is_refused_and_the_first_goes_on(desk: RunDesk) -> None:
    desk.request(goal(1), 0, 0)
    desk.events()
    desk.request(goal(2, "jump"), S, S)
    end = only_end(desk)
    assert (end.goal, end.outcome, end.epoch) == (goal(2, "jump"), "REFUSED", None)
    assert '"wave"' in end.message
    assert "continue_motion" in end.message
    assert desk.running == goal(1)


def test_a_goal_that_continues_the_motion_takes_over_in_the_same_epoch(desk: RunDesk) -> None:
    desk.request(goal(1), 0, 0)
    desk.events()
    second = goal(2, "jump", continue_motion=True)
    desk.request(second, S, S)
    end, start = desk.events()
    assert isinstance(end, RunEnded)
    assert (end.outcome, end.taken_over, end.duration_ns) == ("CANCELED", True, S)
    assert start == RunStarted(goal=second, epoch=7, continues=True)


def test_continue_motion_without_a_run_simply_starts(desk: RunDesk) -> None:
    desk.request(goal(1, continue_motion=True), 0, 0)
    (event,) = desk.events()
    assert isinstance(event, RunStarted)
    assert not event.continues


def test_cancel_ends_the_goal_and_only_that_goal(desk: RunDesk) -> None:
    desk.request(goal(1), 0, 0)
    desk.events()
    desk.cancel(goal(2).run_id, S)
    assert desk.events() == []
    desk.cancel(goal(1).run_id, S)
    assert only_end(desk).outcome == "CANCELED"
    assert desk.running is None


def test_another_epoch_ends_the_run_with_the_words_of_the_bridge(desk: RunDesk) -> None:
    desk.request(goal(1), 0, 0)
    desk.events()
    desk.bridge(BridgeView(epoch=8, enabled=True, stopped=True, stop_text="joint3 stuck"), S, S)
    end = only_end(desk)
    assert end.outcome == "STOPPED"
    assert "joint3 stuck" in end.message


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (BridgeView(epoch=1, enabled=False, stopped=False), "not enabled"),
        (BridgeView(epoch=1, enabled=True, stopped=True, stop_text="call resume"), "call resume"),
    ],
)
def test_a_bridge_that_is_not_ready_refuses_the_goal(
    desk: RunDesk, view: BridgeView, words: str
) -> None:
    desk.bridge(view, 0, 0)
    desk.request(goal(1), 0, 0)
    end = only_end(desk)
    assert end.outcome == "REFUSED"
    assert words in end.message


def test_a_goal_waits_for_what_heals_by_itself_and_is_refused_where_it_does_not(
    desk: RunDesk,
) -> None:
    blind = BridgeView(epoch=7, enabled=True, stopped=False, hindrance="no joint state for 0.3 s")
    desk.bridge(blind, 0, 0)
    desk.request(goal(1), 0, 0)
    assert desk.events() == []
    desk.bridge(READY, S, S)
    assert isinstance(desk.events()[0], RunStarted)
    desk.cancel(goal(1).run_id, S)
    desk.events()
    for second in range(32):
        desk.bridge(blind, second * S, second * S)
        desk.request(goal(2), 0, 0) if second == 0 else None
    end = only_end(desk)
    assert end.outcome == "REFUSED"
    assert "not ready: no joint state" in end.message


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (goal(1, "  "), "empty"),
        (goal(1, speed=0.05), "speed"),
        (goal(1, speed=2.1), "speed"),
        (goal(1, speed=float("nan")), "speed"),
        (goal(1, time_limit_ns=-1), "time_limit"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused(desk: RunDesk, bad: RunGoal, words: str) -> None:
    desk.request(bad, 0, 0)
    end = only_end(desk)
    assert end.outcome == "REFUSED"
    assert words in end.message


def test_the_time_limit_counts_in_ros_time(desk: RunDesk) -> None:
    desk.request(goal(1, time_limit_ns=3 * S), 10 * S, 0)
    desk.events()
    desk.tick(13 * S - 1, 0)
    assert desk.events() == []
    desk.tick(13 * S, 0)
    assert only_end(desk).outcome == "TIMED_OUT"


def test_a_silent_bridge_ends_the_run_even_when_ros_time_stands_still(desk: RunDesk) -> None:
    desk.request(goal(1), 0, 0)
    desk.events()
    desk.tick(0, 2 * S)
    assert desk.events() == []
    desk.tick(0, 2 * S + 1)
    end = only_end(desk)
    assert (end.outcome, "control_bridge" in end.message) == ("STOPPED", True)


def test_a_run_without_observations_fails(desk: RunDesk) -> None:
    desk.request(goal(1), 0, 0)
    desk.events()
    for second in range(1, 9):
        desk.bridge(READY, 0, second * S)
        if second <= 2:
            desk.observed(second * S)
        desk.tick(0, second * S)
        assert (desk.running is None) == (second == 8)
    end = only_end(desk)
    assert end.outcome == "FAILED"
    assert "observation" in end.message


def test_a_goal_waits_for_the_policy_to_load_and_for_the_bridge() -> None:
    desk = RunDesk()
    desk.request(goal(1), 0, 0)
    desk.tick(0, 60 * S)
    assert desk.events() == []
    desk.loaded(runner(), 0, 61 * S)
    assert desk.events() == []
    desk.bridge(READY, 0, 62 * S)
    assert desk.events() == []
    desk.observed(63 * S)
    desk.tick(0, 63 * S)
    (event,) = desk.events()
    assert isinstance(event, RunStarted)


def test_waiting_has_an_end_that_names_what_was_missing() -> None:
    desk = RunDesk(Patience(load_ns=10 * S))
    desk.request(goal(1), 0, 0)
    desk.tick(0, 11 * S)
    end = only_end(desk)
    assert (end.outcome, "not loaded" in end.message) == ("REFUSED", True)
    desk.loaded(runner(), 0, 12 * S)
    desk.request(goal(2), 0, 12 * S)
    desk.tick(0, 22 * S)
    assert not desk.events()
    desk.tick(0, 22 * S + 1)
    end = only_end(desk)
    assert (end.outcome, "control_bridge" in end.message) == ("REFUSED", True)
    desk.request(goal(3), 0, 23 * S)
    for second in range(23, 55):
        desk.bridge(READY, 0, second * S)
    end = only_end(desk)
    assert (end.outcome, "observation" in end.message) == ("REFUSED", True)


def test_a_policy_that_cannot_be_loaded_refuses_now_and_later() -> None:
    desk = RunDesk()
    desk.request(goal(1), 0, 0)
    desk.not_loaded("checkpoint truncated", 0)
    assert only_end(desk).message == "checkpoint truncated"
    desk.request(goal(2), 0, 0)
    assert only_end(desk).message == "checkpoint truncated"


def test_a_fault_of_the_policy_fails_the_run_and_the_next_goal_may_start(desk: RunDesk) -> None:
    desk.request(goal(1), 0, 0)
    desk.events()
    desk.fault("NaN in row 3", S)
    assert only_end(desk).outcome == "FAILED"
    desk.request(goal(2), S, 0)
    (event,) = desk.events()
    assert isinstance(event, RunStarted)


def test_a_goal_whose_client_is_gone_ends_after_some_patience(desk: RunDesk) -> None:
    desk.request(goal(1), 10 * S, 10 * S)
    desk.client(True, 10 * S, 10 * S)
    desk.events()
    desk.client(False, 13 * S, 13 * S)
    assert not desk.events()
    desk.client(False, 13 * S + 1, 13 * S + 1)
    end = only_end(desk)
    assert end.outcome == "STOPPED"
    assert "client" in end.message


def test_a_client_that_has_not_been_met_yet_is_given_longer(desk: RunDesk) -> None:
    desk.client(False, 0, 9 * S)  # nobody asks for anything: nobody need listen
    desk.request(goal(1), 10 * S, 10 * S)
    desk.events()
    desk.client(False, 19 * S, 19 * S)
    assert not desk.events()
    desk.client(False, 20 * S, 20 * S)
    assert "client" in only_end(desk).message


def test_a_goal_whose_client_is_found_late_goes_on(desk: RunDesk) -> None:
    desk.request(goal(1), 10 * S, 10 * S)
    desk.client(True, 11 * S, 11 * S)
    desk.events()
    desk.client(False, 13 * S, 13 * S)
    desk.client(True, 14 * S, 14 * S)
    desk.client(False, 17 * S, 17 * S)
    assert not desk.events()
