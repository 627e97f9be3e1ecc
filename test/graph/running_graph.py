"""A whole graph for a test: from a launch file, in a ROS domain of its own, with a client."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from unique_identifier_msgs.msg import UUID
from vla_ros_msgs.action import ExecuteTask, GoTo, RunPolicy
from vla_ros_msgs.msg import BridgeStatus, Commanded, Run

from vla_ros.cli.launch import commands, load_plan
from vla_ros.cli.processes import Command, ProcessGraph
from vla_ros.ros import qos
from vla_ros.ros.domain import isolated_domain

UP_S = 60.0
STEP_S = 60.0
ARM = slice(0, 6)


class Goal:
    """An action goal in flight: its feedback, and its result once there."""

    def __init__(self, graph: RunningGraph, client: ActionClient, request: Any) -> None:
        self.id = uuid.uuid4().bytes
        self.feedback: list[Any] = []
        self._graph = graph
        message = UUID(uuid=np.frombuffer(self.id, dtype=np.uint8))
        self._handle: Any = None
        for _ in range(6):  # a server that has just been started again may miss the first request
            sent = client.send_goal_async(
                request, lambda m: self.feedback.append(m.feedback), goal_uuid=message
            )
            sent.add_done_callback(self._answered)
            if graph.waits(lambda: self._handle is not None, 5.0):
                break
        assert self._handle is not None, "the goal was not accepted"
        self._result = self._handle.get_result_async()

    def _answered(self, future: Any) -> None:
        if future.result().accepted:
            self._handle = future.result()

    @property
    def done(self) -> bool:
        return bool(self._result.done())

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = STEP_S) -> None:
        """Wait for something that the goal must bring about before it ends."""
        self._graph.wait(lambda: self.done or condition(), what, timeout_s)
        if self.done:
            raise AssertionError(f"the goal ended before {what}: {self.result()}")

    def result(self, timeout_s: float = STEP_S) -> Any:
        """Wait for the result message."""
        self._graph.wait(lambda: self.done, "the goal's result", timeout_s)
        return self._result.result().result

    def cancel(self) -> None:
        self._handle.cancel_goal_async()


class RunningGraph:
    """Processes of one launch file, and a node that watches and commands them."""

    def __init__(self, arguments: dict[str, str]) -> None:
        self.lines: list[tuple[str, str]] = []
        plan = load_plan("demo.launch.yaml", arguments)
        self._commands = {c.label: c for c in commands(plan)}
        self._owner: dict[str, ProcessGraph] = {}
        self._graphs = [self._start(list(self._commands.values()))]
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = Node(
            "test_client",
            namespace="/vla",
            context=self._context,
            parameter_overrides=[Parameter("use_sim_time", value=True)],
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.status: BridgeStatus | None = None
        self.commanded: list[Commanded] = []
        self.runs: list[Run] = []
        latched = qos.profile("latched")
        self.node.create_subscription(BridgeStatus, "bridge_status", self._on_status, latched)
        self.node.create_subscription(
            Commanded, "commanded", self.commanded.append, qos.profile("commanded")
        )
        self.node.create_subscription(Run, "run", self.runs.append, qos.profile("run"))
        self.task_client = ActionClient(self.node, ExecuteTask, "execute_task")
        self.run_client = ActionClient(self.node, RunPolicy, "run_policy")
        self.go_to_client = ActionClient(self.node, GoTo, "go_to")

    def close(self) -> None:
        for client in (self.task_client, self.run_client, self.go_to_client):
            client.destroy()
        self._executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)
        for graph in self._graphs:
            graph.stop(20.0)

    # Processes.

    def kill(self, label: str) -> None:
        """End one node without a farewell."""
        os.kill(self.pid(label), 9)

    def pid(self, label: str) -> int:
        """Process id of a node."""
        return self._owner[label].pid(label)

    def start_again(self, label: str) -> None:
        self._graphs.append(self._start([self._commands[label]]))

    def _start(self, todo: list[Command]) -> ProcessGraph:
        graph = ProcessGraph(todo, lambda label, line: self.lines.append((label, line)))
        graph.start()
        self._owner.update(dict.fromkeys((c.label for c in todo), graph))
        return graph

    # Waiting.

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = STEP_S) -> None:
        """Handle callbacks until the condition holds; fails in words when time is up."""
        end = time.monotonic() + timeout_s
        while not condition():
            gone = self._graphs[0].wait(0.0)
            if gone or time.monotonic() > end:
                log = "\n".join(f"[{label}] {line}" for label, line in self.lines[-30:])
                why = "the graph is down" if gone else f"{timeout_s:g} s have passed"
                raise AssertionError(f"waited for {what}: {why}; last output:\n{log}")
            self._executor.spin_once(timeout_sec=0.05)

    def waits(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Handle callbacks until the condition holds or time is up."""
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)
        return condition()

    def up(self) -> None:
        """Everything is there and the robot is under command."""
        servers = (self.task_client, self.run_client, self.go_to_client)
        self.wait(lambda: all(c.server_is_ready() for c in servers), "action servers", UP_S)
        self.wait(lambda: self.status is not None, "the bridge's status", UP_S)
        self.wait(lambda: bool(self.commanded), "commands", UP_S)

    def _on_status(self, message: BridgeStatus) -> None:
        self.status = message

    # Commands.

    def task(self, instruction: str, **fields: Any) -> Goal:
        return Goal(self, self.task_client, ExecuteTask.Goal(instruction=instruction, **fields))

    def run(self, prompt: str, **fields: Any) -> Goal:
        request = RunPolicy.Goal(prompt=prompt, hold_at_end=True, seed=-1, **fields)
        return Goal(self, self.run_client, request)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """Call a service."""
        client = self.node.create_client(kind, name)
        try:
            self.wait(client.service_is_ready, f"service {name}")
            future = client.call_async(request)
            self.wait(future.done, f"the answer of {name}")
            return future.result()
        finally:
            self.node.destroy_client(client)

    # Seeing.

    def speed(self) -> float:
        """Largest commanded joint speed now [rad/s]."""
        return float(np.abs(np.asarray(self.commanded[-1].velocity)).max())

    def moving(self) -> bool:
        return bool(self.commanded) and self.speed() > 0.2

    def resting(self) -> bool:
        return bool(self.commanded) and self.speed() == 0.0

    def moved_rad(self, since: int) -> float:
        """Largest change of any arm joint's command since a place in `commanded`."""
        values = np.array([np.asarray(m.action)[ARM] for m in self.commanded[since:]])
        return float(np.ptp(values, axis=0).max()) if len(values) else 0.0


@contextmanager
def running_graph(**arguments: str) -> Iterator[RunningGraph]:
    """The demo's graph with the scripted expert, up and holding."""
    with isolated_domain() as variables:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            graph = RunningGraph({"policy": "expert", **arguments})
            try:
                graph.up()
                yield graph
            finally:
                graph.close()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value
