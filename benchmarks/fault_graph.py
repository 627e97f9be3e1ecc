"""A whole graph that can be hurt: its processes, its chunks, its clock, its emergency stop.

Chunks pass through a relay of this program, so that they can be lost or held up.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from rclpy.action import ActionClient
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool
from vla_ros_msgs.action import ExecuteTask
from vla_ros_msgs.msg import ActionChunk, BridgeStatus

from benchmarks.fault_motion import SECOND, Motion
from vla_ros.cli.launch import commands, load_plan
from vla_ros.cli.processes import Command, ProcessGraph
from vla_ros.robot.load import robot_path
from vla_ros.ros import qos
from vla_ros.ros.actions import OUTCOME_WORDS
from vla_ros.ros.conversions.times import time_msg
from vla_ros.ros.domain import isolated_domain
from vla_ros.ros.task_client import GraphNotUpError, TaskClient

AHEAD_NS, AHEAD_S = 10 * SECOND, 0.1
"""Another clock, and for how long it is heard: a single message of it is often overwritten by the
next of the right clock before a busy node reads it (depth 1)."""
ATTEMPTS = 3


class FaultGraph:
    """`demo.launch.yaml` with the scripted expert, and the means to hurt it.

    Attributes:
        lines: What the nodes printed, and which.
        motion: What is heard of the robot.
        status: Everything that the bridge said of itself.
        rng: For chance.
        loss: Share of the chunks that are lost.
        hold_s: How late chunks arrive, in [s] of steady time.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        robot = folder / "robot.yaml"
        text = robot_path("sim_arm").read_text(encoding="utf-8")
        robot.write_text(text + "\nestop: {topic: /estop}\n", encoding="utf-8")
        plan = load_plan("demo.launch.yaml", {"policy": "expert", "robot": str(robot)})
        self.lines: list[tuple[str, str]] = []
        self._commands = {c.label: replace(c, required=False) for c in commands(plan)}
        relayed = (*self._commands["policy"].argv, "-r", "action_chunk:=action_chunk_sent")
        self._commands["policy"] = replace(self._commands["policy"], argv=relayed)
        self._owner: dict[str, ProcessGraph] = {}
        self._graphs: list[ProcessGraph] = []
        self._start(list(self._commands.values()))
        self.client = TaskClient(use_sim_time=True)
        self.rng = np.random.default_rng(seed)
        self.loss, self.hold_s, self._ahead_until_s = 0.0, 0.0, 0.0
        self._held: list[tuple[float, bytes]] = []
        self.status: list[BridgeStatus] = []
        node, chunk = self.client.node, qos.profile("chunk")
        self.motion = Motion(node)
        self._goals = ActionClient(node, ExecuteTask, "execute_task")
        node.create_subscription(
            BridgeStatus, "bridge_status", self.status.append, qos.profile("latched")
        )
        self._relay = node.create_publisher(ActionChunk, "action_chunk", chunk)
        node.create_subscription(ActionChunk, "action_chunk_sent", self._on_chunk, chunk, raw=True)
        self._estop = node.create_publisher(Bool, "/estop", 10)
        self._clock = node.create_publisher(Clock, "/clock", qos.profile("clock"))
        node.create_timer(0.005, self._pass_on, clock=RosClock(clock_type=ClockType.STEADY_TIME))

    def up(self) -> None:
        """Wait until every node does its work."""
        self.client.wait_for_server(60.0)
        self.client.wait_for_policy(60.0)
        self.client.wait_for_robot(60.0)

    def close(self) -> None:
        """End everything."""
        self._goals.destroy()
        self.client.__exit__(None, None, None)
        for graph in self._graphs:
            graph.stop(20.0)

    # Goals.

    def give(self, prompt: str) -> None:
        """A goal; a planner that has just been started may miss the first request."""
        for _ in range(ATTEMPTS):
            sent = self._goals.send_goal_async(ExecuteTask.Goal(instruction=prompt))
            if self.client.spin_until(sent.done, 10.0):
                break
        self.motion.commanded = None
        self._handle = sent.result()
        self._result = self._handle.get_result_async()

    def cancel(self) -> None:
        """Cancel the goal."""
        self._handle.cancel_goal_async()

    def ended(self) -> str:
        """How the goal ended, in words; empty while it has not."""
        if not self._result.done():
            return ""
        result = self._result.result().result
        return f"{OUTCOME_WORDS[result.outcome]} ({result.message})"

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

    def _start(self, todo: list[Command]) -> None:
        graph = ProcessGraph(todo, lambda label, line: self.lines.append((label, line)))
        graph.start()
        self._graphs.append(graph)
        self._owner.update(dict.fromkeys((c.label for c in todo), graph))

    def _on_chunk(self, message: bytes) -> None:
        if self.rng.random() >= self.loss:
            self._held.append((time.monotonic() + self.hold_s, message))
            self._pass_on()

    def _pass_on(self) -> None:
        if time.monotonic() < self._ahead_until_s:
            self._clock.publish(Clock(clock=time_msg(self.motion.now_ns + AHEAD_NS)))
        while self._held and self._held[0][0] <= time.monotonic():
            self._relay.publish(self._held.pop(0)[1])


@contextmanager
def fault_graph(seed: int) -> Iterator[FaultGraph]:
    """A graph in a domain of its own, up."""
    with tempfile.TemporaryDirectory() as folder, isolated_domain() as variables:
        os.environ.update(variables)
        made = FaultGraph(Path(folder), seed)
        try:
            made.up()
            yield made
        except GraphNotUpError:
            print(*(f"[{label}] {line}" for label, line in made.lines[-30:]), sep="\n")
            raise
        finally:
            made.close()
