"""control_bridge: plans in, smooth and limited commands out. `vla_ros.robot.Commander` decides.

A stop of this node is a software stop, not a safety function.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, RobotSpecInfo, Run

from vla_ros.chunks import Refusal
from vla_ros.robot.commander import Commander
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.spec import RobotSpec
from vla_ros.ros.conversions.bridge import status_msg
from vla_ros.ros.conversions.commanded import commanded_msg
from vla_ros.ros.conversions.joints import JointStateError, positions_from
from vla_ros.ros.conversions.plan import ChunkError, plan_from, run_id_from
from vla_ros.ros.conversions.robot import robot_spec_msg
from vla_ros.ros.conversions.times import ns_from
from vla_ros.ros.go_to_server import GoToServer
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.output_topics import OutputTopics
from vla_ros.ros.parameters import NodeParameters, parameter
from vla_ros.ros.spin import run

STATUS_PERIOD_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Parameters(NodeParameters):
    """Parameters of control_bridge."""

    robot: str = parameter("", "robot file: a path, or a name in share/vla_ros/config/robots")
    start_enabled: bool = parameter(
        False, "let the robot move without a call of ~/enable; for simulators only"
    )
    dry_run: bool = parameter(False, "compute and publish everything, send nothing to the robot")


class ControlBridge(VlaNode[Parameters]):
    """Wiring between topics and the commander."""

    spec: RobotSpec
    commander: Commander

    def __init__(self) -> None:
        super().__init__("control_bridge", Parameters)
        self._last_refusal = ""

    def configure(self) -> None:
        """Everything but the motion: the services answer from here on."""
        self.spec = load_robot(self.parameters.robot)
        self._new_commander()
        self._status = self.publisher(BridgeStatus, "bridge_status", "latched")
        text = robot_path(self.parameters.robot).read_text(encoding="utf-8")
        info = robot_spec_msg(self.spec, text)
        self.publisher(RobotSpecInfo, "robot_spec", "latched").publish(info)
        self.service(Trigger, "~/stop", self._on_stop)
        self.service(Trigger, "~/resume", self._on_resume)
        self.service(SetBool, "~/enable", self._on_enable)
        self._go_to = GoToServer(self, lambda: self.commander, self.clock.now_ns)
        self.on_release(self._go_to.destroy)

    def activate(self) -> None:
        """From here on the robot may move; nothing from before counts."""
        self._new_commander()
        self.clock.on_jump = self._on_jump
        self._commanded = self.publisher(Commanded, "commanded", "commanded", counted=True)
        self._outputs = OutputTopics(self, self.spec)
        self.sensor(JointState, self.spec.state.topic, self._on_joints, "joint_state")
        self.subscription(Run, "run", self._on_run, "run", counted=True)
        self.subscription(ActionChunk, "action_chunk", self._on_chunk, "chunk", counted=True)
        self.every(self.spec.rates.control_period_ns, self._tick)
        self.every_steady(STATUS_PERIOD_S, self._publish_status)

    def deactivate(self) -> None:
        """Nothing is sent any more; the last window brakes by itself."""
        self.commander.stop("operator", "control_bridge was deactivated", self.clock.now_ns())
        self._go_to.end("STOPPED", self.commander.stop_text)
        self._publish_status()

    def cleanup(self) -> None:
        """Free the motion libraries' objects before the interpreter ends."""
        if hasattr(self, "commander"):
            del self.commander

    def _new_commander(self) -> None:
        self.commander = Commander(
            self.spec,
            start_enabled=self.parameters.start_enabled,
            dry_run=self.parameters.dry_run,
            epoch=secrets.randbits(32),  # never one that an earlier process had
        )

    # Time.

    def _steady_ns(self) -> int:
        """In lockstep silence is measured in simulated time: nobody is late there."""
        return self.clock.now_ns() if self.parameters.lockstep else self.clock.steady_ns()

    def _on_jump(self, jump_ns: int) -> None:
        self.get_logger().warning(f"ROS time jumped by {jump_ns / 1e9:.3f} s: holding")
        self.commander.clock_jump(self.get_clock().now().nanoseconds)

    # Inputs.

    def _on_joints(self, message: JointState) -> None:
        try:
            positions = positions_from(message)
        except JointStateError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return  # counts as silence
        stamp_ns, now_ns = ns_from(message.header.stamp), self.clock.now_ns()
        refusal = self.commander.joint_state(stamp_ns, positions, now_ns, self._steady_ns())
        if refusal is not None:
            self.get_logger().warning(refusal.text, throttle_duration_sec=1.0)

    def _on_run(self, message: Run) -> None:
        run_id = run_id_from(message.run_id)
        if message.state == Run.ENDED:
            self.commander.run_ended(run_id, self.clock.now_ns())
        else:
            self._refused(self.commander.run_started(run_id, message.epoch, message.hold_at_end))

    def _on_chunk(self, message: ActionChunk) -> None:
        try:
            plan = plan_from(message)
        except ChunkError as error:
            self._refused(Refusal(reason="shape", text=str(error)))
            return
        self._refused(self.commander.accept(plan, self.clock.now_ns(), self._steady_ns()))

    def _refused(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            self._last_refusal = refusal.text
            self.get_logger().warning(refusal.text, throttle_duration_sec=1.0)

    # Services and the action.

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        text = "stopped by the service ~/stop; call ~/resume to move again"
        self.commander.stop("operator", text, self.clock.now_ns())
        return self._answer(response, None)

    def _on_resume(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, self.commander.resume(self.clock.now_ns()))

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        return self._answer(response, self.commander.enable(request.data, self.clock.now_ns()))

    def _answer(self, response: Any, refusal: Refusal | None) -> Any:
        response.success = refusal is None
        response.message = "" if refusal is None else refusal.text
        self._publish_status()
        return response

    # Outputs.

    def _tick(self) -> None:
        now_ns = self.clock.now_ns()
        commands = self.commander.tick(now_ns, self._steady_ns())
        self._outputs.send(commands, now_ns)
        if commands.commanded is not None:
            self._commanded.publish(commanded_msg(commands.commanded, self.spec.base_frame))
        self._go_to.follow()
        if commands.status_changed:
            self._publish_status()

    def _publish_status(self) -> None:
        now_ns = self.clock.now_ns()
        self._status.publish(status_msg(self.commander.report(now_ns), now_ns, self._last_refusal))


def main() -> int:
    """Entry point."""
    return run(ControlBridge)


if __name__ == "__main__":
    raise SystemExit(main())
