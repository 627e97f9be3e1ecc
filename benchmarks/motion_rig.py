"""Our bridge and a trajectory controller as processes, driven over DDS by `motion_loop`'s policy.

The controller is ros2_control's own with mock hardware (``real``), or the simulated one (``sim``).
The policy acts on the joint states, 33 ms apart and 30 ms old as in `motion_loop`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import yaml
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Run

from benchmarks.mock_hardware import mock_hardware, mock_urdf
from benchmarks.motion_loop import (
    CAMERA_AGE_NS,
    CAMERA_NS,
    JOINTS,
    LIMITS,
    PERIOD_NS,
    SPACE,
    SPEC,
    WHITE_RAD,
    Array,
    FlowPolicy,
    Reference,
)
from vla_ros.chunks import Joining
from vla_ros.cli.processes import Command, ProcessGraph
from vla_ros.policy.runner import Job, PolicyRunner
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.plan import chunk_msg, run_id_from, uuid_msg
from vla_ros.ros.conversions.times import ns_from
from vla_ros.ros.domain import isolated_domain
from vla_ros.ros.task_client import GraphNotUpError, TaskClient
from vla_ros.spaces import Observation

Controller = Literal["sim", "real"]
MS = 1_000_000
UPDATE_NS = 2 * MS
UP_S = 30.0
ATTEMPTS, SETTLE_S, DEPTH = 5, 0.3, 5000
LOOKAHEAD_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message of the bridge: when it was written (system time) and what it was."""

    written_ns: int
    message: Any

    @property
    def stamp_ns(self) -> int:
        """Of its header."""
        return ns_from(self.message.header.stamp)


class Rig:
    """Bridge, controller, and what is heard of them.

    Attributes:
        joints: Stamp in [ns] and positions of every joint state.
        followed: The same of what the controller sampled at every update.
        commanded: Every Commanded.
        windows: Every trajectory that was sent.
        status: The bridge's newest.
    """

    def __init__(self, client: TaskClient, robot: Path) -> None:
        self.client = client
        self.spec_hash = spec_hash(load_robot(robot))
        self.joints: list[tuple[int, Array]] = []
        self.followed = self.joints
        self.commanded: list[Sent] = []
        self.windows: list[Sent] = []
        self.status: BridgeStatus | None = None
        self.on_commanded: Callable[[Commanded], None] = lambda _: None
        node = client.node
        self._states = node.create_subscription(JointState, "/joint_states", self._on_joints, DEPTH)
        node.create_subscription(Commanded, "commanded", self._on_commanded, DEPTH)
        node.create_subscription(
            JointTrajectory, "/arm_controller/joint_trajectory", self._on_window, 100
        )
        node.create_subscription(
            BridgeStatus, "bridge_status", self._on_status, qos.profile("latched")
        )
        self.runs = node.create_publisher(Run, "run", qos.profile("run"))
        self.chunks = node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Handle callbacks until something is so.

        Raises:
            GraphNotUpError: it is not in time.
        """
        if not self.client.spin_until(done, UP_S):
            raise GraphNotUpError(f"waited {UP_S:g} s for {what}")

    def home(self) -> None:
        """Lift a stop, bring the joints to zero, forget what was heard."""
        for attempt in range(ATTEMPTS):
            try:
                self.client.resume(UP_S)
                self.client.spin_until(lambda: False, SETTLE_S)
                self.client.go_to("home", UP_S)
                break
            except GraphNotUpError:  # stopped again, or still settling
                if attempt == ATTEMPTS - 1:
                    raise
        self.joints.clear()
        self.followed.clear()
        self.commanded.clear()
        self.windows.clear()
        self.wait(lambda: bool(self.joints and self.commanded), "joint states and commands")

    def path(self, t0_ns: int, end_ns: int) -> tuple[Array, Array]:
        """What the controller followed: seconds after `t0_ns`, positions. Shapes (n,), (n, N)."""
        stamps = np.array([t for t, _ in self.followed], dtype=np.int64)
        position = np.array([p for _, p in self.followed])
        new = np.concatenate([[True], np.diff(stamps) > UPDATE_NS // 4])
        inside = (stamps >= t0_ns) & (stamps <= end_ns) & new
        return np.asarray((stamps[inside] - t0_ns) * 1e-9, np.float64), position[inside]

    def listen(self) -> None:
        """To what ros2_control's controller reads and follows, as it says at every update.

        Joint states show the same a period later, but a broadcaster may leave some out, and then
        nobody knows which period it was. They are not listened to: it would cost as much again.
        """
        from control_msgs.msg import JointTrajectoryControllerState

        self.followed = []

        def on_state(message: Any) -> None:
            stamp_ns = ns_from(message.header.stamp)
            followed = np.asarray(message.reference.positions, dtype=np.float64)
            self.followed.append((stamp_ns, followed))
            read = np.asarray(message.feedback.positions, dtype=np.float64)
            self.joints.append((stamp_ns, read))

        node = self.client.node
        node.destroy_subscription(self._states)
        node.create_subscription(
            JointTrajectoryControllerState, "/arm_controller/controller_state", on_state, DEPTH
        )

    def _on_joints(self, message: JointState) -> None:
        index = [message.name.index(name) for name in JOINTS]
        position = np.asarray(message.position, dtype=np.float64)[index]
        self.joints.append((ns_from(message.header.stamp), position))

    def _on_commanded(self, message: Commanded, info: dict[str, int]) -> None:
        self.commanded.append(Sent(written_ns=info["source_timestamp"], message=message))
        self.on_commanded(message)

    def _on_window(self, message: JointTrajectory, info: dict[str, int]) -> None:
        self.windows.append(Sent(written_ns=info["source_timestamp"], message=message))

    def _on_status(self, message: BridgeStatus) -> None:
        self.status = message


class Follower:
    """One run of the policy through the rig.

    Args:
        rig: Where.
        reference: What to follow, by seconds after the start.
        latency_s: Of the inference; the policy itself takes some ms of it.
        seed: Of the policy's noise.
        runner: How chunks are joined.
    """

    def __init__(
        self, rig: Rig, reference: Reference, latency_s: float, seed: int, runner: PolicyRunner
    ) -> None:
        self.rig = rig
        self.policy = FlowPolicy(reference=reference, rng=np.random.default_rng(seed))
        self.runner = runner
        self.latency_ns = round(latency_s * 1e9)
        self.published: list[tuple[int, int]] = []
        """When chunks were published, and the instants they saw, in [ns] after the start."""
        self.stretch = 1.0
        self.stopped = ""
        self.t0_ns = self.end_ns = 0
        self.knows_after_ns = 1 << 62
        self._seen: deque[Observation] = deque()
        self._job: tuple[Job, Array] | None = None
        self._next_ns = 0

    def run(self, seconds: float) -> None:
        """Follow the reference for a while, then end the run."""
        rig, run_id = self.rig, uuid.uuid4().bytes
        rig.home()
        assert rig.status is not None  # home waited for it
        self.runner.start_run(run_id, rig.status.epoch, "follow")
        rig.runs.publish(Run(run_id=uuid_msg(run_id), epoch=rig.status.epoch, state=Run.STARTED))
        rig.on_commanded = self._progress
        self.t0_ns = self._next_ns = time.time_ns()
        end_ns = self.t0_ns + round(seconds * 1e9)

        def over() -> bool:
            self._work(time.time_ns())
            assert rig.status is not None
            if rig.status.reset_required:
                self.stopped = rig.status.stop_text
            return time.time_ns() > end_ns or bool(self.stopped)

        rig.client.spin_until(over, seconds + 5.0)
        self.end_ns = time.time_ns()
        rig.on_commanded = lambda _: None
        rig.runs.publish(Run(run_id=uuid_msg(run_id), state=Run.ENDED, hold_at_end=True))
        self.runner.end_run()
        rig.client.spin_until(lambda: rig.followed[-1][0] >= self.end_ns, 5.0)

    def _progress(self, message: Commanded) -> None:
        self.runner.progress(
            run_id_from(message.run_id),
            message.chunk_seq,
            message.chunk_row,
            ns_from(message.header.stamp),
        )

    def _work(self, now_ns: int) -> None:
        while self._next_ns <= now_ns:
            self._look(self._next_ns)
            self._next_ns += CAMERA_NS
        while self._seen and self._seen[0].t_obs_ns <= now_ns - CAMERA_AGE_NS:
            self.runner.observe(self._seen.popleft())
        if self._job and now_ns >= self._job[0].inference_start_ns + self.latency_ns:
            (job, answer), self._job = self._job, None
            plan = self.runner.finish(job, answer, inference_end_ns=now_ns, publish_ns=now_ns)
            if plan is not None:
                self.rig.chunks.publish(chunk_msg(plan, "base"))
                self.published.append((now_ns - self.t0_ns, plan.t_obs_ns - self.t0_ns))
                self.stretch = max(self.stretch, self.runner.stats.stretch)
        job = self.runner.poll(now_ns) if self._job is None else None
        if job is not None:
            seen = job.request.observation
            shifted = replace(
                seen, t_obs_ns=seen.t_obs_ns - self.t0_ns, start_ns=seen.start_ns - self.t0_ns
            )
            self._job = (job, self.policy.infer(replace(job.request, observation=shifted)))

    def _look(self, t_ns: int) -> None:
        stamp_ns, state = self.rig.joints[-1]
        self._seen.append(
            Observation(
                seq=t_ns // CAMERA_NS,
                t_obs_ns=t_ns,
                start_ns=t_ns,
                images={},
                image_stamps_ns={},
                state=state,
                state_stamp_ns=stamp_ns,
                streams=(),
            )
        )


def runner_of(rig: Rig, joining: Joining, execute_ns: int | None = None) -> PolicyRunner:
    """As in the loop in simulated time."""
    if execute_ns is None:
        execute_ns = 800 * MS if joining == "sync" else 200 * MS
    return PolicyRunner(
        SPEC,
        SPACE,
        aggregation=joining,
        execute_ns=execute_ns,
        period_ns=PERIOD_NS,
        spec_hash=rig.spec_hash,
    )


def off_the_curve(
    times: npt.NDArray[np.int64], path: Array, commanded: Sequence[Commanded]
) -> Array:
    """Distance of a path from the curve that was commanded, between its first and last sample.

    Args:
        times: Instants of the path, in [ns]. Shape (n,).
        path: Shape (n, N).
        commanded: Of one stretch of time; between two samples the curve is a cubic.

    Returns:
        The largest over joints, for those instants that are inside. Shape (m,).
    """
    width = path.shape[1]
    t = np.array([ns_from(c.header.stamp) for c in commanded], dtype=np.int64)
    p = np.array([np.asarray(c.action)[:width] for c in commanded])
    v = np.array([np.asarray(c.velocity)[:width] for c in commanded])
    new = np.concatenate([[True], np.diff(t) > 0])
    t, p, v = t[new], p[new], v[new]
    inside = (times >= t[0]) & (times < t[-1])
    k = np.searchsorted(t, times[inside], side="right") - 1
    h = ((t[k + 1] - t[k]) * 1e-9)[:, None]
    u = ((times[inside] - t[k]) * 1e-9)[:, None] / h
    curve = (
        (1 + 2 * u) * (1 - u) ** 2 * p[k]
        + u * (1 - u) ** 2 * h * v[k]
        + u**2 * (3 - 2 * u) * p[k + 1]
        + u**2 * (u - 1) * h * v[k + 1]
    )
    return np.asarray(np.abs(path[inside] - curve).max(axis=1), np.float64)


@contextmanager
def motion_rig(controller: Controller, realtime_priority: int = 0) -> Iterator[Rig]:
    """Bridge and controller, up, in a domain of their own; the bridge with this priority."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ.update(stack.enter_context(isolated_domain()))
        robot = folder / "robot.yaml"
        robot.write_text(yaml.safe_dump(_robot_file()), encoding="utf-8")
        client = stack.enter_context(TaskClient())
        rig = Rig(client, robot)
        if controller == "real":
            parameters = folder / "controllers.yaml"
            parameters.write_text(yaml.safe_dump(_controllers()), encoding="utf-8")
            urdf = mock_urdf(_urdf(), dict.fromkeys(JOINTS, (0.0, 0.0)))
            stack.enter_context(
                mock_hardware(client.node, rig.wait, urdf, parameters, ("arm_controller",))
            )
            rig.listen()
        else:
            stack.enter_context(_process("controller", "benchmarks.controller_process", *JOINTS))
        words = ("--ros-args", "-p", f"robot:={robot}", "-p", "start_enabled:=true")
        words += ("-p", f"realtime_priority:={realtime_priority}")
        stack.enter_context(_process("control_bridge", "vla_ros.nodes.control_bridge", *words))
        rig.wait(lambda: bool(rig.commanded) and rig.status is not None, "the bridge's commands")
        yield rig


def _process(label: str, module: str, *arguments: str) -> ProcessGraph:
    argv = (sys.executable, "-m", module, *arguments)
    command = Command(label=label, argv=argv, environment={}, required=False)
    return ProcessGraph([command], lambda name, line: print(f"[{name}] {line}", file=sys.stderr))


def _robot_file() -> dict[str, Any]:
    limits = {
        name: {
            "lower": float(LIMITS.lower[k]),
            "upper": float(LIMITS.upper[k]),
            "velocity": float(LIMITS.velocity[k]),
            "acceleration": float(LIMITS.acceleration[k]),
            "jerk": float(LIMITS.jerk[k]),
        }
        for k, name in enumerate(JOINTS)
    }
    return {
        "name": "flow_arm",
        "base_frame": "base",
        "anchor": "state",
        "state": {
            "topic": "/joint_states",
            "tolerance_s": 0.02,
            "on_loss": "stop",
            "joints": list(JOINTS),
        },
        "action": [{"name": "arm", "kind": "position", "names": list(JOINTS), "output": "arm"}],
        "outputs": [
            {
                "name": "arm",
                "controller": "joint_trajectory",
                "topic": "/arm_controller/joint_trajectory",
                "joints": list(JOINTS),
                "on_host_loss": "the last window ends in a brake to rest",
            }
        ],
        "limits": limits,
        "rates": {
            "control_hz": 100,
            "window_hz": 33.3,
            "lookahead_s": LOOKAHEAD_S,
            "spacing_s": 0.02,
        },
        "smoothing": {"noise_rad": WHITE_RAD},
        "max_observation_age_s": 3.0,
        "max_first_step": 2.0,  # `sync` rests while the reference goes on
        "max_tracking_error": 0.5,
        "watchdogs": {"joint_state_max_age_s": 0.25, "plan_max_age_s": 3.0},
        "poses": {"home": dict.fromkeys(JOINTS, 0.0)},
    }


def _controllers() -> dict[str, Any]:
    kinds = {
        "joint_state_broadcaster": "joint_state_broadcaster/JointStateBroadcaster",
        "arm_controller": "joint_trajectory_controller/JointTrajectoryController",
    }
    manager = {"update_rate": 500} | {name: {"type": kind} for name, kind in kinds.items()}
    arm = {
        "joints": list(JOINTS),
        "command_interfaces": ["position"],
        "state_interfaces": ["position", "velocity"],
    }
    return {
        "controller_manager": {"ros__parameters": manager},
        "arm_controller": {"ros__parameters": arm},
    }


def _urdf() -> str:
    links = "".join(f'<link name="link{k}"/>' for k in range(len(JOINTS) + 1))
    joints = "".join(
        f'<joint name="{name}" type="continuous"><parent link="link{k}"/>'
        f'<child link="link{k + 1}"/></joint>'
        for k, name in enumerate(JOINTS)
    )
    return f'<robot name="flow_arm">{links}{joints}</robot>'
