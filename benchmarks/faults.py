"""Faults provoked one by one in the whole graph, in motion: how soon the robot rests, and how far.

Runs `demo.launch.yaml` with the scripted expert, every node in its own process, chunks through a
relay of this program so that they can be lost or held up. A fault comes at a random instant of fast
motion. Times are ROS time, from the fault to the rest of the measured joints; the reason is what
`bridge_status` publishes, also when the node is there again. After each fault its node is started
again or continued: nothing may move until `resume`, and the next goal must move the arm again.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rclpy.action import ActionClient
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from vla_ros_msgs.action import ExecuteTask
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded

from benchmarks.harness import arguments, at_most, finish
from vla_ros.cli.launch import commands, load_plan
from vla_ros.cli.processes import Command, ProcessGraph
from vla_ros.robot.load import load_robot, robot_path, urdf_text
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.ros import qos
from vla_ros.ros.actions import OUTCOME_WORDS
from vla_ros.ros.conversions.times import ns_from, time_msg
from vla_ros.ros.domain import isolated_domain
from vla_ros.ros.task_client import GraphNotUpError, TaskClient
from vla_ros.sim.truth import ARM_JOINTS

PROMPTS = (
    "put the red cube in the blue bin",
    "put the green cube in the yellow bin",
    "put the blue cube in the blue bin",
)
REASONS = {
    getattr(BridgeStatus, name): name
    for name in dir(type(BridgeStatus))
    if name.isupper() and name[0] != "_"
}
SECOND = 1_000_000_000
FAST, STILL = 0.5, 0.02
"""Commanded speed at which a fault is provoked, measured speed that counts as rest [rad/s]."""
REST_NS = 300_000_000
LASTS_NS, ATTEMPTS = 2_500_000_000, 3
PATIENCE_S = {"rest": 8.0, "run": 60.0, "goal": 90.0}
AHEAD_NS, AHEAD_S = 10 * SECOND, 0.1
"""Another clock, and for how long it is heard: a single message of it is often overwritten by the
next of the right clock before a busy node reads it (depth 1)."""
DELAY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        name: in words.
        provoke: makes it happen.
        heal: undoes it.
        within_s: longest time to standstill; None where the robot has no reason to stop.
        lasts: until the arm rests, or the bridge has no run any more, or the goal ends.
    """

    name: str
    provoke: Callable[[Rig], None]
    heal: Callable[[Rig], None]
    within_s: float | None
    lasts: Literal["rest", "run", "goal"] = "rest"


class Rig:
    """The graph, its robot's joints as they are heard, and the means to hurt it."""

    def __init__(self, folder: Path, seed: int) -> None:
        path = robot_path("sim_arm")
        robot = folder / "robot.yaml"
        robot.write_text(path.read_text(encoding="utf-8") + "\nestop: {topic: /estop}\n", "utf-8")
        spec = load_robot("sim_arm")
        self.kinematics = Kinematics(urdf_text(spec, path) or "", ARM_JOINTS, spec.base_frame)
        plan = load_plan("demo.launch.yaml", {"policy": "expert", "robot": str(robot)})
        self.rng = np.random.default_rng(seed)
        self.lines: list[tuple[str, str]] = []
        self._commands = {c.label: replace(c, required=False) for c in commands(plan)}
        relayed = (*self._commands["policy"].argv, "-r", "action_chunk:=action_chunk_sent")
        self._commands["policy"] = replace(self._commands["policy"], argv=relayed)
        self._owner: dict[str, ProcessGraph] = {}
        self._graphs: list[ProcessGraph] = []
        self._start(list(self._commands.values()))
        self.client = TaskClient(use_sim_time=True)
        node = self.client.node
        self.t_ns: list[int] = []
        self.position: list[Any] = []
        self.speed: list[float] = []
        self.status: list[BridgeStatus] = []
        self.command: Commanded | None = None
        self.loss, self.hold_s, self._ahead_until_s = 0.0, 0.0, 0.0
        self._held: list[tuple[float, bytes]] = []
        self._goals = ActionClient(node, ExecuteTask, "execute_task")
        node.create_subscription(JointState, "/joint_states", self._on_joints, 50)
        node.create_subscription(
            BridgeStatus, "bridge_status", self.status.append, qos.profile("latched")
        )
        node.create_subscription(Commanded, "commanded", self._on_commanded, 10)
        self._relay = node.create_publisher(ActionChunk, "action_chunk", qos.profile("chunk"))
        node.create_subscription(
            ActionChunk, "action_chunk_sent", self._on_chunk, qos.profile("chunk"), raw=True
        )
        self._estop = node.create_publisher(Bool, "/estop", 10)
        self._clock = node.create_publisher(Clock, "/clock", qos.profile("clock"))
        node.create_timer(0.005, self._pass_on, clock=_steady())

    def close(self) -> None:
        """End everything."""
        self._goals.destroy()
        self.client.__exit__(None, None, None)
        for graph in self._graphs:
            graph.stop(20.0)

    # Hurting and healing.

    def signal(self, node: str, number: int) -> None:
        """Send a signal to a node's process."""
        os.kill(self._owner[node].pid(node), number)

    def start_again(self, node: str) -> None:
        """Start a node that was killed."""
        self._start([self._commands[node]])

    def press(self, pressed: bool) -> None:
        """The emergency stop's topic."""
        self._estop.publish(Bool(data=pressed))

    def second_clock(self) -> None:
        """Readings of the clock from the future for a while, between the right ones."""
        self._ahead_until_s = time.monotonic() + AHEAD_S

    def interrupt(self) -> None:
        """Ctrl-C of everything but the robot, as its launcher passes it on."""
        for node in self._commands:
            if node != "sim_robot":
                self.signal(node, signal.SIGINT)

    def start_all_again(self) -> None:
        """After `interrupt`."""
        self._start([c for label, c in self._commands.items() if label != "sim_robot"])
        self.up()

    def cancel(self) -> None:
        """Cancel the goal."""
        self.handle.cancel_goal_async()

    def _start(self, todo: list[Command]) -> None:
        graph = ProcessGraph(todo, lambda label, line: self.lines.append((label, line)))
        graph.start()
        self._graphs.append(graph)
        self._owner.update(dict.fromkeys((c.label for c in todo), graph))

    # Hearing.

    def _on_joints(self, message: JointState) -> None:
        index = [message.name.index(name) for name in ARM_JOINTS]
        self.t_ns.append(ns_from(message.header.stamp))
        self.position.append(np.asarray(message.position)[index])
        self.speed.append(float(np.abs(np.asarray(message.velocity)[index]).max()))

    def _on_commanded(self, message: Commanded) -> None:
        self.command = message

    def _on_chunk(self, message: bytes) -> None:
        if self.rng.random() >= self.loss:
            self._held.append((time.monotonic() + self.hold_s, message))
            self._pass_on()

    def _pass_on(self) -> None:
        if time.monotonic() < self._ahead_until_s:
            self._clock.publish(Clock(clock=time_msg(self.t_ns[-1] + AHEAD_NS)))
        while self._held and self._held[0][0] <= time.monotonic():
            self._relay.publish(self._held.pop(0)[1])

    def moving(self) -> bool:
        """Whether the arm is commanded to move fast, on a plan."""
        c = self.command
        return c is not None and c.mode == Commanded.TRACKING and max(map(abs, c.velocity)) > FAST

    def rest_ns(self, since: int) -> int | None:
        """The first stamp after that of joint state `since` from which on the joints rest."""
        moved = [i for i in range(since, len(self.t_ns)) if self.speed[i] > STILL]
        first = min(moved[-1] + 1 if moved else since, len(self.t_ns) - 1)
        return self.t_ns[first] if self.t_ns[-1] - self.t_ns[first] >= REST_NS else None

    # One trial.

    def up(self) -> None:
        """Wait until every node does its work."""
        self.client.wait_for_server(60.0)
        self.client.wait_for_policy(60.0)
        self.client.wait_for_robot(60.0)

    def begin(self, trial: int) -> None:
        """Lay out a scene, give a goal, wait for a random instant of fast motion."""
        for _ in range(ATTEMPTS):
            try:
                self._free()
                self.client.go_to("home", 30.0)
                self.client.reset_scene(trial, 20.0)
            except GraphNotUpError:  # stopped again: a busy computer
                continue
            self._send(PROMPTS[trial % len(PROMPTS)])
            if self._in_motion_after(int(self.rng.integers(0, SECOND))):
                return
        raise GraphNotUpError(f"the arm does not move; the bridge: {self.status[-1].stop_text}")

    def _in_motion_after(self, later_ns: int) -> bool:
        self.client.spin_until(self.moving, 20.0)
        after_ns = self.t_ns[-1] + later_ns
        return self.client.spin_until(lambda: self.moving() and self.t_ns[-1] > after_ns, 20.0)

    def _send(self, prompt: str) -> None:
        """A planner that has just been started may miss the first request."""
        for _ in range(ATTEMPTS):
            sent = self._goals.send_goal_async(ExecuteTask.Goal(instruction=prompt))
            if self.client.spin_until(sent.done, 10.0):
                break
        self.command = None
        self.handle = sent.result()
        self.result = self.handle.get_result_async()

    def _free(self) -> None:
        """Lift a stop; a service that has just died is still discovered, so ask again."""
        for attempt in range(10):
            try:
                self.client.resume(3.0)
                if self.client.spin_until(lambda: not self.status[-1].reset_required, 1.0):
                    return
            except GraphNotUpError:
                if attempt == 9:
                    raise

    def ended(self) -> str:
        """How the goal ended, in words; empty while it has not."""
        if not self.result.done():
            return ""
        result = self.result.result().result
        return f"{OUTCOME_WORDS[result.outcome]} ({result.message})"

    def trial(self, fault: Fault, number: int) -> dict[str, Any]:
        """Provoke the fault in motion and tell what came of it."""
        self.begin(number)
        spin = self.client.spin_until
        since, said = len(self.t_ns) - 1, len(self.status)
        at_ns, speed = self.t_ns[since], self.speed[since]
        fault.provoke(self)
        over_ns = at_ns + LASTS_NS
        over = {
            "rest": lambda: self.t_ns[-1] > over_ns and self.rest_ns(since) is not None,
            "run": lambda: self.status[-1].owner == "",
            "goal": lambda: self.ended() != "",
        }
        spin(over[fault.lasts], PATIENCE_S[fault.lasts])
        healed = len(self.t_ns) - 1
        lasted_s = (self.t_ns[healed] - at_ns) / SECOND
        fault.heal(self)
        spin(lambda: self.t_ns[-1] < at_ns or self.rest_ns(since) is not None, PATIENCE_S["rest"])
        rest_ns = self.rest_ns(since)
        spin(lambda: self._reason(said) != "", 2.0)
        spin(lambda: bool(self.ended()), 2.0)
        path = np.array(self.position[since:])
        hand = self.kinematics.poses(path, "tcp")[0]
        rest = len(path) - 1 if rest_ns is None else self.t_ns.index(rest_ns) - since
        after = np.array(self.position[max(healed, since + rest) :])
        return {
            "speed": speed,
            "standstill": (rest_ns - at_ns) / SECOND if rest_ns is not None else float("inf"),
            "distance": float(np.abs(path[rest] - path[0]).max()),
            "hand": float(np.linalg.norm(hand[rest] - hand[0])) * 1e3,
            "moves after": float(np.ptp(after, axis=0).max()),
            "reason": self._reason(said),
            "lasted": lasted_s,
            "text": next((s.stop_text for s in self.status[said:] if s.stop_text), ""),
            "goal": self.ended(),
        }

    def _reason(self, said: int) -> str:
        stops = [s.stop_reason for s in self.status[said:] if s.stop_reason]
        return REASONS[stops[0]] if stops else ""


def _steady() -> Any:
    from rclpy.clock import Clock as RosClock
    from rclpy.clock import ClockType

    return RosClock(clock_type=ClockType.STEADY_TIME)


def killed(node: str, within_s: float | None) -> Fault:
    """A node that ends without a word."""
    return Fault(
        name=f"{node}: kill -9",
        provoke=lambda rig: rig.signal(node, signal.SIGKILL),
        heal=lambda rig: rig.start_again(node),
        within_s=within_s,
    )


def frozen(node: str, within_s: float | None) -> Fault:
    """A node that stands still, and goes on later."""
    return Fault(
        name=f"{node}: SIGSTOP",
        provoke=lambda rig: rig.signal(node, signal.SIGSTOP),
        heal=lambda rig: rig.signal(node, signal.SIGCONT),
        within_s=within_s,
    )


def lost(share: float, within_s: float | None) -> Fault:
    """Chunks that do not arrive; while some do, the robot should get its work done."""
    return Fault(
        name=f"{100 * share:.0f} % of the chunks lost",
        provoke=lambda rig: setattr(rig, "loss", share),
        heal=lambda rig: setattr(rig, "loss", 0.0),
        within_s=within_s,
        lasts="goal" if within_s is None else "rest",
    )


def nothing(rig: Rig) -> None:
    """Heals by itself."""


BRAKE_S = 0.6
"""From the fastest motion to rest within the limits of sim_arm, and the servos' settling."""
WINDOW_S = 0.25 + BRAKE_S
PLAN_S = 0.8 + 0.2 + BRAKE_S
"""What is left of a plan (16 rows at 50 ms, and what blending adds), then a brake."""
FAULTS = (
    Fault(
        name="emergency stop",
        provoke=lambda rig: rig.press(True),
        heal=lambda rig: rig.press(False),
        within_s=BRAKE_S,
    ),
    Fault(name="cancel", provoke=Rig.cancel, heal=nothing, within_s=BRAKE_S),
    killed("control_bridge", WINDOW_S),
    killed("policy", PLAN_S),
    lost(0.5, None),
    killed("observation_sync", PLAN_S),
    replace(killed("task_planner", None), lasts="run"),
    frozen("control_bridge", WINDOW_S),
    frozen("policy", PLAN_S),
    frozen("observation_sync", PLAN_S),
    frozen("task_planner", None),
    frozen("sim_robot", PLAN_S),
    lost(1.0, PLAN_S),
    Fault(
        name=f"every chunk {DELAY_S:g} s late",
        provoke=lambda rig: setattr(rig, "hold_s", DELAY_S),
        heal=lambda rig: setattr(rig, "hold_s", 0.0),
        within_s=PLAN_S,
    ),
    Fault(
        name=f"a second clock, {AHEAD_NS // SECOND} s ahead, for {AHEAD_S:g} s",
        provoke=Rig.second_clock,
        heal=nothing,
        within_s=WINDOW_S,
    ),
    Fault(
        name="Ctrl-C of every node but sim_robot",
        provoke=Rig.interrupt,
        heal=Rig.start_all_again,
        within_s=WINDOW_S,
    ),
    killed("sim_robot", None),
)
QUICK = ("emergency stop", "cancel", "control_bridge: kill -9", "policy: kill -9")


@contextmanager
def rig(seed: int) -> Iterator[Rig]:
    """A graph in a domain of its own, up."""
    with tempfile.TemporaryDirectory() as folder, isolated_domain() as variables:
        os.environ.update(variables)
        made = Rig(Path(folder), seed)
        try:
            made.up()
            yield made
        except GraphNotUpError:
            print(*(f"[{label}] {line}" for label, line in made.lines[-30:]), sep="\n")
            raise
        finally:
            made.close()


def row_of(fault: Fault, trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The worst of several trials, and the words."""
    worst = {
        key: max(t[key] for t in trials)
        for key in ("speed", "standstill", "distance", "hand", "moves after")
    }
    reasons = {t["reason"] or f"goal: {t['goal'] or 'nothing'}" for t in trials}
    if fault.lasts == "run":
        reasons = {t["reason"] or f"none: the run ends after {t['lasted']:.0f} s" for t in trials}
    if fault.within_s is None:
        worst |= dict.fromkeys(("standstill", "distance", "hand"), float("nan"))
    return {
        "fault": fault.name,
        "n": len(trials),
        "speed [rad/s]": worst["speed"],
        "standstill [s]": worst["standstill"],
        "joint [rad]": worst["distance"],
        "hand [mm]": worst["hand"],
        "moves after [rad]": worst["moves after"],
        "reason": "; ".join(sorted(reasons)),
    }


def main() -> int:
    """Provoke everything."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", help="faults whose name holds this text")
    parser.add_argument("--trials", type=int, default=3, help="of each fault, the worst is shown")
    options = parser.parse_args()
    chosen = [
        f
        for f in FAULTS
        if (options.only or "") in f.name and (f.name in QUICK or not options.quick)
    ]
    rows, goals = [], []
    with rig(seed=1) as graph:
        for fault in chosen:
            count = 1 if options.quick else options.trials
            trials = [graph.trial(fault, number) for number in range(count)]
            rows.append(row_of(fault, trials))
            for trial in trials:
                print(f"{fault.name}: {trial}", file=sys.stderr)
            if fault.within_s is not None:
                name = f"{fault.name}: standstill [s]"
                goals.append(at_most(name, fault.within_s, rows[-1]["standstill [s]"]))
                name = f"{fault.name}: motion after healing, before `resume` [rad]"
                goals.append(at_most(name, 0.02, rows[-1]["moves after [rad]"]))
    return finish("Faults in motion (real time)", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
