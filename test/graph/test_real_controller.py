"""ros2_control itself, with mock hardware at 500 Hz: the simulated controller agrees with it, and
the bridge drives it. Runs where ros2_control is installed and sourced.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage import Stage, stage
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Run

from benchmarks.mock_hardware import MISSING, MockHardware, executable, mock_hardware, mock_urdf
from benchmarks.motion_rig import off_the_curve
from vla_ros.chunks import Plan
from vla_ros.robot.load import load_robot, robot_path, urdf_text
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.arrays import packed
from vla_ros.ros.conversions.plan import chunk_msg, uuid_msg
from vla_ros.ros.conversions.times import duration_msg, ns_from, time_msg
from vla_ros.sim.controllers import (
    Measured,
    TrajectoryController,
    TrajectoryMessage,
    TrajectoryRefused,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "sim"))
from controller_cases import CASES, MEASURED, MS, NAMES, Case, message

pytestmark = [
    pytest.mark.graph,
    pytest.mark.timeout(300),
    pytest.mark.skipif(executable() is None, reason=MISSING),
]
SHARED = Path(__file__).parents[2] / "config"
ARRIVES_NS = 250 * MS
"""The controller has a message by then."""
ARRIVES_UPDATES = 125
SAME_RAD, SAME_RAD_S = 2e-4, 1e-3
"""The controller adds up the periods it measures: up to 0.1 ms beside its stamps."""
UNSAFE = ("accelerations without velocities are refused", "not a number is refused")
"""Rows in which the simulated controller is stricter, on purpose."""


class Reference:
    """What a controller follows: its controller_state, at every update."""

    def __init__(self, on: Stage, controller: str) -> None:
        from control_msgs.msg import JointTrajectoryControllerState

        self.t_ns: list[int] = []
        self.position: list[np.ndarray] = []
        self.velocity: list[np.ndarray] = []
        on.node.create_subscription(
            JointTrajectoryControllerState, f"/{controller}/controller_state", self._on_state, 1000
        )

    def _on_state(self, state: Any) -> None:
        self.t_ns.append(ns_from(state.header.stamp))
        self.position.append(np.asarray(state.reference.positions))
        self.velocity.append(np.asarray(state.reference.velocities))

    def since(self, t_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Stamps (n,), positions (n, N) and velocities (n, N) from an instant on."""
        first = int(np.searchsorted(self.t_ns, t_ns))
        part = slice(first, None)
        return (
            np.array(self.t_ns[part], dtype=np.int64),
            np.array(self.position[part]),
            np.array(self.velocity[part]),
        )


# The table ----------------------------------------------------------------------------------------

TWO_JOINTS = """<robot name="two"><link name="base"/><link name="one"/><link name="two"/>
<joint name="a" type="continuous"><parent link="base"/><child link="one"/></joint>
<joint name="b" type="continuous"><parent link="one"/><child link="two"/></joint>
</robot>"""
TWO_JOINT_CONTROLLERS = """
controller_manager:
  ros__parameters:
    update_rate: 500
    joint_state_broadcaster: {type: joint_state_broadcaster/JointStateBroadcaster}
    pair: {type: joint_trajectory_controller/JointTrajectoryController}
pair:
  ros__parameters:
    joints: [a, b]
    command_interfaces: [position]
    state_interfaces: [position, velocity]
"""


class Pair:
    """Two joints that report one state whatever they are commanded, as in the table."""

    def __init__(self, on: Stage) -> None:
        self.stage = on
        self.reference = Reference(on, "pair")
        self._commands = on.node.create_publisher(
            JointTrajectory, "/pair/joint_trajectory", qos.profile("command")
        )

    def now_ns(self) -> int:
        return int(self.stage.node.get_clock().now().nanoseconds)

    def until(self, t_ns: int) -> None:
        """Let time pass."""
        self.stage.wait(lambda: self.now_ns() >= t_ns, "time to pass")

    def heard(self, t_ns: int) -> None:
        """Hear everything up to an instant."""
        self.stage.wait(
            lambda: bool(self.reference.t_ns) and self.reference.t_ns[-1] >= t_ns,
            "the controller's state",
        )

    def send(self, content: TrajectoryMessage) -> None:
        rows = len(content.time_from_start_ns)
        self._commands.publish(
            JointTrajectory(
                header=_header(content.stamp_ns),
                joint_names=list(content.joint_names),
                points=[
                    JointTrajectoryPoint(
                        time_from_start=duration_msg(int(content.time_from_start_ns[k])),
                        **{
                            name: packed(values[k], "d")
                            for name in ("positions", "velocities", "accelerations")
                            if (values := getattr(content, name)) is not None
                        },
                    )
                    for k in range(rows)
                ],
            )
        )

    def hold_as_in_the_table(self) -> None:
        """At 0.1 and -0.1, whatever came before."""
        self.send(message(0, [20], [0.1]))

        def there() -> bool:
            return bool(self.reference.t_ns) and np.array_equal(
                self.reference.position[-1], [0.1, -0.1]
            )

        self.stage.wait(there, "the controller to hold")


def _header(stamp_ns: int) -> Any:
    from std_msgs.msg import Header

    return Header(stamp=time_msg(stamp_ns))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    parameters = tmp_path_factory.mktemp("pair") / "controllers.yaml"
    parameters.write_text(TWO_JOINT_CONTROLLERS, encoding="utf-8")
    states = zip(MEASURED.position, MEASURED.velocity, strict=True)
    with stage() as on:
        made = Pair(on)
        described = dict(zip(NAMES, states, strict=True))
        urdf = mock_urdf(TWO_JOINTS, described, disable_commands="true")
        with mock_hardware(on.node, on.wait, urdf, parameters, ("pair",)):
            on.wait(lambda: bool(made.reference.t_ns), "the controller's state")
            yield made


def shifted(content: TrajectoryMessage, by_ns: int) -> TrajectoryMessage:
    """The same message on another time line."""
    stamp_ns = content.stamp_ns + by_ns if content.stamp_ns else 0
    return TrajectoryMessage(
        stamp_ns=stamp_ns,
        joint_names=content.joint_names,
        time_from_start_ns=content.time_from_start_ns,
        positions=content.positions,
        velocities=content.velocities,
        accelerations=content.accelerations,
    )


def simulated(
    times: np.ndarray, arrivals: list[tuple[int, TrajectoryMessage]], measured: Measured
) -> np.ndarray:
    """Position and velocity of the simulated controller; messages arrive at update k. (n, 2N)."""
    controller = TrajectoryController(NAMES, np.array([0.1, -0.1]))
    rows = []
    bounds = [0, *(k for k, _ in arrivals), len(times)]
    for part, (first, last) in enumerate(itertools.pairwise(bounds)):
        if part:
            with contextlib.suppress(TrajectoryRefused):
                controller.accept(arrivals[part - 1][1], int(times[first]))
        if first < last:
            rows.append(np.hstack(controller.sample(times[first:last], measured)))
    return np.concatenate(rows)


def distance(
    times: np.ndarray,
    real: np.ndarray,
    sent: list[tuple[int, TrajectoryMessage]],
    measured: Measured,
) -> np.ndarray:
    """From the simulated controller whose messages arrive when they did in truth. (n, 2N).

    Nobody tells at which update the controller saw a message: of those after it was sent, the one
    that fits best is taken. Messages sent at once are seen at one update or at two.
    """
    arrivals: list[tuple[int, TrajectoryMessage]] = []
    sent_ns = [t_ns for t_ns, _ in sent]
    for number, (t_ns, content) in enumerate(sent):
        later = [t for t in sent_ns[number + 1 :] if t > t_ns + ARRIVES_NS]
        first = int(np.searchsorted(times, t_ns))
        end = int(np.searchsorted(times, later[0])) if later else len(times)
        soon = [m for t, m in sent[number + 1 :] if t <= t_ns + ARRIVES_NS]
        candidates = [
            [*arrivals, (k, content), *((k + gap, m) for m in soon)]
            for k in range(first, min(first + ARRIVES_UPDATES, len(times)))
            for gap in (0, 1)
        ]
        errors = [
            np.abs(simulated(times[:end], candidate, measured) - real[:end]).max()
            for candidate in candidates
        ]
        arrivals = candidates[int(np.argmin(errors))]
        if soon:
            break
    return np.abs(simulated(times, arrivals, measured) - real)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in UNSAFE], ids=lambda case: case.name
)
def test_the_simulated_controller_agrees_with_the_real_one(pair: Pair, case: Case) -> None:
    pair.hold_as_in_the_table()
    begin_ns = pair.now_ns() + 50 * MS
    sent: list[tuple[int, TrajectoryMessage]] = []
    for t_ms, content in sorted(case.sent, key=lambda item: item[0]):
        at_ns = begin_ns + (t_ms - 1000) * MS
        pair.until(at_ns)
        moved = shifted(content, begin_ns - 1000 * MS)
        sent.append((pair.now_ns(), moved))
        pair.send(moved)
    last_ms = min(max(case.expected), 3000)
    pair.heard(max(begin_ns + (last_ms - 1000) * MS, pair.now_ns()) + ARRIVES_NS)
    times, position, velocity = pair.reference.since(begin_ns - 20 * MS)
    error = distance(times, np.hstack([position, velocity]), sent, MEASURED)
    assert error[:, :2].max() < SAME_RAD
    assert error[:, 2:].max() < SAME_RAD_S


def test_the_real_controller_obeys_numbers_that_are_not_finite(pair: Pair) -> None:
    pair.hold_as_in_the_table()
    now_ns = pair.now_ns()
    pair.send(shifted(by_name("not a number is refused"), now_ns - 1000 * MS))
    pair.heard(now_ns + ARRIVES_NS)
    _, position, _ = pair.reference.since(now_ns)
    assert np.isnan(position).any(), "why the bridge refuses such plans"


def test_the_real_controller_goes_to_zero_where_velocities_are_missing(pair: Pair) -> None:
    pair.hold_as_in_the_table()
    now_ns = pair.now_ns()
    unsafe = by_name("accelerations without velocities are refused")
    pair.send(shifted(unsafe, now_ns - 1000 * MS))
    pair.heard(now_ns + ARRIVES_NS)
    _, position, _ = pair.reference.since(now_ns)
    assert (position == 0.0).all(axis=1).any(), "why the bridge sends both"


def by_name(name: str) -> TrajectoryMessage:
    """The message of a row of the table."""
    return next(case for case in CASES if case.name == name).sent[0][1]


def sine_window(first_ns: int) -> TrajectoryMessage:
    """A rolling window of 1 s of a sine. Begins at `first_ns`."""
    t_ns = first_ns + 20 * MS * np.arange(50, dtype=np.int64)
    p, v, a = sine(t_ns)
    v[-1] = a[-1] = 0.0
    return message(first_ns // MS, list((t_ns - first_ns) // MS), list(p), list(v), list(a))


def sine(t_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """0.5 rad, 1 Hz: up to 3.1 rad/s."""
    w = 2.0 * np.pi
    t = (t_ns % 1_000_000_000) * 1e-9
    return 0.5 * np.sin(w * t), 0.5 * w * np.cos(w * t), -0.5 * w * w * np.sin(w * t)


def test_windows_replaced_at_any_phase_and_late_by_up_to_200_ms_never_leave_the_path(
    pair: Pair,
) -> None:
    rng = np.random.default_rng(0)
    begin_ns = at_ns = pair.now_ns()
    while at_ns < begin_ns + 4000 * MS:
        late_ns = int(rng.integers(0, 200 * MS))
        now_ns = pair.now_ns()
        first_ns = (now_ns - late_ns) // MS * MS
        pair.send(sine_window(first_ns))
        at_ns = now_ns + int(rng.integers(5 * MS, 60 * MS))
        pair.until(at_ns)
    pair.heard(pair.now_ns())
    times, position, velocity = pair.reference.since(begin_ns + ARRIVES_NS)
    wanted, speed, _ = sine(times)
    beside_s = 1e-4  # as above
    assert np.abs(position[:, 0] - wanted).max() < beside_s * np.pi
    assert np.abs(velocity[:, 0] - speed).max() < beside_s * 2.0 * np.pi**2


def test_a_window_that_begins_in_the_future_falls_back_to_the_measured_state(pair: Pair) -> None:
    now_ns = pair.now_ns()
    pair.send(sine_window(now_ns // MS * MS))
    pair.until(now_ns + 100 * MS)
    now_ns = pair.now_ns()
    pair.send(sine_window(now_ns // MS * MS + 60 * MS))
    pair.heard(now_ns + 50 * MS)
    _, position, _ = pair.reference.since(now_ns)
    near = np.abs(position[:, 0] - MEASURED.position[0]).min()
    assert near < 0.02, "why windows begin with two points before now"


# The bridge ---------------------------------------------------------------------------------------

HOME = {"joint2": 0.10, "joint3": 0.15, "joint5": 1.3208}
JOINTS = tuple(f"joint{i}" for i in range(1, 7))
CONTROLLERS = ("arm_controller", "gripper_controller")
DT_NS, ROWS = 50 * MS, 16
DECELERATION, AGAIN_S = 12.0, 5.0


class Arm:
    """sim_arm as mock hardware, our bridge, and plans along a smooth curve."""

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


@pytest.fixture(scope="module")
def arm() -> Iterator[Arm]:
    path = robot_path("sim_arm")
    urdf = urdf_text(load_robot("sim_arm"), path)
    states = {name: (HOME.get(name, 0.0), 0.0) for name in JOINTS} | {"finger_joint": (0.042, 0.0)}
    with stage() as on:
        made = Arm(on)
        described = mock_urdf(urdf or "", states)
        parameters = SHARED / "controllers.yaml"
        with mock_hardware(on.node, on.wait, described, parameters, CONTROLLERS) as made.hardware:
            on.start("control_bridge", robot="sim_arm", start_enabled=True)
            on.wait(lambda: bool(made.commanded), "commands")
            yield made


def test_the_controller_follows_what_the_bridge_commands_and_stays_inside_the_limits(
    arm: Arm,
) -> None:
    arm.in_motion()
    since_ns = arm.now_ns()
    arm.wait_s(3.0)
    assert not arm.status.reset_required, arm.status.stop_text
    assert arm.distance_from_commands(since_ns) < 2e-3
    arm.decelerates_gently(since_ns)


def test_plans_replaced_at_every_phase_of_the_window_make_no_step(arm: Arm) -> None:
    arm.every_ns = 37 * MS
    try:
        arm.in_motion()
        since_ns = arm.now_ns()
        arm.wait_s(4.0)
    finally:
        arm.every_ns = 100 * MS
    assert not arm.status.reset_required, arm.status.stop_text
    assert arm.distance_from_commands(since_ns) < 2e-3
    arm.decelerates_gently(since_ns)


def test_the_controller_brakes_by_itself_when_the_bridge_is_killed(arm: Arm) -> None:
    arm.in_motion()
    before, since_ns = arm.speed(), arm.now_ns()
    os.kill(arm.stage.pid("control_bridge"), signal.SIGKILL)
    rest_ns = arm.at_rest(since_ns)
    assert before > 1.0
    assert rest_ns - since_ns < 1_000 * MS
    arm.decelerates_gently(since_ns)
    assert arm.stage.ended("control_bridge") == -signal.SIGKILL
    arm.stage.start("control_bridge", robot="sim_arm", start_enabled=True)
    epoch = arm.status.epoch
    arm.stage.wait(lambda: arm.status.epoch != epoch, "the new bridge")
    since_ns = arm.now_ns()
    arm.wait_s(0.5)
    _, position, _ = arm.reference.since(since_ns)
    assert np.ptp(position, axis=0).max() < 0.01, "nothing from before moves the robot"


@pytest.mark.parametrize(("pause_s", "stops"), [(0.12, False), (1.0, True)])
def test_a_bridge_that_stands_still_is_bridged_by_its_window_and_braked_after_it(
    arm: Arm, pause_s: float, stops: bool
) -> None:
    arm.in_motion()
    since_ns, pid = arm.now_ns(), arm.stage.pid("control_bridge")
    os.kill(pid, signal.SIGSTOP)
    try:
        arm.wait_s(pause_s)
    finally:
        os.kill(pid, signal.SIGCONT)
    if stops:
        arm.stage.wait(lambda: arm.status.reset_required, "the stop")
        assert arm.status.stop_reason == BridgeStatus.DEADLINE_MISSED, arm.status.stop_text
        arm.at_rest(since_ns)
    else:
        arm.wait_s(0.5)
        assert not arm.status.reset_required
    arm.decelerates_gently(since_ns)


def test_a_controller_deactivated_in_motion_is_noticed_and_used_again_after_resume(
    arm: Arm,
) -> None:
    arm.in_motion()
    arm.hardware.switch(deactivate=("arm_controller",))
    arm.stage.wait(lambda: arm.status.reset_required, "the stop")
    assert arm.status.stop_reason == BridgeStatus.TRACKING_ERROR
    arm.end_run()
    arm.stage.wait(lambda: arm.status.state == Commanded.STOPPED, "the bridge to rest")
    arm.wait_s(1.0)  # its last window is over, it is silent
    since_ns = arm.now_ns()
    arm.hardware.switch(activate=("arm_controller",))
    arm.stage.wait(lambda: len(arm.reference.since(since_ns)[0]) > 100, "the controller's state")
    _, position, _ = arm.reference.since(since_ns)
    assert np.ptp(position, axis=0).max() < 0.01, "it moves only after resume"
    arm.in_motion()


def test_a_controller_manager_that_dies_stops_the_bridge_and_a_new_one_is_driven(arm: Arm) -> None:
    arm.in_motion()
    os.kill(arm.hardware.pid, signal.SIGKILL)
    arm.stage.wait(lambda: arm.status.reset_required, "the stop")
    assert arm.status.stop_reason in (BridgeStatus.JOINT_STATE_LOST, BridgeStatus.TRACKING_ERROR)
    arm.end_run()
    arm.hardware.start_again()
    arm.hardware.bring_up("joint_state_broadcaster", *CONTROLLERS)
    arm.in_motion()
