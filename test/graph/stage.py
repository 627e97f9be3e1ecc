"""Single nodes as processes of their own, in a ROS domain of their own, with a node that plays the
rest of the graph."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from vla_ros_msgs.msg import BridgeStatus, Run

from vla_ros.cli.processes import Command, ProcessGraph
from vla_ros.ros import qos
from vla_ros.ros.conversions.plan import uuid_msg
from vla_ros.ros.domain import isolated_domain

STEP_S = 60.0


class Stage:
    """Starts nodes, waits with time limits, ends everything.

    Attributes:
        node: The test's own node, namespace /vla.
        lines: What the nodes printed, as (node, line).
        diagnostics: Newest status of each node.
        said: Every status of every node.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.said: list[DiagnosticStatus] = []
        self._graphs: dict[str, ProcessGraph] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = Node("stage", namespace="/vla", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.profile("diagnostics")
        )

    def start(self, name: str, **parameters: Any) -> None:
        """Starts one node of the package."""
        argv = [sys.executable, "-m", f"vla_ros.nodes.{name}", "--ros-args"]
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            argv += ["-p", f"{key}:={text}"]
        command = Command(label=name, argv=tuple(argv), environment={}, required=False)
        graph = ProcessGraph([command], lambda label, line: self.lines.append((label, line)))
        graph.start()
        self._graphs[name] = graph

    def pid(self, name: str) -> int:
        """Process id of a node."""
        return self._graphs[name].pid(name)

    def stop(self, name: str) -> int:
        """Ends one node by SIGINT; its exit status."""
        graph = self._graphs.pop(name)
        graph.stop(20.0)
        return int(graph.exit_codes[name])

    def kill(self, name: str) -> None:
        """Ends one node by SIGKILL, without a word."""
        os.kill(self._graphs.pop(name).pid(name), signal.SIGKILL)

    def ended(self, name: str) -> int:
        """Waits until a node ends by itself; its exit status."""
        self.wait(lambda: self._graphs[name].wait(0), f"{name} to end")
        return int(self._graphs.pop(name).exit_codes[name])

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = STEP_S) -> None:
        """Handles callbacks until the condition holds; fails in words when time is up."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                log = "\n".join(f"[{label}] {line}" for label, line in self.lines[-30:])
                raise AssertionError(f"waited {timeout_s:g} s for {what}; last output:\n{log}")
            self._executor.spin_once(timeout_sec=0.02)

    def waits(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Handles callbacks until the condition holds or time is up."""
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)
        return condition()

    def begin_run(
        self, runs: Publisher, chunks: Publisher, status: Callable[[], BridgeStatus]
    ) -> bytes:
        """Starts a run that holds at its end and waits until the bridge has taken it up; its id.

        Args:
            runs: Of Run.
            chunks: Of ActionChunk; returns when the bridge listens to them.
            status: The newest status of the bridge.
        """
        self.wait(lambda: chunks.get_subscription_count() > 0, "the bridge to listen to chunks")
        run_id = uuid.uuid4().bytes
        runs.publish(
            Run(
                run_id=uuid_msg(run_id),
                epoch=status().epoch,
                state=Run.STARTED,
                hold_at_end=True,
            )
        )
        owner = f"run {run_id.hex()[:8]}"
        self.wait(lambda: status().owner == owner, "the run to be taken up")
        return run_id

    def says(self, name: str, *words: str) -> bool:
        """Whether a node's newest diagnostics hold all these words."""
        status = self.diagnostics.get(name)
        return status is not None and all(word in status.message for word in words)

    def printed(self, name: str) -> str:
        """Everything that a node printed."""
        return "\n".join(line for label, line in self.lines if label == name)

    def close(self) -> None:
        """Ends every node and the test's own."""
        for graph in self._graphs.values():
            graph.stop(20.0)
        self._executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.said += message.status
        for status in message.status:
            self.diagnostics[status.name.removeprefix("vla_ros: ")] = status


@contextmanager
def stage() -> Iterator[Stage]:
    """An empty stage in a domain of its own."""
    with isolated_domain() as variables:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            made = Stage()
            try:
                yield made
            finally:
                made.close()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value
