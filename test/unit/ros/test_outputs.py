"""What is sent to each kind of output, and goals and calls that nobody waits for."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("vla_ros_msgs.msg", reason="the interfaces are not built or not sourced")

from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from rclpy.task import Future
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vla_ros.motion import TrajectoryWindow
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import OutputSpec
from vla_ros.ros.outputs.goals import PATIENCE_TICKS, NewestGoal
from vla_ros.ros.outputs.installed import NotInstalledError, check_installed, needs_of
from vla_ros.ros.outputs.topics import command_msg

AXIS = {"velocity": 1.0, "acceleration": 1.0}
NOW_NS = 5_000_000_000


def output(controller: str, joints: tuple[str, ...] = ("a", "b"), **keys: Any) -> OutputSpec:
    values = {"name": "out", "controller": controller, "topic": "/out", "joints": joints}
    return OutputSpec.model_validate(values | keys)


def twist(controller: str, joints: tuple[str, ...], **keys: Any) -> OutputSpec:
    limits = dict.fromkeys(joints, AXIS)
    return output(controller, joints, limits=limits, on_host_loss="a timeout", **keys)


def pose(controller: str) -> OutputSpec:
    return output(controller, limits={"linear": AXIS, "angular": AXIS})


def test_a_base_velocity_fills_its_axes_and_leaves_the_others_zero() -> None:
    values = np.array([0.3, -0.2])
    plain = command_msg(twist("twist", ("x", "yaw")), values, NOW_NS, "base")
    assert isinstance(plain, Twist)
    assert (plain.linear.x, plain.linear.y, plain.angular.z) == (0.3, 0.0, -0.2)
    stamped = command_msg(twist("twist_stamped", ("yaw", "x")), values, NOW_NS, "base")
    assert isinstance(stamped, TwistStamped)
    assert (stamped.twist.linear.x, stamped.twist.angular.z) == (-0.2, 0.3)
    assert stamped.header.frame_id == "base"
    assert stamped.header.stamp.sec == 5


def test_an_end_effector_velocity_has_six_axes_in_its_own_frame() -> None:
    axes = ("x", "y", "z", "roll", "pitch", "yaw")
    values = np.arange(1.0, 7.0)
    message = command_msg(twist("servo_twist", axes, frame="tool0"), values, NOW_NS, "base")
    linear, angular = message.twist.linear, message.twist.angular
    assert [linear.x, linear.y, linear.z] == [1.0, 2.0, 3.0]
    assert [angular.x, angular.y, angular.z] == [4.0, 5.0, 6.0]
    assert message.header.frame_id == "tool0"
    message = command_msg(twist("servo_twist", axes), values, NOW_NS, "base")
    assert message.header.frame_id == "base"


@pytest.mark.parametrize("controller", ["pose_stamped", "servo_pose"])
def test_a_pose_has_its_frame_and_its_quaternion_in_order(controller: str) -> None:
    message = command_msg(pose(controller), np.array([1.0, 2, 3, 0, 0, 0.6, 0.8]), NOW_NS, "base")
    assert isinstance(message, PoseStamped)
    assert (message.header.frame_id, message.header.stamp.sec) == ("base", 5)
    assert (message.pose.position.x, message.pose.position.z) == (1.0, 3.0)
    assert (message.pose.orientation.z, message.pose.orientation.w) == (0.6, 0.8)


@pytest.mark.parametrize("controller", ["forward_position", "forward_velocity", "forward_effort"])
def test_forward_controllers_get_the_values_in_order(controller: str) -> None:
    keys = {} if controller == "forward_position" else {"on_host_loss": "a timeout"}
    message = command_msg(output(controller, **keys), np.array([1.0, 2.0]), NOW_NS, "base")
    assert isinstance(message, Float64MultiArray)
    assert list(message.data) == [1.0, 2.0]


def test_a_whole_chunk_has_positions_alone() -> None:
    nothing = np.zeros((2, 0))
    window = TrajectoryWindow(
        t_ns=np.array([NOW_NS, NOW_NS + 10], dtype=np.int64),
        position=np.array([[1.0, 2.0], [3.0, 4.0]]),
        velocity=nothing,
        acceleration=nothing,
    )
    chunk = output("joint_trajectory_chunks", limits="none")
    message = command_msg(chunk, window, NOW_NS, "base")
    assert isinstance(message, JointTrajectory)
    assert [list(p.positions) for p in message.points] == [[1.0, 2.0], [3.0, 4.0]]
    assert all(not p.velocities and not p.accelerations for p in message.points)


SERVO = "moveit_msgs/srv/ServoCommandType"


@pytest.mark.parametrize(
    ("made", "needs"),
    [
        (output("joint_trajectory"), ()),
        (output("follow_joint_trajectory"), ("control_msgs/action/FollowJointTrajectory",)),
        (output("gripper_command"), ("control_msgs/action/GripperCommand",)),
        (output("parallel_gripper_command"), ("control_msgs/action/ParallelGripperCommand",)),
        (output("servo_joint_jog", on_host_loss="x"), ("control_msgs/msg/JointJog", SERVO)),
        (twist("servo_twist", ("x",)), (SERVO,)),
        (pose("servo_pose"), (SERVO,)),
        (pose("pose_stamped"), ()),
        (
            output("joint_trajectory", controllers={"activate": ["arm"]}),
            (
                "controller_manager_msgs/srv/ListControllers",
                "controller_manager_msgs/srv/SwitchController",
            ),
        ),
    ],
    ids=lambda value: value.controller if isinstance(value, OutputSpec) else "",
)
def test_what_an_output_needs_is_said_with_what_to_install(
    made: OutputSpec, needs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needs_of(made) == needs
    spec = load_robot("sim_arm")
    check_installed(spec)
    for name in needs:
        package, kind, _ = name.split("/")
        monkeypatch.setitem(sys.modules, f"{package}.{kind}", None)  # as if it were not there
    if needs:
        with pytest.raises(NotInstalledError) as caught:
            check_installed(spec.model_copy(update={"outputs": (made,)}))
        package = needs[0].split("/")[0].replace("_", "-")
        assert f"output 'out' ({made.controller}) needs {needs[0]}" in str(caught.value)
        assert f"apt install ros-$ROS_DISTRO-{package}" in str(caught.value)


class Server:
    """An action server as its client sees it; answers when told to."""

    def __init__(self) -> None:
        self.ready = True
        self.asked: list[tuple[str, Future]] = []

    def server_is_ready(self) -> bool:
        return self.ready

    def send_goal_async(self, goal: str) -> Future:
        self.asked.append((goal, Future()))
        return self.asked[-1][1]

    def answer(self, *, accepted: bool = True) -> None:
        future = self.asked[-1][1]
        future.set_result(SimpleNamespace(accepted=accepted))

    @property
    def goals(self) -> list[str]:
        return [goal for goal, _ in self.asked]


def test_the_newest_goal_wins_while_another_is_asked_for() -> None:
    server = Server()
    goals = NewestGoal(server)
    for goal in ("a", "b", "c"):
        goals.send(goal)
    assert server.goals == ["a"]
    server.answer()
    assert server.goals == ["a", "c"]
    server.answer()
    goals.tick()
    assert server.goals == ["a", "c"]
    assert goals.problem == ""


def test_a_goal_waits_for_its_server_and_a_refusal_is_said() -> None:
    server = Server()
    server.ready = False
    goals = NewestGoal(server)
    goals.send("a")
    assert server.goals == []
    assert "nobody serves" in goals.problem
    server.ready = True
    goals.tick()
    server.answer(accepted=False)
    assert "refused" in goals.problem
    goals.tick()
    assert server.goals == ["a"], "what was refused is not asked again"


def test_a_server_that_never_answers_does_not_silence_the_output() -> None:
    server = Server()
    goals = NewestGoal(server)
    goals.send("a")
    goals.send("b")
    for _ in range(PATIENCE_TICKS):
        goals.tick()
        assert server.goals == ["a"]
    goals.tick()
    assert "did not answer" in goals.problem
    assert server.goals == ["a", "b"]
    late = server.asked[0][1]
    late.set_result(SimpleNamespace(accepted=False))
    assert "refused" not in goals.problem
