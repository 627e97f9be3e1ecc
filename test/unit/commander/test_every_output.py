"""One contract for every kind of output: what a stop leaves behind, and changes of hands."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest
from bench import MS, NEXT_RUN, RUN
from every_output import KINDS, Kind, Rig
from robots import ARM

from vla_ros.ros.outputs.farewell import brake

EVERY = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
ACCELERATION = {True: 12.0, False: 2.0}


def stop(rig: Rig) -> None:
    rig.commander.stop("operator", "stop", rig.now)


def estop(rig: Rig) -> None:
    rig.commander.estop(True, rig.now, rig.steady)


def joint_states_cease(rig: Rig) -> None:
    rig.ticks(30, joints=False)


def plans_cease(rig: Rig) -> None:
    rig.ticks(190)


def nothing_but_nan(rig: Rig) -> None:
    for _ in range(19):
        rig.ticks(10)
        assert rig.send(actions=np.full((11, len(rig.kind.names)), np.nan)) is not None


def somebody_holds_the_arm(rig: Rig) -> None:
    rig.blocked = True
    rig.ticks(60)


def clock_stands(rig: Rig) -> None:
    rig.steady += 600 * MS
    rig.commander.watch_clock(rig.steady)


def bridge_freezes(rig: Rig) -> None:
    rig.now += 300 * MS
    rig.tick()


def controller_is_switched_off(rig: Rig) -> None:
    rig.commander.hindered("controller 'arm' is inactive", rig.now)


def cancel(rig: Rig) -> None:
    rig.commander.run_ended(RUN, rig.now)


def disable(rig: Rig) -> None:
    rig.commander.enable(False, rig.now)


def take_over(rig: Rig) -> None:
    rig.commander.take_over("teleop", 60_000 * MS, rig.now, rig.steady)


def clock_jumps(rig: Rig) -> None:
    rig.now += 5_000 * MS
    rig.commander.clock_jump(rig.now, rig.steady)


def clock_goes_back(rig: Rig) -> None:
    rig.now -= 700 * MS
    rig.commander.clock_jump(rig.now, rig.steady)


def deactivate(rig: Rig) -> None:
    """As the node does it: what is sent after this, if anything is, is sent from here."""
    rig.commander.stop("deactivated", "down", rig.now)

    class Clock:
        now_ns = staticmethod(lambda: rig.now)
        awake_ns = staticmethod(lambda: rig.steady)

    class Outputs:
        @staticmethod
        def send(commands, now_ns) -> None:
            for _, payload in (*commands.windows, *commands.values, *commands.grips):
                rig.sent.append((now_ns, payload))

        @staticmethod
        def flush() -> None: ...

    passed_s = [0.0]
    with patch("vla_ros.ros.outputs.farewell.time") as time:
        time.monotonic = lambda: passed_s[0]
        time.sleep = lambda s: passed_s.__setitem__(0, passed_s[0] + s)
        brake(rig.commander, Outputs, Clock, 10 * MS)


CAUSES: dict[Callable[[Rig], None], str] = {
    stop: "operator",
    estop: "estop",
    joint_states_cease: "joint_state",
    plans_cease: "plan_stale",
    nothing_but_nan: "plan_stale",
    somebody_holds_the_arm: "tracking_error",
    clock_stands: "clock",
    bridge_freezes: "deadline",
    controller_is_switched_off: "tracking_error",
    deactivate: "deactivated",
    cancel: "none",
    disable: "none",
    take_over: "none",
    clock_jumps: "clock_jump",
    clock_goes_back: "clock_jump",
}


def assert_safe(rig: Rig, before: int, cause: Callable) -> None:
    """The last thing sent leaves the robot at rest, or as it was (effort held, grippers)."""
    kind, after = rig.kind, rig.since(before)
    last = rig.sent[-1][1]
    if kind.slice in ("binary", "gripper"):
        known = rig.commander.stop_reason in ("joint_state", "plan_stale")
        assert known or not after, "a stop leaves the gripper as it is"
    elif kind.controller == "joint_trajectory_chunks":
        ended = rig.commander.stop_reason == "plan_stale"
        assert ended or after, "a chunk goes on to its end unless it is replaced"
        assert last.t_ns[-1] <= rig.now
        steps = np.diff(last.position, axis=0) / (np.diff(last.t_ns)[:, None] * 1e-9)
        assert np.abs(steps[-1]).max() < 0.1
        assert np.abs(np.diff(np.abs(steps).max(axis=1)[1:])).max(initial=0.0) < 12.0 * 0.011
    elif kind.slice == "position" and rig.spec.outputs[0].takes_windows:
        assert not last.velocity[-1].any()
        assert last.t_ns[-1] <= rig.now or not last.velocity.any()
    elif kind.slice in ("position", "pose"):
        steps = np.abs(np.diff([payload for _, payload in rig.sent], axis=0)).max(axis=1)
        if cause is bridge_freezes and kind.slice == "pose":
            steps = steps[:-1]  # the robot has stood since, and is told so once
        one_period = (12.0 if kind.slice == "position" else 2.0) * 1e-4 * 1.1
        assert cause is bridge_freezes or steps[-1] <= (one_period if cause is deactivate else 0.0)
        assert np.abs(np.diff(steps)).max() <= one_period
    elif kind.keys.get("on_stop") == "hold":
        assert not after or rig.commander.stop_reason in ("joint_state", "plan_stale")
        np.testing.assert_array_equal(last, [2.0, -1.0])
    else:
        assert not last.any()


def applies(kind: Kind, cause: Callable) -> bool:
    """Commanded positions and poses are held against measured ones; a gripper rests anywhere."""
    if cause is somebody_holds_the_arm:
        return kind.slice in ("position", "pose")
    return not (cause is bridge_freezes and kind.slice in ("binary", "gripper"))


@pytest.mark.parametrize(
    ("kind", "cause"),
    [(kind, cause) for kind in KINDS for cause in CAUSES if applies(kind, cause)],
    ids=lambda value: value.id if isinstance(value, Kind) else value.__name__,
)
def test_whatever_stops_the_robot_the_last_thing_sent_is_safe(kind: Kind, cause) -> None:
    rig = Rig(kind)
    rig.drive()
    before, epoch = len(rig.sent), rig.commander.epoch
    cause(rig)
    assert rig.commander.stop_reason == CAUSES[cause]
    assert cause is cancel or rig.commander.epoch != epoch
    if cause is not deactivate:
        rig.ticks(70, joints=cause is not joint_states_cease)
    else:
        rig.now += 1000 * MS
    assert_safe(rig, before, cause)
    count = len(rig.sent)
    rig.send()
    rig.ticks(5, joints=cause is not joint_states_cease)
    assert rig.commander.mode != "TRACKING"
    if kind.slice == "velocity" or kind.slice == "effort":
        assert not any(payload.any() for _, payload in rig.sent[count:])


VELOCITIES = [kind for kind in KINDS if kind.slice == "velocity"]


@pytest.mark.parametrize("kind", VELOCITIES, ids=lambda kind: kind.id)
def test_a_velocity_starts_and_stops_within_its_acceleration(kind: Kind) -> None:
    rig = Rig(kind)
    rig.drive()
    stop(rig)
    rig.ticks(60)
    steps = np.abs(np.diff([payload for _, payload in rig.sent], axis=0)).max()
    assert 0.0 < steps <= ACCELERATION[kind.joints == ARM] * 0.01 + 1e-9


@EVERY
def test_a_take_over_and_a_hand_back_never_jump(kind: Kind) -> None:
    rig = Rig(kind)
    rig.drive()
    before = len(rig.sent)
    take_over(rig)
    rig.ticks(100)
    assert rig.commander.mode == "EXTERNAL"
    assert_safe(rig, before, take_over)
    rig.ticks(20)
    quiet = len(rig.sent)
    rig.blocked = True
    rig.arm, rig.finger = rig.arm + 0.4, 0.01
    rig.ticks(30)
    assert len(rig.sent) == quiet, "the bridge is silent while somebody else has the robot"
    assert rig.commander.give_back("teleop", rig.now) is None
    rig.blocked = False
    rig.ticks(10)
    held = [payload for _, payload in rig.sent[quiet:]]
    for payload in held:
        if kind.slice == "position":
            position = payload.position if rig.spec.outputs[0].takes_windows else payload
            np.testing.assert_allclose(np.broadcast_to(rig.arm, position.shape), position)
        elif kind.slice == "pose":
            np.testing.assert_allclose(payload, [*rig.arm, 0.0, 0.0, 0.0, 0.0, 1.0])
        else:
            assert kind.slice in ("velocity", "effort")
            assert not payload.any()
    quiet = len(rig.sent)
    at = rig.arm
    assert rig.start(NEXT_RUN) is None
    assert rig.send(run_id=NEXT_RUN) is None
    rig.ticks(20)
    assert len(rig.sent) > quiet
    first = rig.sent[quiet][1]
    if kind.slice == "position":
        position = first.position[:2] if rig.spec.outputs[0].takes_windows else first
        np.testing.assert_allclose(np.broadcast_to(at, position.shape), position, atol=1e-3)
    elif kind.slice == "pose":
        np.testing.assert_allclose(first[:2], at, atol=1e-3)
    elif kind.slice == "velocity":
        assert np.abs(first).max() <= 12.0 * 0.01


@pytest.mark.parametrize("kind", [k for k in KINDS if k.slice == "gripper"], ids=lambda k: k.id)
def test_a_gripper_goes_on_from_where_the_other_owner_left_it(kind: Kind) -> None:
    kind = Kind(**(vars(kind) | {"keys": kind.keys | {"gripper": {"max_rate": 1.0}}}))
    rig = Rig(kind)
    rig.drive()
    take_over(rig)
    rig.ticks(120)
    rig.finger = 0.01
    rig.ticks(30)
    rig.commander.give_back("teleop", rig.now)
    rig.ticks(2)
    count = len(rig.sent)
    rig.start(NEXT_RUN)
    rig.send(run_id=NEXT_RUN)
    rig.ticks(30)
    sent = [payload for _, payload in rig.sent[count:]]
    if hasattr(sent[0], "position"):
        sent = [payload.position[0, 0] for payload in sent]
    values = np.concatenate([[0.01], np.array(sent, dtype=float).reshape(-1)]) / 0.04
    assert len(values) > 3
    assert (np.diff(values) <= 1.0 * 0.1 + 1e-3).all()


@pytest.mark.parametrize("controller", ["forward_velocity", "servo_joint_jog", "forward_effort"])
def test_a_joint_without_commanded_positions_is_stopped_at_the_end_of_its_range(
    controller: str,
) -> None:
    kind = next(k for k in KINDS if k.controller == controller)
    rig = Rig(kind)
    push = np.tile([2.0, 0.0], (50, 1))
    rig.arm = np.array([2.0, 0.0])
    rig.tick()
    rig.start()
    assert rig.send(actions=push) is None
    for _ in range(120):
        if kind.slice == "effort":
            rig.arm = rig.arm + np.array([0.02, 0.0])
        rig.tick()
    assert rig.commander.stop_reason == "motion"
    assert "joint1 is at" in rig.commander.stop_text
    assert not rig.sent[-1][1].any()
    if kind.slice == "velocity":
        assert 2.8 < rig.arm[0] <= 3.0
    rig.blocked = True
    if kind.slice == "effort":
        rig.arm = np.array([3.1, 0.0])
    rig.ticks(30)
    assert rig.commander.resume(rig.now) is None
    rig.blocked = False
    rig.start(NEXT_RUN)
    assert rig.send(run_id=NEXT_RUN, actions=-push) is None
    rig.ticks(20)
    assert rig.commander.stop_reason == "none", "the way back is free"


def test_a_dry_run_sends_nothing_to_any_output() -> None:
    for kind in KINDS:
        rig = Rig(kind, dry_run=True)
        rig.start()
        rig.send()
        rig.ticks(30)
        rig.commander.stop("operator", "deactivated", rig.now)
        assert not rig.commander.must_say_goodbye(rig.now)
        rig.ticks(30)
        assert rig.sent == []
