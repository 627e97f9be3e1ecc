"""A robot whose speed slider is moved while it moves: simulated, and ros2_control's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driven import ARM, LIMITS, Driven, patient_values
from real_hardware import BROADCASTER, installed, real_hardware, trajectory_controller
from sensor_msgs.msg import JointState
from stage import Stage, stage
from std_msgs.msg import Float64
from trajectory_msgs.msg import JointTrajectory
from vla_ros_msgs.msg import Commanded

from vla_ros.nodes.truth import trajectory_from
from vla_ros.ros import qos
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.sim.controllers import Measured, TrajectoryController

pytestmark = [pytest.mark.graph, pytest.mark.timeout(240)]

NEEDED = ("controller_manager", "joint_trajectory_controller", "control_msgs")
TOPIC = "/arm_controller/joint_trajectory"
SPEED = 0.4
CONTROLLERS: dict[str, dict[str, Any]] = {
    "broadcaster": BROADCASTER,
    "arm_controller": trajectory_controller(ARM) | {"state_publish_rate": 100.0},
}
Slide = Callable[[float], None]


def steady(action: np.ndarray) -> np.ndarray:
    """Four seconds at one speed, to and fro. Shape (80, 2)."""
    way = SPEED * 0.05 * np.arange(80)[:, None]
    return action + way * np.array([1.0, -0.5]) * (1.0 if action[0] < 0.5 else -1.0)


def values(speed_scaling: dict[str, Any]) -> dict[str, Any]:
    return patient_values(
        "slow",
        ARM,
        action=[{"name": "arm", "kind": "position", "names": ARM, "output": "arm"}],
        outputs=[{"name": "arm", "joints": ARM, "controller": "joint_trajectory", "topic": TOPIC}],
        limits=dict.fromkeys(ARM, LIMITS),
        speed_scaling=speed_scaling | {"max_age_s": 2.0},
        max_tracking_error=0.1,
    )


@contextmanager
def simulated_arm(on: Stage, folder: Path) -> Iterator[tuple[dict[str, Any], Slide]]:
    """A simulated controller, and a slider that says where it is as a UR's does."""
    controller = TrajectoryController(tuple(ARM), np.zeros(2))
    measured = Measured(position=np.zeros(2), velocity=np.zeros(2))
    slider = on.node.create_publisher(Float64, "/slider/speed_scaling", 10)
    states = on.node.create_publisher(JointState, "/joint_states", qos.profile("joint_state"))

    def now_ns() -> int:
        return int(on.node.get_clock().now().nanoseconds)

    def update() -> None:
        nonlocal measured
        position, velocity = controller.sample(np.array([now_ns()]), measured)
        measured = Measured(position=position[0], velocity=velocity[0])
        at, speed = (dict(zip(ARM, values[0], strict=True)) for values in (position, velocity))
        states.publish(joint_state_msg(now_ns(), at, speed))
        slider.publish(Float64(data=100.0 * controller.speed_scaling))

    def slide(factor: float) -> None:
        controller.speed_scaling = factor

    on.node.create_subscription(
        JointTrajectory,
        TOPIC,
        lambda message: controller.accept(trajectory_from(message), now_ns()),
        qos.profile("command"),
    )
    on.node.create_timer(0.005, update)
    yield {"topic": "/slider/speed_scaling", "kind": "percent"}, slide


@contextmanager
def real_arm(on: Stage, folder: Path) -> Iterator[tuple[dict[str, Any], Slide]]:
    """ros2_control's controller, which says itself how fast its time passes."""
    from control_msgs.msg import SpeedScalingFactor

    joints = dict.fromkeys(ARM, "position")
    with real_hardware(on, folder, joints, CONTROLLERS, dynamics=False) as hardware:
        hardware.bring_up(*CONTROLLERS)
        slider = on.node.create_publisher(
            SpeedScalingFactor, "/arm_controller/speed_scaling_input", qos.profile("latched")
        )
        topic = "/arm_controller/controller_state"
        yield (
            {"topic": topic, "kind": "controller_state"},
            lambda factor: slider.publish(SpeedScalingFactor(factor=factor)),
        )


real = pytest.param(
    real_arm,
    marks=pytest.mark.skipif(not installed(*NEEDED), reason=f"{NEEDED} are not installed"),
)


@pytest.mark.parametrize("arm", [simulated_arm, real])
def test_the_robot_follows_its_commands_at_every_place_of_the_slider(
    tmp_path: Path, arm: Callable[..., Any]
) -> None:
    with stage() as on, arm(on, tmp_path) as (speed_scaling, slide):
        heard: list[tuple[float, float]] = []

        def hear(message: JointState) -> None:
            stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
            heard.append((stamp, message.position[list(message.name).index(ARM[0])]))

        on.node.create_subscription(JointState, "/joint_states", hear, 400)
        robot = Driven(on, tmp_path, values(speed_scaling), simulated=False, rows=steady)
        robot.until(Commanded.HOLDING, "the bridge in command")

        def speed() -> float:
            """Over the last 0.3 s; NaN where the robot turned round."""
            recent = [sample for sample in heard if sample[0] > heard[-1][0] - 0.3]
            steps = np.diff([position for _, position in recent])
            if len(recent) < 10 or ((steps > 1e-6).any() and (steps < -1e-6).any()):
                return float("nan")
            return float(abs(steps.sum()) / (recent[-1][0] - recent[0][0]))

        for factor in (1.0, 0.5, 0.1, 0.0, 1.0):
            slide(factor)
            robot.drive(
                lambda factor=factor: (
                    robot.commanded[-1].time_scale == pytest.approx(factor)
                    and abs(speed() - factor * SPEED) < 0.02
                ),
                f"the robot at {factor:g} of its speed",
            )
        times = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in robot.commanded]
        told = [m.action[0] for m in robot.commanded]
        begin, end = max(times[0], heard[0][0]), min(times[-1], heard[-1][0])
        far = [abs(at - np.interp(t, times, told)) for t, at in heard if begin < t < end]
        assert max(far) < 0.03


def test_a_slider_that_the_robot_file_does_not_name_is_warned_of(tmp_path: Path) -> None:
    with stage() as on, simulated_arm(on, tmp_path) as (slider, _):
        undeclared = values({"topic": "/nowhere"})
        del undeclared["speed_scaling"]
        Driven(on, tmp_path, undeclared, simulated=False)
        on.wait(
            lambda: f"speed_scaling: {{topic: {slider['topic']}}}" in on.printed("control_bridge"),
            "the warning",
        )
