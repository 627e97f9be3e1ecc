"""The simulated robot: cameras, joint states and controllers as a real one has them.

In real time physics follows steady time, and /clock carries simulated time; where this machine is
too slow, simulated time falls behind and the real-time factor says so. In lockstep time advances
one control period when every node is done with the one before.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory
from vla_ros_msgs.msg import SimState
from vla_ros_msgs.srv import ResetScene

from vla_ros.nodes.sim_parameters import SimParameters
from vla_ros.nodes.truth import trajectory_from, truth_msg
from vla_ros.robot.load import load_robot, robot_path, urdf_text
from vla_ros.ros.conversions.image import image_msg
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.ros.conversions.times import time_msg
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.lockstep_host import LockstepHost
from vla_ros.ros.pacing import SteadyPace
from vla_ros.ros.spin import run
from vla_ros.sim.controllers import TrajectoryController, TrajectoryRefused
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.truth import BINS, CUBES, SimError

CONTROL_NS = 10_000_000
SETTLE_NS = 1_000_000_000
"""Simulated before the first tick: cubes come to rest, and no stamp is near 0, ROS's "not set"."""
MOST_BEHIND_NS = 50_000_000
"""A longer stall is not caught up: simulated time falls behind."""


class SimRobotNode(VlaNode[SimParameters]):
    """Publishes what a robot's drivers publish, and the truth for the expert and the judge."""

    def __init__(self) -> None:
        super().__init__("sim_robot", SimParameters)

    def configure(self) -> None:
        """Builds the world and the topics."""
        self._spec = load_robot(self.parameters.robot)
        self._sim = SimRobot(self.parameters.seed)
        self.on_release(self._sim.close)
        self._sim.step(SETTLE_NS)
        self._host: LockstepHost | None = None
        if self.parameters.lockstep:
            p = self.parameters
            self._host = LockstepHost(
                self,
                p.lockstep_nodes,
                self._advance,
                patience_ns=round(p.lockstep_patience_s * 1e9),
                start_ns=round(p.lockstep_start_s * 1e9),
            )
        self._clock_topic = self.publisher(Clock, "/clock", "clock")
        self._joints = self._output(JointState, self._spec.state.topic, "joint_state")
        self._truth = self._output(SimState, "~/truth", "truth")
        self._images = {
            camera.key: self._output(Image, camera.topic, "image") for camera in self._spec.cameras
        }
        for output in self._spec.outputs:
            take = functools.partial(self._on_command, self._controller(output.joints))
            if self._host is not None:
                self._host.subscription(JointTrajectory, output.topic, take, "command")
            else:
                self.subscription(JointTrajectory, output.topic, take, "command")
        self.service(ResetScene, "~/reset", self._on_reset)
        description = self.publisher(String, "/robot_description", "latched")
        text = urdf_text(self._spec, robot_path(self.parameters.robot))
        description.publish(String(data=text or ""))
        self._diagnostics = Diagnostics(self)
        self._frame_ns = round(1e9 / self._spec.cameras[0].rate_hz)
        self._latency_ns = round(self.parameters.camera_latency_s * 1e9)
        self._pending: deque[tuple[int, Callable[[], None]]] = deque()
        self._refused = 0

    def activate(self) -> None:
        """Lets time flow."""
        for camera in self._spec.cameras:  # the first picture takes long: shaders are compiled
            self._sim.render(camera.key)
        self._pace = SteadyPace(self.clock.steady_ns(), self._sim.time_ns, MOST_BEHIND_NS)
        self.every_steady(1.0, self._report)
        if self._host is not None:
            self._host.start()
        else:
            self.every_steady(CONTROL_NS * 1e-9, self._follow_steady_time)

    def _output(self, message: type[Any], topic: str, role: Any) -> Callable[[Any], None]:
        if self._host is not None:
            return self._host.publisher(message, topic, role)
        return self.publisher(message, topic, role).publish

    def _controller(self, joints: tuple[str, ...]) -> TrajectoryController:
        for controller in self._sim.controllers.values():
            if sorted(controller.joint_names) == sorted(joints):
                return controller
        raise SimError(
            f"the simulated robot has no controller for {list(joints)}; it has "
            f"{[list(c.joint_names) for c in self._sim.controllers.values()]}. Mend the robot file"
        )

    def _follow_steady_time(self) -> None:
        due_ns = self._pace.due_ns(self.clock.steady_ns(), self._sim.time_ns)
        while self._sim.time_ns + CONTROL_NS <= due_ns:
            self._advance()

    def _advance(self) -> None:
        """One control period: physics, then everything that is published at its end."""
        self._sim.step(CONTROL_NS)
        now_ns = self._sim.time_ns
        self.clock.set_ns(now_ns)
        # The clock goes first, so that what follows is not from the future.
        self._clock_topic.publish(Clock(clock=time_msg(now_ns)))
        self._joints(
            joint_state_msg(now_ns, self._sim.joint_positions(), self._sim.joint_velocities())
        )
        if now_ns % self._frame_ns < CONTROL_NS:
            self._render()
        while self._pending and self._pending[0][0] <= now_ns:
            self._pending.popleft()[1]()
        if self._host is not None:
            self._host.tick(now_ns)

    def _render(self) -> None:
        """Takes the pictures now; they leave after the camera's latency."""
        now_ns = self._sim.time_ns
        due_ns = now_ns + self._latency_ns
        truth = truth_msg(self._sim.truth(), self._spec.base_frame)
        self._pending.append((due_ns, functools.partial(self._truth, truth)))
        for camera in self._spec.cameras:
            image = image_msg(self._sim.render(camera.key), now_ns, camera.frame_id)
            self._pending.append((due_ns, functools.partial(self._images[camera.key], image)))
        self._diagnostics.event("images")

    def _on_command(self, controller: TrajectoryController, message: JointTrajectory) -> None:
        try:
            controller.accept(trajectory_from(message), self._sim.time_ns)
        except TrajectoryRefused as error:
            self._refused += 1
            self.get_logger().warning(f"trajectory refused: {error}", throttle_duration_sec=1.0)

    def _on_reset(
        self, request: ResetScene.Request, response: ResetScene.Response
    ) -> ResetScene.Response:
        try:
            self._sim.reset_scene(request.seed, request.binned)
            response.success = True
        except SimError as error:
            response.message = str(error)
        response.objects, response.bins = list(CUBES), list(BINS)
        return response

    def _report(self) -> None:
        factor = self._pace.factor(self.clock.steady_ns(), self._sim.time_ns)
        self._diagnostics.values.update(
            {
                "real_time_factor": factor,
                "time_lost [s]": self._pace.lost_ns * 1e-9,
                "trajectories_refused": self._refused,
            }
        )
        slow = self._host is None and factor < 0.95
        self._diagnostics.set(
            "warn" if slow else "ok",
            f"real-time factor {factor:.2f}" + ("; this machine is too slow" if slow else ""),
        )


def main() -> int:
    """Runs the node."""
    return run(SimRobotNode)


if __name__ == "__main__":
    raise SystemExit(main())
