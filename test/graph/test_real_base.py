"""The bridge's twists against diff_drive_controller itself: two wheels on mock hardware.

Runs where ros2_control and diff_drive_controller are installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driven import Driven, patient_values
from geometry_msgs.msg import TwistStamped
from real_hardware import BROADCASTER, RealHardware, installed, real_hardware
from sensor_msgs.msg import JointState
from stage import Stage, stage
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import Commanded

NEEDED = ("controller_manager", "diff_drive_controller")
pytestmark = [
    pytest.mark.graph,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not installed(*NEEDED), reason=f"{', '.join(NEEDED)} are not installed"),
]

RADIUS, SEPARATION = 0.1, 0.4
FORWARD, TURN = 0.4, -0.5
ACCELERATION = {"x": 0.8, "yaw": 1.5}
TIMEOUT_S, BRAKE = 0.5, 2.0
WHEELS = ("left_wheel", "right_wheel")
CONTROLLERS: dict[str, dict[str, Any]] = {
    "broadcaster": BROADCASTER | {"update_rate": 100},
    "base": {
        "type": "diff_drive_controller/DiffDriveController",
        "left_wheel_names": [WHEELS[0]],
        "right_wheel_names": [WHEELS[1]],
        "wheel_radius": RADIUS,
        "wheel_separation": SEPARATION,
        "cmd_vel_timeout": TIMEOUT_S,
        "linear.x.max_acceleration": BRAKE,
        "linear.x.max_deceleration": -BRAKE,
    },
}
ROBOT = patient_values(
    "base",
    WHEELS,
    base_frame="base_link",
    action=[{"name": "base", "kind": "velocity", "names": ["vx", "wz"], "output": "base"}],
    outputs=[
        {
            "name": "base",
            "controller": "twist_stamped",
            "topic": "/base/cmd_vel",
            "joints": ["x", "yaw"],
            "rate_hz": 50,
            "on_host_loss": f"diff_drive_controller's cmd_vel_timeout of {TIMEOUT_S} s",
            "limits": {
                axis: {"velocity": 1.0, "acceleration": most} for axis, most in ACCELERATION.items()
            },
            "controllers": {"activate": ["base"]},
        }
    ],
)


def stamp_s(message: JointState | TwistStamped) -> float:
    """When a message was made."""
    return float(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9)


class Base:
    """A base on its way, by its wheels."""

    def __init__(self, on: Stage, real: RealHardware, robot: Driven) -> None:
        self.on, self.real, self.robot = on, real, robot
        self.twists: list[TwistStamped] = []
        on.node.create_subscription(TwistStamped, "/base/cmd_vel", self.twists.append, 50)

    def history(self, since: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Times [s], and speeds forward and about the vertical axis. Shapes (n,), (n, 2)."""
        messages = self.real.joints[since:]
        t = np.array([stamp_s(message) for message in messages])
        left, right = np.array([self._wheels(m) for m in messages]).T * RADIUS
        return t, np.stack([(left + right) / 2.0, (right - left) / SEPARATION], axis=1)

    def _wheels(self, message: JointState) -> list[float]:
        names = list(message.name)
        return [message.velocity[names.index(wheel)] for wheel in WHEELS]

    def at_speed(self) -> bool:
        x, yaw = self.history(-1)[1][0]
        return abs(x - FORWARD) < 0.01 * FORWARD and abs(yaw - TURN) < 0.01 * abs(TURN)

    def still(self) -> bool:
        return not self.history(-1)[1].any()

    def drive(self) -> None:
        self.robot.drive(self.at_speed, "the base at its speed")

    def accelerations(self, since: int = 0) -> np.ndarray:
        """The largest over a fifth of a second, forward and about the vertical axis. Shape (2,)."""
        t, speeds = self.history(since)
        grid = np.arange(t[0], t[-1], 0.2)
        steps = [np.diff(np.interp(grid, t, speed)) / 0.2 for speed in speeds.T]
        return np.abs(steps).max(axis=1)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Base]:
    joints = dict.fromkeys(WHEELS, "velocity")
    with stage() as on, real_hardware(on, tmp_path, joints, CONTROLLERS, wheels=WHEELS) as real:
        real.bring_up("broadcaster")
        real.load("base")
        on.wait(lambda: bool(real.joints), "joint states")
        rows = np.tile([FORWARD, TURN], (80, 1))
        robot = Driven(on, tmp_path, ROBOT, simulated=False, rows=lambda _: rows)
        robot.until(Commanded.HOLDING, "the bridge in command")
        assert real.states()["base"] == "active"
        yield Base(on, real, robot)


def interrupt(base: Base) -> None:
    assert base.on.stop("control_bridge") == 0


def stop(base: Base) -> None:
    client = base.on.node.create_client(Trigger, "control_bridge/stop")
    base.on.wait(client.service_is_ready, "the stop service")
    answer = client.call_async(Trigger.Request())
    base.on.wait(answer.done, "the answer")


@pytest.mark.parametrize("way", [stop, interrupt], ids=lambda way: way.__name__)
def test_the_base_reaches_its_speed_and_any_stop_brakes_it_within_the_limits(
    base: Base, way: Callable[[Base], None]
) -> None:
    base.drive()
    before = len(base.real.joints)
    way(base)
    base.on.wait(base.still, "the base to stand")
    assert (base.accelerations() < 1.3 * np.array(list(ACCELERATION.values()))).all()
    t, speeds = base.history(before)
    moving = t[speeds[:, 0] > 0.0]
    assert moving[-1] - moving[0] > 0.7 * FORWARD / ACCELERATION["x"], "it braked, it did not jump"
    count = len(base.real.joints)
    base.on.wait(lambda: len(base.real.joints) > count + 100, "more joint states")
    assert not base.history(count)[1].any(), "it stays where it is"


def test_a_killed_bridge_leaves_a_base_that_stands_after_its_controllers_timeout(
    base: Base,
) -> None:
    base.drive()
    base.on.kill("control_bridge")
    before = len(base.real.joints)

    def over() -> bool:
        since_s = stamp_s(base.real.joints[-1]) - stamp_s(base.twists[-1])
        return since_s > TIMEOUT_S and base.still()

    base.on.wait(over, "the base to stand")
    t, speeds = base.history(before)
    last_word = stamp_s(base.twists[-1])
    standing = t[np.flatnonzero(speeds[:, 0] > 0.0)[-1]] - last_word
    full = t[np.flatnonzero(speeds[:, 0] > 0.99 * FORWARD)[-1]] - last_word
    print(f"full speed for {full:.2f} s, standing after {standing:.2f} s")
    assert TIMEOUT_S - 0.1 < full < TIMEOUT_S + 0.1, "nothing else stops it"
    assert standing < TIMEOUT_S + FORWARD / BRAKE + 0.1
