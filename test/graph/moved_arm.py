"""One bridge in its own process, on simulated time, and an arm that plays what it is sent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from stage import Stage
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Run

from vla_ros.chunks import Plan
from vla_ros.nodes.truth import trajectory_from
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.plan import chunk_msg, uuid_msg
from vla_ros.ros.conversions.times import time_msg
from vla_ros.sim.controllers import Measured, TrajectoryController, TrajectoryRefused
from vla_ros.sim.truth import ARM_JOINTS

MS = 1_000_000
UPDATE, CLOCK, JOINTS, REST, AGE = 2 * MS, 10 * MS, 20 * MS, 300 * MS, 50 * MS
FAST, STILL = 0.6, 1e-3
SMALL, JERK = 0.05, 150.0
LEFT, RIGHT = 0.4, -0.9
"""Where the arm swings between, joint1 in [rad]; the box ends beyond 0.5."""
ROWS, DT, ATTEMPTS = 36, 50 * MS, 5
PATIENT: dict[str, Any] = {
    "estop": {"topic": "/estop"},
    "max_first_step": 4.0,
    "rates": {"lookahead_s": 1.0},
    "watchdogs": {
        "joint_state_max_age_s": 3.0,
        "plan_max_age_s": 3.0,
        "clock_max_silence_s": 3.0,
    },
    "workspace": {
        "points": [{"name": "hand", "link": "tcp", "radius": 0.02}],
        "box": {"lower": [-1.0, -1.0, -1.0], "upper": [1.0, 0.17, 2.0]},
    },
}
"""A test computer is slower than a robot's."""


class MovedArm:
    """sim_arm, its controller at 500 Hz, the clock, and a run to send plans in.

    Attributes:
        status: The newest BridgeStatus.
        sees_joints: Whether joint states are published.
        stuck_at: What they say instead of the truth, if anything. Shape (6,).
        clock_runs: Whether /clock is published; the robot's own time always goes on.
        ahead_ns: How far /clock is ahead of the robot's own time, in [ns].
    """

    def __init__(self, on: Stage, folder: Path) -> None:
        self.stage = on
        values = yaml.safe_load(robot_path("sim_arm").read_text(encoding="utf-8")) | PATIENT
        path = folder / "robot.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        self.spec = load_robot(path)
        home = self.spec.poses["home"]
        self._controller = TrajectoryController(
            ARM_JOINTS, np.array([home[name] for name in ARM_JOINTS])
        )
        self.position = np.array([home[name] for name in ARM_JOINTS])
        self._finger = home["finger_joint"]
        self._velocities: list[np.ndarray] = []
        self._ages: list[tuple[int, float]] = []
        self.status: BridgeStatus | None = None
        self._commanded: Commanded | None = None
        self.sees_joints = self.clock_runs = True
        self.stuck_at: np.ndarray | None = None
        self.ahead_ns = 0
        self._now_ns = self._sent_ns = 1_000_000 * MS
        self._told_ns = {"clock": 0, "joints": 0}
        self._run_id = b""
        self._seq = 0
        self._publish(on)
        on.start("control_bridge", robot=path, start_enabled=True, use_sim_time=True)
        self.until(Commanded.HOLDING, "the bridge in command")

    def _publish(self, on: Stage) -> None:
        node = on.node
        self._clock = node.create_publisher(Clock, "/clock", qos.profile("clock"))
        self._joints = node.create_publisher(JointState, "/joint_states", 10)
        self._runs = node.create_publisher(Run, "run", qos.profile("run"))
        self._chunks = node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))
        self._estop = node.create_publisher(Bool, "/estop", qos.profile("latched"))
        latched, commanded = qos.profile("latched"), qos.profile("commanded")
        node.create_subscription(BridgeStatus, "bridge_status", self._on_status, latched)
        node.create_subscription(Commanded, "commanded", self._on_commanded, commanded)
        topic = self.spec.output("arm").topic
        node.create_subscription(JointTrajectory, topic, self._on_window, qos.profile("command"))
        self._steady_ns = time.monotonic_ns()
        node.create_timer(0.005, self._go_on)

    def _on_status(self, message: BridgeStatus) -> None:
        self.status = message

    def _on_commanded(self, message: Commanded) -> None:
        self._commanded = message

    def _on_window(self, message: JointTrajectory) -> None:
        window = trajectory_from(message)
        try:
            self._controller.accept(window, self._now_ns)
        except TrajectoryRefused:  # of another time
            return
        # What is new in it began after the window before was sent, which is at its second point.
        self._ages.append((len(self._velocities), (self._now_ns - self._sent_ns) / 1e9))
        self._sent_ns = window.stamp_ns + int(window.time_from_start_ns[1])

    def _go_on(self) -> None:
        """Time goes on by what has passed; slower where this test is held up."""
        steady_ns = time.monotonic_ns()
        count = min(steady_ns - self._steady_ns, 50 * MS) // UPDATE
        self._steady_ns = steady_ns
        if not count:
            return
        times = self._now_ns + UPDATE * np.arange(1, count + 1, dtype=np.int64)
        measured = Measured(position=self.position, velocity=np.zeros(len(ARM_JOINTS)))
        positions, velocities = self._controller.sample(times, measured)
        self.position = np.array(positions)[-1]
        self._velocities.extend(np.array(velocities))
        self._now_ns = int(times[-1])
        if self.clock_runs and self._due("clock", CLOCK):
            self._clock.publish(Clock(clock=time_msg(self._now_ns + self.ahead_ns)))
        if self.sees_joints and self._due("joints", JOINTS):
            at = self.position if self.stuck_at is None else self.stuck_at
            message = JointState(name=[*ARM_JOINTS, "finger_joint"], position=[*at, self._finger])
            message.header.stamp = time_msg(self._now_ns)
            self._joints.publish(message)

    def _due(self, what: str, period_ns: int) -> bool:
        due = self._now_ns - self._told_ns[what] >= period_ns
        if due:
            self._told_ns[what] = self._now_ns
        return due

    # Driving.

    def in_motion(self) -> None:
        """Resume if need be, start a run, swing to the other side; returns when it is fast.

        Again where the bridge was stopped meanwhile: a busy computer.
        """
        for _ in range(ATTEMPTS):
            self.resume()
            self._run_id = self.stage.begin_run(self._runs, self._chunks, lambda: self.status)
            self._seq = 0
            self.send(self.swing(LEFT if self.position[0] < 0.5 * (LEFT + RIGHT) else RIGHT))
            if self.stage.waits(lambda: self.speed() > FAST, 5.0):
                return
        raise AssertionError(f"the arm does not move; the bridge: {self.status}")

    def end_run(self) -> None:
        """As the policy does it at a cancel."""
        self._runs.publish(Run(run_id=uuid_msg(self._run_id), state=Run.ENDED, hold_at_end=True))

    def press(self, pressed: bool) -> None:
        """The emergency stop."""
        self._estop.publish(Bool(data=pressed))

    def swing(self, joint1: float) -> np.ndarray:
        """Rows (T, 7) of a smooth way for joint1, from what is commanded now."""
        assert self._commanded is not None
        begin = np.asarray(self._commanded.action)
        s = np.linspace(0.0, 1.0, ROWS)
        rows = np.tile(begin, (ROWS, 1))
        rows[:, 0] += (10 * s**3 - 15 * s**4 + 6 * s**5) * (joint1 - begin[0])
        return rows

    def send(self, actions: np.ndarray, dt_ns: int = DT) -> None:
        """A plan of the run, due from now on. Shape (T, 7)."""
        assert self.status is not None
        now_ns = self._now_ns + self.ahead_ns
        self._seq += 1
        plan = Plan(
            run_id=self._run_id,
            epoch=self.status.epoch,
            seq=self._seq,
            spec_hash=spec_hash(self.spec),
            t_obs_ns=now_ns - AGE,
            start_ns=now_ns,
            dt_ns=dt_ns,
            valid_from_ns=now_ns,
            actions=actions,
        )
        self._chunks.publish(chunk_msg(plan, self.spec.base_frame))

    def resume(self) -> None:
        """Lift a stop, if there is one, as soon as the bridge allows it."""
        client = self.stage.node.create_client(Trigger, "control_bridge/resume")

        def lifted() -> bool:
            self.stage.wait(client.service_is_ready, "the service resume")
            asked = client.call_async(Trigger.Request())
            self.stage.wait(asked.done, "an answer of resume")
            return self.stage.waits(lambda: not self.status.reset_required, 0.5)

        if self.status.reset_required:
            self.stage.wait(lifted, "the stop to be lifted")
        self.stage.node.destroy_client(client)
        self.until(Commanded.HOLDING, "the bridge in command")

    # Seeing.

    def until(self, state: int, what: str) -> None:
        """Wait for a state of the bridge."""
        self.stage.wait(lambda: self.status is not None and self.status.state == state, what)

    def until_stopped(self) -> None:
        """Wait for the bridge to say so."""
        self.stage.wait(lambda: self.status.reset_required, "a stop")

    def until_at_rest(self) -> None:
        """Wait until the arm rests."""
        since = len(self._velocities)
        least = REST // UPDATE

        def rests() -> bool:
            last = np.array(self._velocities[max(since, len(self._velocities) - least) :])
            return len(last) >= least and np.abs(last).max() < STILL

        self.stage.wait(rests, "the arm to rest")

    def pass_time(self, duration_ns: int) -> None:
        """Let the robot's time go on."""
        end_ns = self._now_ns + duration_ns
        self.stage.wait(lambda: self._now_ns >= end_ns, "time to pass")

    def speed(self) -> float:
        """Of the fastest joint now, in [rad/s]."""
        return float(np.abs(self._velocities[-1]).max())

    def mark(self) -> int:
        """Where `assert_no_step_since` is to begin."""
        return len(self._velocities) - 1

    def assert_no_step_since(self, mark: int) -> None:
        """No joint's speed makes a step that does not come of a window's way to the arm.

        A brake that is played t seconds late makes one of j t^2 / 2; an arm that is not braked
        makes one of its whole speed.
        """
        steps = np.abs(np.diff(np.array(self._velocities[mark:]), axis=0)).max(axis=1)
        worst = int(np.argmax(steps))
        ages = [(at - mark - 1, age_s) for at, age_s in self._ages if at >= mark]
        oldest_s = max((age_s for _, age_s in ages), default=0.0)
        near = [(at, age_s) for at, age_s in ages if abs(at - worst) < 30]
        assert steps[worst] < SMALL + 0.5 * JERK * oldest_s**2, (worst, steps[worst], near)
