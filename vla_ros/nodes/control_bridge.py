"""control_bridge: plans in, smooth and limited commands out. `vla_ros.robot.Commander` decides.

A stop of this node is a software stop, not a safety function.
"""

from __future__ import annotations

import functools
import secrets
from dataclasses import dataclass

from sensor_msgs.msg import JointState
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, RobotSpecInfo, Run

from vla_ros.chunks import Refusal
from vla_ros.robot.command.commander import Commander
from vla_ros.robot.command.health import health_of, values_of
from vla_ros.robot.command.joints import JointsOfAllTopics
from vla_ros.robot.load import load_robot, load_workspace, robot_path
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.state import JointSource, StateSpec
from vla_ros.ros.bridge_services import BridgeServices
from vla_ros.ros.conversions.bridge import status_msg
from vla_ros.ros.conversions.commanded import commanded_msg
from vla_ros.ros.conversions.joints import JointStateError, positions_from
from vla_ros.ros.conversions.plan import ChunkError, plan_from, run_id_from
from vla_ros.ros.conversions.robot import robot_spec_msg
from vla_ros.ros.conversions.times import ns_from
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.go_to_server import GoToServer
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.outputs import Outputs, check_installed
from vla_ros.ros.outputs.farewell import brake
from vla_ros.ros.parameters import NodeParameters, parameter
from vla_ros.ros.spin import run

STATUS_PERIOD_S, CLOCK_PERIOD_S = 0.5, 0.1


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
        self._misses = 0

    def configure(self) -> None:
        """Everything but the motion: the services answer from here on."""
        self.spec = load_robot(self.parameters.robot)
        check_installed(self.spec)
        self._new_commander()
        self._diagnostics = Diagnostics(self)
        self._status = self.publisher(BridgeStatus, "bridge_status", "latched")
        text = robot_path(self.parameters.robot).read_text(encoding="utf-8")
        info = robot_spec_msg(self.spec, text)
        self.publisher(RobotSpecInfo, "robot_spec", "latched").publish(info)
        self._people = BridgeServices(
            self, lambda: self.commander, self.clock.awake_ns, self._publish_status
        )
        self._go_to = GoToServer(self, lambda: self.commander, self.clock.now_ns)
        self.on_release(self._go_to.destroy)

    def activate(self) -> None:
        """From here on the robot may move; nothing from before counts."""
        self._new_commander()
        self.clock.on_jump = self._on_jump
        self._commanded = self.publisher(Commanded, "commanded", "commanded", counted=True)
        self._outputs = Outputs(self, self.spec)
        self._outputs.prepare(self.commander, self.clock.now_ns(), self.clock.awake_ns())
        self._joints = JointsOfAllTopics(self.spec.state)
        for source in self.spec.state.joint_sources:
            take = functools.partial(self._on_joints, source)
            self.sensor(JointState, source.topic, take, "joint_state")
        self.subscription(Run, "run", self._on_run, "run", counted=True)
        self.subscription(ActionChunk, "action_chunk", self._on_chunk, "chunk", counted=True)
        self._people.listen(self.spec)
        self.every(self.spec.rates.control_period_ns, self._tick)
        self.every_steady(CLOCK_PERIOD_S, self._watch_clock)
        self.every_steady(STATUS_PERIOD_S, self._publish_status)

    def deactivate(self) -> None:
        """Nothing is sent any more; what does not brake by itself is told to."""
        self.commander.stop("deactivated", self.why_inactive, self.clock.now_ns())
        brake(self.commander, self._outputs, self.clock, self.spec.rates.control_period_ns)
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
            workspace=load_workspace(self.spec, self.parameters.robot),
        )

    # Time.

    def _on_jump(self, jump_ns: int) -> None:
        self.get_logger().warning(f"ROS time jumped by {jump_ns / 1e9:.3f} s: holding")
        self._joints.forget()
        self.commander.clock_jump(self.get_clock().now().nanoseconds, self.clock.awake_ns())

    def _watch_clock(self) -> None:
        self.commander.watch_clock(self.clock.awake_ns())

    # Inputs.

    def _on_joints(self, source: StateSpec | JointSource, message: JointState) -> None:
        try:
            heard = self._joints.heard(
                source, ns_from(message.header.stamp), positions_from(message)
            )
        except JointStateError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return  # counts as silence
        if heard is None:
            return
        self._diagnostics.event("joint states", self.clock.now_ns() - heard[0])
        refusal = self.commander.joint_state(*heard, self.clock.now_ns(), self.clock.awake_ns())
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
        now_ns = self.clock.now_ns()
        self._diagnostics.event("chunk", now_ns - plan.t_obs_ns)
        self._refused(self.commander.accept(plan, now_ns, self.clock.awake_ns()))
        if not self.parameters.lockstep:  # where nothing is held up
            self._outputs.send(self.commander.preview(now_ns), now_ns)
        self._diagnostics.values["remark"] = self.commander.remark

    def _refused(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            self._last_refusal = refusal.text
            self.get_logger().warning(refusal.text, throttle_duration_sec=1.0)

    # Outputs.

    def _tick(self) -> None:
        now_ns = self.clock.now_ns()
        self._diagnostics.event("control period")
        self._outputs.prepare(self.commander, now_ns, self.clock.awake_ns())
        commands = self.commander.tick(now_ns, self.clock.awake_ns())
        self._outputs.send(commands, now_ns)
        self._diagnostics.values.update(self._outputs.problems())
        if commands.commanded is not None:
            self._commanded.publish(commanded_msg(commands.commanded, self.spec.base_frame))
        self._go_to.follow()
        if commands.status_changed:
            self._publish_status()

    def _publish_status(self) -> None:
        now_ns = self.clock.now_ns()
        report = self.commander.report(now_ns)
        self._status.publish(status_msg(report, now_ns, self._last_refusal))
        health = health_of(report, self._misses)
        self._misses = report.deadline_misses
        self._diagnostics.values.update(values_of(report))
        self._diagnostics.set(health.level, health.words)


def main() -> int:
    """Entry point."""
    return run(ControlBridge)


if __name__ == "__main__":
    raise SystemExit(main())
