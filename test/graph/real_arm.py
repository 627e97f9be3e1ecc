"""sim_arm as mock hardware under ros2_control, our bridge, and plans along a smooth curve."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from followed import Reference
from stage import Stage, stage
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Run

from benchmarks.commanded_curve import off_the_curve
from benchmarks.mock_hardware import MockHardware, mock_hardware, mock_urdf
from vla_ros.chunks import Plan
from vla_ros.robot.files import shared_folder
from vla_ros.robot.load import load_robot, robot_path, urdf_text
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.plan import chunk_msg, uuid_msg

MS = 1_000_000
HOME = {"joint2": 0.10, "joint3": 0.15, "joint5": 1.3208}
JOINTS = tuple(f"joint{i}" for i in range(1, 7))
CONTROLLERS = ("arm_controller", "gripper_controller")
DT_NS, ROWS = 50 * MS, 16
DECELERATION, AGAIN_S = 12.0, 5.0


class RealArm:
    """The arm and who drives it: a run is fed with plans every `every_ns`."""

    def __init__(self, on: Stage) -> None:
        self.stage = on
        self.spec = load_robot("sim_arm")
        self.reference = Reference(on, "arm_controller")
        self.commanded: list[Commanded] = []
        self.status: BridgeStatus | None = None
        self.hardware: MockHardware | None = None
        node = on.node
        node.create_subscription(Commanded, "commanded", self.commanded.append, 50)
        node.create_subscription(
            BridgeStatus, "bridge_status", self._on_status, qos.profile("latched")
        )
        self._run = node.create_publisher(Run, "run", qos.profile("run"))
        self._chunks = node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))
        self._run_id = b""
        self._begun_ns = 0
        self._seq = 0
        self._rng = np.random.default_rng(1)
        self.every_ns = 100 * MS
        self._due_ns = 0
        node.create_timer(0.005, self._feed)

    def _on_status(self, status: BridgeStatus) -> None:
        self.status = status

    def now_ns(self) -> int:
        return int(self.stage.node.get_clock().now().nanoseconds)

    def wait_s(self, seconds: float) -> None:
        end_ns = self.now_ns() + round(seconds * 1e9)
        self.stage.wait(lambda: self.now_ns() >= end_ns, "time to pass")

    def curve(self, t_ns: np.ndarray) -> np.ndarray:
        """The arm's joints at instants. Shape (n, 6)."""
        t = np.maximum(t_ns - self._begun_ns, 0) * 1e-9
        u = np.clip(t / 1.5, 0.0, 1.0)
        swing = 0.5 * np.sin(2.0 * np.pi * 0.5 * t) * u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
        still = np.array([HOME.get(name, 0.0) for name in JOINTS])
        return still + swing[:, None] * np.array([1.0, 0.3, -0.3, 0.8, 0.2, -1.0])

    def start_run(self) -> None:
        """From home, at once."""
        assert self.status is not None
        self._run_id = uuid.uuid4().bytes
        self._begun_ns = self.now_ns() + 300 * MS
        self._seq = 0
        self._run.publish(
            Run(run_id=uuid_msg(self._run_id), epoch=self.status.epoch, state=Run.STARTED)
        )

    def end_run(self) -> None:
        self._run.publish(Run(run_id=uuid_msg(self._run_id), state=Run.ENDED, hold_at_end=True))
        self._run_id = b""

    def _feed(self) -> None:
        now_ns = self.now_ns()
        if not self._run_id or now_ns < self._due_ns or self.status is None:
            return
        self._due_ns = now_ns + self.every_ns
        t_ns = now_ns + DT_NS * np.arange(ROWS, dtype=np.int64)
        noise = self._rng.normal(0.0, 0.001, (ROWS, len(JOINTS)))
        plan = Plan(
            run_id=self._run_id,
            epoch=self.status.epoch,
            seq=self._seq,
            spec_hash=spec_hash(self.spec),
            t_obs_ns=now_ns,
            start_ns=now_ns,
            dt_ns=DT_NS,
            valid_from_ns=now_ns + 20 * MS,
            actions=np.hstack([self.curve(t_ns) + noise, np.ones((ROWS, 1))]),
        )
        self._seq += 1
        self._chunks.publish(chunk_msg(plan, self.spec.base_frame))

    def speed(self) -> float:
        """Of what the controller follows now."""
        return float(np.abs(self.reference.velocity[-1]).max())

    def in_motion(self) -> None:
        """Start and wait for full speed; begins anew where a busy computer stopped the robot."""

        def fast() -> bool:
            if not self._run_id or self.status.reset_required:
                self.home()
                self.start_run()
            return self.now_ns() > self._begun_ns + 2000 * MS and self.speed() > 1.0

        if self._run_id:
            self.end_run()
        self.stage.wait(fast, "fast motion")

    def heard(self) -> None:
        """Everything that the controller followed until now."""
        now_ns = self.now_ns()
        self.stage.wait(lambda: self.reference.t_ns[-1] >= now_ns, "the controller's state")

    def at_rest(self, since_ns: int) -> int:
        """Wait for rest; when it began."""

        def still() -> bool:
            times, _, velocity = self.reference.since(since_ns)
            return bool(len(times)) and not velocity[times > times[-1] - 100 * MS].any()

        self.stage.wait(still, "rest", 10.0)
        times, _, velocity = self.reference.since(since_ns)
        moving = velocity.any(axis=1)
        return int(times[np.flatnonzero(moving)[-1]]) if moving.any() else since_ns

    def home(self) -> None:
        """End the run, lift a stop, go home."""
        from rclpy.action import ActionClient
        from vla_ros_msgs.action import GoTo
        from vla_ros_msgs.msg import Outcome

        if self._run_id:
            self.end_run()
        self.resume()
        client = ActionClient(self.stage.node, GoTo, "go_to")
        try:
            self.stage.wait(client.server_is_ready, "go_to")

            def gone() -> bool:
                # A bridge that has just died is still discovered: ask again.
                sent = client.send_goal_async(GoTo.Goal(pose="home", speed=1.0))
                if not self.stage.waits(sent.done, AGAIN_S):
                    return False
                result = sent.result().get_result_async()
                self.stage.waits(result.done, 2 * AGAIN_S)
                return result.done() and result.result().result.outcome == Outcome.SUCCEEDED

            self.stage.wait(gone, "home")
        finally:
            client.destroy()

    def resume(self) -> None:
        client = self.stage.node.create_client(Trigger, "control_bridge/resume")
        self.stage.wait(client.service_is_ready, "resume")

        def free() -> bool:
            answer = client.call_async(Trigger.Request())
            heard = self.stage.waits(answer.done, AGAIN_S)
            return heard and (not self.status.reset_required or answer.result().success)

        self.stage.wait(free, "resume")
        self.stage.node.destroy_client(client)
        self.stage.wait(lambda: not self.status.reset_required, "no stop")

    def decelerates_gently(self, since_ns: int) -> None:
        """Every acceleration of what the controller follows stays inside the limit."""
        self.heard()
        times, _, velocity = self.reference.since(since_ns)
        a = np.diff(velocity, axis=0) / (np.diff(times) * 1e-9)[:, None]
        assert np.abs(a).max() < 1.02 * DECELERATION

    def distance_from_commands(self, since_ns: int) -> float:
        """Largest distance of what the controller follows from the curve that was commanded."""
        self.heard()
        times, position, _ = self.reference.since(since_ns)
        return float(off_the_curve(times, position, self.commanded).max())


@contextmanager
def real_arm() -> Iterator[RealArm]:
    """Everything, up."""
    path = robot_path("sim_arm")
    urdf = urdf_text(load_robot("sim_arm"), path)
    states = {name: (HOME.get(name, 0.0), 0.0) for name in JOINTS} | {"finger_joint": (0.042, 0.0)}
    with stage() as on:
        made = RealArm(on)
        described = mock_urdf(urdf or "", states)
        parameters = shared_folder() / "config" / "controllers.yaml"
        with mock_hardware(on.node, on.wait, described, parameters, CONTROLLERS) as made.hardware:
            on.start("control_bridge", robot="sim_arm", start_enabled=True)
            on.wait(lambda: bool(made.commanded), "commands")
            yield made
