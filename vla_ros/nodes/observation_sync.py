"""Cameras and joint states in, one observation per image of the anchor camera out.

What cannot be observed is refused in words: on /diagnostics, and where the robot file declares
``on_loss: stop`` also by a call of control_bridge's stop service.
"""

from __future__ import annotations

from dataclasses import dataclass

from std_srvs.srv import Trigger
from vla_ros_msgs.msg import Observation as ObservationMsg

from vla_ros.policy.contract import contract_of
from vla_ros.robot.command.joints import JointsError
from vla_ros.robot.load import load_robot
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros.conversions.observation import observation_msg
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.joint_check import check_joints
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.observation_inputs import ObservationInputs, static_topics_of, topics_of
from vla_ros.ros.parameters import NodeParameters, parameter
from vla_ros.ros.publications import publication_problem, qos_problem
from vla_ros.ros.spin import run
from vla_ros.spaces import Observation
from vla_ros.sync import Refusal

POLL_NS = 10_000_000
STOP_AGAIN_NS = 1_000_000_000
TOPICS_PERIOD_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Parameters(NodeParameters):
    """Parameters of observation_sync."""

    robot: str = parameter("sim_arm", "robot file, or its name in config/robots")
    policy: str = parameter(
        "expert", "whose time contract the observations keep; as the policy node's parameter"
    )
    joints_wait_s: float = parameter(
        2.0, "how long configuring waits for a joint state to look for the joints in; 0: not at "
        "all, nor in lockstep, where time stands still until then", unit="s", minimum=0.0
    )  # fmt: skip


class ObservationSync(VlaNode[Parameters]):
    """Wiring around ``robot.Observer``."""

    def __init__(self) -> None:
        super().__init__("observation_sync", Parameters)

    def configure(self) -> None:
        """Reads the robot file, makes the topics; refuses joint states without its joints."""
        self._spec = load_robot(self.parameters.robot)
        self._hash = spec_hash(self._spec)
        self._frames = {camera.key: camera.frame_id for camera in self._spec.cameras}
        contract = contract_of(self.parameters.policy, self._spec.camera_keys)
        self._observer = Observer(self._spec, contract)
        self._diagnostics = Diagnostics(self)
        self._check_joints()
        self._output = self.publisher(ObservationMsg, "observation", "observation", counted=True)
        self._inputs = ObservationInputs(self, self._spec, self._observer, self._arrived)
        self._stop = self.create_client(Trigger, "control_bridge/stop")
        self.on_release(lambda: self.destroy_client(self._stop))
        self._refusals = 0
        self._stopped_ns = 0
        self.every_steady(TOPICS_PERIOD_S, self._look_at_topics)
        self.clock.on_jump = self._on_jump

    def activate(self) -> None:
        """Forgets what came while inactive, and begins."""
        self._observer.clear()
        self._diagnostics.set("stale", "no observation yet")
        self.every(POLL_NS, self._observe)

    def deactivate(self) -> None:
        """Says so."""
        self._diagnostics.set("stale", "inactive")

    def _check_joints(self) -> None:
        if self.parameters.lockstep:
            return
        try:
            check_joints(self, self._spec.state, self.parameters.joints_wait_s)
        except JointsError as error:
            self._diagnostics.last_words(str(error))
            raise

    def _on_jump(self, jump_ns: int) -> None:
        self._inputs.forget()
        self._observer.clear()
        self.get_logger().warning(f"ROS time jumped by {jump_ns * 1e-9:.3f} s; histories cleared")

    def _arrived(self, stream: str, age_ns: int, refusal: Refusal | None) -> None:
        self._diagnostics.event(stream, age_ns)
        self._refused(refusal)
        if not self.parameters.lockstep and stream in self._frames:
            self._observe()

    def _look_at_topics(self) -> None:
        problems = {
            f"{stream} topic": publication_problem(self, topic, message)
            for stream, topic, message in topics_of(self._spec)
        }
        # Sensors are read with what their publishers offer; these topics have a QoS of their own.
        for topic in ("observation", *static_topics_of(self._spec)):
            problems[f"{topic} QoS"] = qos_problem(self, topic)
        for what, problem in problems.items():
            self._diagnostics.values[what] = problem or "ok"
            if problem is not None:
                self.get_logger().warning(f"{what}: {problem}", throttle_duration_sec=10.0)
        for stream, counts in self._observer.counts().items():
            for reason, count in counts.items():
                self._diagnostics.values[f"{stream} {reason}"] = count

    def _observe(self) -> None:
        now_ns = self.clock.now_ns()
        if not self.active or now_ns == 0:
            return
        result = self._observer.observe(now_ns)
        if isinstance(result, Refusal):
            self._refused(result)
        elif result is not None:
            self._publish(result, now_ns)

    def _publish(self, observation: Observation, now_ns: int) -> None:
        self._output.publish(
            observation_msg(observation, self._hash, self._spec.base_frame, self._frames)
        )
        self._diagnostics.event("observation", now_ns - observation.t_obs_ns)
        self._diagnostics.values.update(
            {f"{report.name} offset [s]": report.offset_ns * 1e-9 for report in observation.streams}
        )
        poor = [r for r in observation.streams if r.state not in ("OK", "INTERPOLATED")]
        if poor:
            words = ", ".join(f"{r.name} {r.state} for {r.age_ns * 1e-9:.2f} s" for r in poor)
            self._diagnostics.set("warn", words)
        else:
            self._diagnostics.set("ok", "observing")

    def _refused(self, refusal: Refusal | None) -> None:
        if refusal is None:
            return
        self._refusals += 1
        self._diagnostics.values["refusals"] = self._refusals
        self._diagnostics.set("error" if refusal.consequence == "stop" else "warn", str(refusal))
        self.get_logger().warning(str(refusal), throttle_duration_sec=1.0)
        now_ns = self.clock.alive_ns()
        again = now_ns - self._stopped_ns > STOP_AGAIN_NS
        if refusal.consequence == "stop" and again and self._stop.service_is_ready():
            self._stopped_ns = now_ns
            self._stop.call_async(Trigger.Request())


def main() -> int:
    """Runs the node."""
    return run(ObservationSync)


if __name__ == "__main__":
    raise SystemExit(main())
