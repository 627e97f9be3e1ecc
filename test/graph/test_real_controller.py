"""The bridge drives ros2_control itself, with mock hardware at 500 Hz.

Runs where ros2_control is installed and sourced.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
from real_arm import CONTROLLERS, MS, RealArm, real_arm
from vla_ros_msgs.msg import BridgeStatus, Commanded

from benchmarks.mock_hardware import MISSING, executable

pytestmark = [
    pytest.mark.graph,
    pytest.mark.timeout(300),
    pytest.mark.skipif(executable() is None, reason=MISSING),
]


@pytest.fixture(scope="module")
def arm() -> Iterator[RealArm]:
    with real_arm() as made:
        yield made


def test_the_controller_follows_what_the_bridge_commands_and_stays_inside_the_limits(
    arm: RealArm,
) -> None:
    arm.in_motion()
    since_ns = arm.now_ns()
    arm.wait_s(3.0)
    assert not arm.status.reset_required, arm.status.stop_text
    assert arm.distance_from_commands(since_ns) < 2e-3
    arm.decelerates_gently(since_ns)


def test_plans_replaced_at_every_phase_of_the_window_make_no_step(arm: RealArm) -> None:
    arm.every_ns = 37 * MS
    try:
        arm.in_motion()
        since_ns = arm.now_ns()
        arm.wait_s(4.0)
    finally:
        arm.every_ns = 100 * MS
    assert not arm.status.reset_required, arm.status.stop_text
    assert arm.distance_from_commands(since_ns) < 2e-3
    arm.decelerates_gently(since_ns)


def test_the_controller_brakes_by_itself_when_the_bridge_is_killed(arm: RealArm) -> None:
    arm.in_motion()
    before, since_ns = arm.speed(), arm.now_ns()
    os.kill(arm.stage.pid("control_bridge"), signal.SIGKILL)
    rest_ns = arm.at_rest(since_ns)
    assert before > 1.0
    assert rest_ns - since_ns < 1_000 * MS
    arm.decelerates_gently(since_ns)
    assert arm.stage.ended("control_bridge") == -signal.SIGKILL
    arm.stage.start("control_bridge", robot="sim_arm", start_enabled=True)
    epoch = arm.status.epoch
    arm.stage.wait(lambda: arm.status.epoch != epoch, "the new bridge")
    since_ns = arm.now_ns()
    arm.wait_s(0.5)
    _, position, _ = arm.reference.since(since_ns)
    assert np.ptp(position, axis=0).max() < 0.01, "nothing from before moves the robot"


@pytest.mark.parametrize(("pause_s", "stops"), [(0.12, False), (1.0, True)])
def test_a_bridge_that_stands_still_is_bridged_by_its_window_and_braked_after_it(
    arm: RealArm, pause_s: float, stops: bool
) -> None:
    arm.in_motion()
    since_ns, pid = arm.now_ns(), arm.stage.pid("control_bridge")
    os.kill(pid, signal.SIGSTOP)
    try:
        arm.wait_s(pause_s)
    finally:
        os.kill(pid, signal.SIGCONT)
    if stops:
        arm.stage.wait(lambda: arm.status.reset_required, "the stop")
        assert arm.status.stop_reason == BridgeStatus.DEADLINE_MISSED, arm.status.stop_text
        arm.at_rest(since_ns)
    else:
        arm.wait_s(0.5)
        assert not arm.status.reset_required
    arm.decelerates_gently(since_ns)


def test_a_controller_deactivated_in_motion_is_noticed_and_used_again_after_resume(
    arm: RealArm,
) -> None:
    arm.in_motion()
    arm.hardware.switch(deactivate=("arm_controller",))
    arm.stage.wait(lambda: arm.status.reset_required, "the stop")
    assert arm.status.stop_reason == BridgeStatus.TRACKING_ERROR
    arm.end_run()
    arm.stage.wait(lambda: arm.status.state == Commanded.STOPPED, "the bridge to rest")
    arm.wait_s(1.0)  # its last window is over, it is silent
    since_ns = arm.now_ns()
    arm.hardware.switch(activate=("arm_controller",))
    arm.stage.wait(lambda: len(arm.reference.since(since_ns)[0]) > 100, "the controller's state")
    _, position, _ = arm.reference.since(since_ns)
    assert np.ptp(position, axis=0).max() < 0.01, "it moves only after resume"
    arm.in_motion()


def test_a_controller_manager_that_dies_stops_the_bridge_and_a_new_one_is_driven(
    arm: RealArm,
) -> None:
    arm.in_motion()
    os.kill(arm.hardware.pid, signal.SIGKILL)
    arm.stage.wait(lambda: arm.status.reset_required, "the stop")
    assert arm.status.stop_reason in (BridgeStatus.JOINT_STATE_LOST, BridgeStatus.TRACKING_ERROR)
    arm.end_run()
    arm.hardware.start_again()
    arm.hardware.bring_up("joint_state_broadcaster", *CONTROLLERS)
    arm.in_motion()
