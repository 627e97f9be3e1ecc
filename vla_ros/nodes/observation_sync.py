"""Cameras and joint states in, one observation per image of the anchor camera out.

What cannot be observed is refused in words: on /diagnostics, and where the robot file declares
``on_loss: stop`` also by a call of control_bridge's stop service.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import Observation as ObservationMsg

from vla_ros.errors import VlaError
from vla_ros.robot.load import load_robot
from vla_ros.robot.observer import Observer
from vla_ros.robot.spec import RobotSpec, spec_hash
from vla_ros.ros.conversions.observation import observation_msg
from vla_ros.ros.conversions.times import ns_from
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.parameters import NodeParameters, ParameterError, parameter
from vla_ros.ros.spin import run
from vla_ros.spaces import Observation, TimeContract
from vla_ros.sync import Refusal

POLL_NS = 10_000_000
STOP_AGAIN_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Parameters(NodeParameters):
    """Parameters of observation_sync."""

    robot: str = parameter("sim_arm", "robot file, or its name in config/robots")
    time_contract: str = parameter(
        "",
        "checkpoint folder or JSON file with the time contract of the policy's training data; "
        "empty: that of this package's own recordings, where everything is stamped at capture",
    )


class ObservationSync(VlaNode[Parameters]):
    """Wiring around ``robot.Observer``."""

    def __init__(self) -> None:
        super().__init__("observation_sync", Parameters)

    def configure(self) -> None:
        """Reads the robot file, makes the topics."""
        self._spec = load_robot(self.parameters.robot)
        self._hash = spec_hash(self._spec)
        self._frames = {camera.key: camera.frame_id for camera in self._spec.cameras}
        self._observer = Observer(self._spec, _contract(self.parameters.time_contract, self._spec))
        self._output = self.publisher(ObservationMsg, "observation", "observation", counted=True)
        for camera in self._spec.cameras:
            take = functools.partial(self._on_image, camera.key)
            self.sensor(Image, camera.topic, take, "image")
        self.sensor(JointState, self._spec.state.topic, self._on_joints, "joint_state")
        self._stop = self.create_client(Trigger, "control_bridge/stop")
        self.on_release(lambda: self.destroy_client(self._stop))
        self._diagnostics = Diagnostics(self)
        self._refusals = 0
        self._stopped_ns = 0
        self.clock.on_jump = self._on_jump

    def activate(self) -> None:
        """Forgets what came while inactive, and begins."""
        self._observer.clear()
        self._diagnostics.set("stale", "no observation yet")
        self.every(POLL_NS, self._observe)

    def deactivate(self) -> None:
        """Says so."""
        self._diagnostics.set("stale", "inactive")

    def _on_jump(self, jump_ns: int) -> None:
        self._observer.clear()
        self.get_logger().warning(f"ROS time jumped by {jump_ns * 1e-9:.3f} s; histories cleared")

    def _on_image(self, key: str, message: Image) -> None:
        now_ns = self.clock.now_ns()
        if now_ns == 0:
            return  # simulated time has not been heard of yet
        stamp_ns = ns_from(message.header.stamp)
        self._diagnostics.event(key, now_ns - stamp_ns)
        refusal = self._observer.push_message(
            key,
            stamp_ns,
            encoding=message.encoding,
            height=message.height,
            width=message.width,
            step=message.step,
            data=np.frombuffer(message.data, dtype=np.uint8),
            now_ns=now_ns,
        )
        self._refused(refusal)
        if not self.parameters.lockstep:
            self._observe()

    def _on_joints(self, message: JointState) -> None:
        now_ns = self.clock.now_ns()
        if now_ns == 0:
            return
        stamp_ns = ns_from(message.header.stamp)
        self._diagnostics.event("state", now_ns - stamp_ns)
        self._refused(
            self._observer.push_joint_arrays(stamp_ns, message.name, message.position, now_ns)
        )

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
        poor = [report for report in observation.streams if report.state == "HELD"]
        if poor:
            words = ", ".join(f"{r.name} held for {r.age_ns * 1e-9:.2f} s" for r in poor)
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
        steady_ns = self.clock.steady_ns()
        if refusal.consequence == "stop" and steady_ns - self._stopped_ns > STOP_AGAIN_NS:
            self._stopped_ns = steady_ns
            if self._stop.service_is_ready():
                self._stop.call_async(Trigger.Request())


def _contract(source: str, spec: RobotSpec) -> TimeContract:
    if not source:
        return TimeContract.at_capture(spec.camera_keys)
    path = Path(source).expanduser()
    path = path / "config.json" if path.is_dir() else path
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return TimeContract.from_dict(values.get("time_contract", values))
    except (OSError, ValueError, AttributeError, KeyError, VlaError) as error:
        raise ParameterError(
            f"parameter 'time_contract': {path}: {error}. Expected a JSON file with "
            "image_latency_s, state_at, action_offset_s, dt_s and interpolation, alone or under "
            "'time_contract'"
        ) from error


def main() -> int:
    """Runs the node."""
    return run(ObservationSync)


if __name__ == "__main__":
    raise SystemExit(main())
