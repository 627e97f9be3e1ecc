"""Every stop, in mid-motion, by a bridge in its own process on simulated time: the reason that is
published, a brake as the controller plays it, and nothing that moves until `resume`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from moved_arm import LEFT, MS, MovedArm
from stage import stage
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import BridgeStatus, Commanded

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovedArm]:
    """One bridge for all tests; each begins with a resume."""
    with stage() as on:
        yield MovedArm(on, tmp_path_factory.mktemp("robot"))


def nothing(arm: MovedArm) -> None:
    """Not needed, or heals by itself."""


def hide_joints(arm: MovedArm) -> None:
    arm.sees_joints = False


def show_joints(arm: MovedArm) -> None:
    arm.sees_joints, arm.stuck_at = True, None


def jam(arm: MovedArm) -> None:
    arm.stuck_at = arm.position


def leave_the_box(arm: MovedArm) -> None:
    arm.send(arm.swing(LEFT + 0.6))


def send_what_no_limits_allow(arm: MovedArm) -> None:
    wild = arm.swing(LEFT)
    wild[::2, 0], wild[1::2, 0] = -2.0, 2.0
    arm.send(wild, 20 * MS)


def press(arm: MovedArm) -> None:
    arm.press(True)


def release(arm: MovedArm) -> None:
    arm.press(False)


def freeze_the_bridge(arm: MovedArm) -> None:
    """Longer than its window lasts; it goes on when the arm rests."""
    os.kill(arm.stage.pid("control_bridge"), signal.SIGSTOP)
    arm.until_at_rest()
    os.kill(arm.stage.pid("control_bridge"), signal.SIGCONT)


def lose_the_clock(arm: MovedArm) -> None:
    arm.clock_runs = False


def find_the_clock(arm: MovedArm) -> None:
    arm.clock_runs = True


def set_the_clock_ahead(arm: MovedArm) -> None:
    arm.ahead_ns = 10_000 * MS


def set_the_clock_back(arm: MovedArm) -> None:
    arm.ahead_ns = -5_000 * MS


def set_the_clock_right(arm: MovedArm) -> None:
    arm.ahead_ns = 0


def call_stop(arm: MovedArm) -> None:
    client = arm.stage.node.create_client(Trigger, "control_bridge/stop")
    arm.stage.wait(client.service_is_ready, "the service stop")
    answer = client.call_async(Trigger.Request())
    arm.stage.wait(answer.done, "an answer of stop")
    arm.stage.node.destroy_client(client)


@dataclass(frozen=True, kw_only=True)
class Stop:
    """What is done to the bridge and undone, and the reason and words that must be published."""

    provoke: Callable[[MovedArm], None]
    heal: Callable[[MovedArm], None] = nothing
    reason: int
    words: str

    @property
    def id(self) -> str:
        """For pytest."""
        return self.provoke.__name__.replace("nothing", "plans_cease")


STOPS = (
    Stop(provoke=nothing, reason=BridgeStatus.PLAN_LOST, words="check the policy"),
    Stop(
        provoke=hide_joints,
        heal=show_joints,
        reason=BridgeStatus.JOINT_STATE_LOST,
        words="no joint state for",
    ),
    Stop(provoke=jam, heal=show_joints, reason=BridgeStatus.TRACKING_ERROR, words="joint1 is"),
    Stop(provoke=leave_the_box, reason=BridgeStatus.WORKSPACE, words="'hand' would"),
    Stop(provoke=send_what_no_limits_allow, reason=BridgeStatus.BAD_PLAN, words="joint1"),
    Stop(provoke=press, heal=release, reason=BridgeStatus.ESTOP, words="release it"),
    Stop(
        provoke=freeze_the_bridge,
        reason=BridgeStatus.DEADLINE_MISSED,
        words="the bridge did not run for",
    ),
    Stop(
        provoke=lose_the_clock, heal=find_the_clock, reason=BridgeStatus.CLOCK_LOST, words="/clock"
    ),
    *(
        Stop(
            provoke=jump,
            heal=set_the_clock_right,
            reason=BridgeStatus.CLOCK_JUMP,
            words="at once",
        )
        for jump in (set_the_clock_ahead, set_the_clock_back)
    ),
    Stop(provoke=call_stop, reason=BridgeStatus.OPERATOR, words="~/stop"),
)


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.id)
def test_every_stop_brakes_says_why_and_holds_until_resume(arm: MovedArm, stop: Stop) -> None:
    arm.in_motion()
    mark = arm.mark()
    stop.provoke(arm)
    arm.until_stopped()
    arm.until_at_rest()
    at = arm.position
    stop.heal(arm)
    assert arm.status.stop_reason == stop.reason, arm.status.stop_text
    assert stop.words in arm.status.stop_text
    arm.pass_time(300 * MS)
    refused = arm.status.chunks_refused
    arm.send(arm.swing(LEFT))
    arm.stage.wait(lambda: arm.status.chunks_refused > refused, "the plan to be refused")
    arm.resume()
    arm.pass_time(300 * MS)
    assert np.abs(arm.position - at).max() < 1e-3
    arm.assert_no_step_since(mark)


def test_a_run_that_ends_in_motion_brakes_and_needs_no_resume(arm: MovedArm) -> None:
    arm.in_motion()
    mark = arm.mark()
    arm.end_run()
    arm.until_at_rest()
    arm.until(Commanded.HOLDING, "the bridge to hold")
    assert arm.status.stop_reason == BridgeStatus.NONE
    arm.assert_no_step_since(mark)


def test_ctrl_c_in_motion_leaves_the_arm_to_its_window_and_says_why(arm: MovedArm) -> None:
    arm.in_motion()
    mark = arm.mark()
    assert arm.stage.stop("control_bridge") == 0, arm.stage.printed("control_bridge")
    arm.stage.wait(lambda: arm.status.reset_required, "the last words of the bridge")
    assert arm.status.stop_reason == BridgeStatus.DEACTIVATED
    assert "shutting down" in arm.status.stop_text
    arm.until_at_rest()
    arm.assert_no_step_since(mark)
