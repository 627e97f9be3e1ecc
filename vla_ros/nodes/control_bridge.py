"""control_bridge: plans in, smooth and limited commands out. `vla_ros.robot.Commander` decides.

A stop of this node is a software stop, not a safety function.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_ros_msgs.action import GoTo
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, RobotSpecInfo, Run

from vla_ros.chunks import Refusal
from vla_ros.robot.commander import Commander
from vla_ros.robot.commands import Commands
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.spec import OutputSpec, RobotSpec
from vla_ros.ros.actions import OUTCOME_NUMBERS, GoalServer
from vla_ros.ros.conversions.bridge import status_msg, twist_msg, twist_stamped_msg
from vla_ros.ros.conversions.commanded import commanded_msg
from vla_ros.ros.conversions.joints import JointStateError, positions_from
from vla_ros.ros.conversions.plan import ChunkError, plan_from, run_id_from
from vla_ros.ros.conversions.robot import robot_spec_msg
from vla_ros.ros.conversions.times import ns_from
from vla_ros.ros.conversions.trajectory import trajectory_msg
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.parameters import NodeParameters, parameter
from vla_ros.ros.spin import run

STATUS_PERIOD_S = 0.5
FEEDBACK_TICKS = 10


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
        self._going: bytes | None = None
        self._going_epoch = 0
        self._ticks = 0

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
        self._go_to = GoalServer(self, GoTo, "go_to", self._on_go_to, self._on_cancel_go_to)
        self.on_release(self._go_to.destroy)

    def activate(self) -> None:
        """From here on the robot may move; nothing from before counts."""
        self._new_commander()
        self.clock.on_jump = self._on_jump
        self._commanded = self.publisher(Commanded, "commanded", "commanded", counted=True)
        self._outputs = {output.name: self._output(output) for output in self.spec.outputs}
        self.sensor(JointState, self.spec.state.topic, self._on_joints, "joint_state")
        self.subscription(Run, "run", self._on_run, "latched", counted=True)
        self.subscription(ActionChunk, "action_chunk", self._on_chunk, "chunk", counted=True)
        self.every(self.spec.rates.control_period_ns, self._tick)
        self.every_steady(STATUS_PERIOD_S, self._publish_status)

    def deactivate(self) -> None:
        """Nothing is sent any more; the last window brakes by itself."""
        self.commander.stop("operator", "control_bridge was deactivated", self.clock.now_ns())
        self._end_go_to("STOPPED", self.commander.stop_text)
        self._publish_status()

    def cleanup(self) -> None:
        """Free the motion libraries' objects before the interpreter ends."""
        vars(self).pop("commander", None)

    def _new_commander(self) -> None:
        self.commander = Commander(
            self.spec,
            start_enabled=self.parameters.start_enabled,
            dry_run=self.parameters.dry_run,
            epoch=secrets.randbits(32),  # never one that an earlier process had
        )

    def _output(self, output: OutputSpec) -> Publisher:
        kind = {"twist": Twist, "twist_stamped": TwistStamped}.get(
            output.controller, JointTrajectory
        )
        return self.publisher(kind, output.topic, "command", counted=True)

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

    def _on_go_to(self, goal_id: bytes, request: GoTo.Goal) -> None:
        speed = request.speed or 1.0
        if self._going is not None:
            refusal: Refusal | None = Refusal(reason="mode", text="another go_to is under way")
        else:
            refusal = self.commander.go_to(request.pose, speed, self.clock.now_ns())
        if refusal is not None:
            self._go_to.end(goal_id, _go_to_result("REFUSED", refusal.text))
            return
        self._going, self._going_epoch = goal_id, self.commander.epoch

    def _on_cancel_go_to(self, goal_id: bytes) -> None:
        if goal_id == self._going:
            self.commander.cancel_go_to(self.clock.now_ns())
            self._end_go_to("CANCELED", "cancelled by the client")

    def _end_go_to(self, outcome: str, message: str) -> None:
        if self._going is not None:
            self._go_to.end(self._going, _go_to_result(outcome, message))
            self._going = None

    def _follow_go_to(self, now_ns: int) -> None:
        if self._going is None:
            return
        progress = self.commander.go_to_progress(now_ns)
        if self.commander.epoch != self._going_epoch:
            self._end_go_to("STOPPED", self.commander.stop_text or "the robot was stopped")
        elif progress is None:
            self._end_go_to("SUCCEEDED", "")
        elif self._ticks % FEEDBACK_TICKS == 0:
            self._go_to.feedback(self._going, GoTo.Feedback(progress=progress))

    # Outputs.

    def _tick(self) -> None:
        now_ns = self.clock.now_ns()
        self._ticks += 1
        commands = self.commander.tick(now_ns, self._steady_ns())
        self._send(commands, now_ns)
        self._follow_go_to(now_ns)
        if commands.status_changed:
            self._publish_status()

    def _send(self, commands: Commands, now_ns: int) -> None:
        frame = self.spec.base_frame
        for name, window in commands.windows:
            joints = self.spec.output(name).joints
            self._outputs[name].publish(trajectory_msg(window, joints))
        for name, velocity in commands.twists:
            stamped = self.spec.output(name).controller == "twist_stamped"
            message = twist_stamped_msg(velocity, now_ns, frame) if stamped else twist_msg(velocity)
            self._outputs[name].publish(message)
        if commands.commanded is not None:
            self._commanded.publish(commanded_msg(commands.commanded, frame))

    def _publish_status(self) -> None:
        now_ns = self.clock.now_ns()
        self._status.publish(status_msg(self.commander.report(now_ns), now_ns, self._last_refusal))


def _go_to_result(outcome: str, message: str) -> GoTo.Result:
    return GoTo.Result(outcome=OUTCOME_NUMBERS[outcome], message=message)


def main() -> int:
    """Entry point."""
    return run(ControlBridge)


if __name__ == "__main__":
    raise SystemExit(main())
