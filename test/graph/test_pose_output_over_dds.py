"""Poses streamed to a controller that finds the joints by itself, through the real bridge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from driven import POSE_LIMITS, Driven, gantry_values, leading
from geometry_msgs.msg import PoseStamped
from stage import Stage, stage
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import BridgeStatus, Commanded

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

OUTPUT = {"controller": "pose_stamped", "topic": "/target_pose"}


class Hand:
    """A bridge that leads a hand, and every pose that it sent."""

    def __init__(self, on: Stage, folder: Path) -> None:
        self.stage = on
        self.sent: list[PoseStamped] = []
        on.node.create_subscription(PoseStamped, OUTPUT["topic"], self.sent.append, 400)
        self.robot = Driven(on, folder, gantry_values(folder, OUTPUT), rows=leading)
        self.robot.until(Commanded.HOLDING, "the bridge in command")
        self.robot.drive(lambda: self.sent[-1].pose.position.x > 0.15, "the hand on its way")

    def path(self) -> tuple[np.ndarray, np.ndarray]:
        """Times [s], and x [m] and angle about z [rad]. Shapes (n,), (n, 2)."""
        begin = self.sent[0].header.stamp.sec
        t = [m.header.stamp.sec - begin + m.header.stamp.nanosec * 1e-9 for m in self.sent]
        turns = [2.0 * np.arctan2(m.pose.orientation.z, m.pose.orientation.w) for m in self.sent]
        return np.array(t), np.array([[m.pose.position.x for m in self.sent], turns]).T

    def still(self) -> bool:
        last = self.path()[1][-10:]
        return len(last) == 10 and not np.ptp(last, axis=0).any()


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Hand]:
    with stage() as on:
        yield Hand(on, tmp_path)


def stop(hand: Hand) -> None:
    client = hand.stage.node.create_client(Trigger, "control_bridge/stop")
    hand.stage.wait(client.service_is_ready, "the stop service")
    answer = client.call_async(Trigger.Request())
    hand.stage.wait(answer.done, "the answer")
    hand.robot.until(Commanded.STOPPED, "the stop")
    assert hand.robot.status.stop_reason == BridgeStatus.OPERATOR


def interrupt(hand: Hand) -> None:
    assert hand.stage.stop("control_bridge") == 0


@pytest.mark.parametrize("way", [stop, interrupt], ids=lambda way: way.__name__)
def test_poses_keep_the_limits_and_any_stop_ends_in_one_that_stands_still(
    hand: Hand, way: Callable[[Hand], None]
) -> None:
    before = len(hand.sent)
    way(hand)
    hand.stage.waits(lambda: False, 0.5)  # the rest of what was sent
    assert {m.header.frame_id for m in hand.sent} == {"base"}
    t, path = hand.path()
    dt = np.diff(t)
    if dt[-1] == 0.0:  # the last words: the last pose once more
        np.testing.assert_array_equal(path[-1], path[-2])
        dt, path = dt[:-1], path[:-1]
    assert (dt > 0.0).all()
    speeds = np.diff(path, axis=0) / dt[:, None]
    # A busy machine may lose a pose in between: then these are not the speeds of two periods.
    told_alone = dt < 1.5e-9 * hand.robot.spec.rates.control_period_ns
    neighbours = told_alone[1:] & told_alone[:-1]
    assert neighbours.mean() > 0.5
    for i, bound in enumerate(POSE_LIMITS.values()):
        assert np.abs(speeds[:, i]).max() <= bound["velocity"] * (1.0 + 1e-3)
        change = np.abs(np.diff(speeds[:, i])) / dt[1:]
        assert change[neighbours].max() <= bound["acceleration"] * (1.0 + 1e-3)
    assert np.abs(speeds[before]).max() > 0.1, "it was on its way"
    slow = np.abs(speeds[-1])
    assert (slow <= 0.01 * np.array([b["acceleration"] for b in POSE_LIMITS.values()]) + 1e-6).all()


def test_a_killed_bridge_leaves_the_hand_at_the_last_pose_it_was_sent(hand: Hand) -> None:
    def silent() -> bool:
        count = len(hand.sent)
        return not hand.stage.waits(lambda: len(hand.sent) > count, 0.5)

    hand.stage.kill("control_bridge")
    hand.stage.wait(silent, "the last of what was sent; nobody goes on for it", 10.0)
