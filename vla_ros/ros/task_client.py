"""A client of the graph for programs that are not nodes: goals, named poses, scenes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger
from vla_ros_msgs.action import ExecuteTask, GoTo, RunPolicy
from vla_ros_msgs.msg import Commanded, Outcome
from vla_ros_msgs.srv import ResetScene

from vla_ros.errors import VlaError

CANCEL_PATIENCE_S = 10.0
SEEN_NS = 300_000_000  # ROS time after which a new scene has been seen by all


class GraphNotUpError(VlaError):
    """An action server of the graph did not answer in time."""


class TaskClient:
    """Owns a context, a node and an `execute_task` client; use it as a context manager.

    Args:
        namespace: namespace of the graph.
        use_sim_time: follow /clock (for stamps of feedback).
    """

    def __init__(self, namespace: str = "/vla", use_sim_time: bool = False) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = Node(
            "task_client",
            namespace=namespace,
            context=self._context,
            parameter_overrides=[Parameter("use_sim_time", value=use_sim_time)],
        )
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._client = ActionClient(self.node, ExecuteTask, "execute_task")
        self._runs: ActionClient | None = None

    def __enter__(self) -> TaskClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    @property
    def now_ns(self) -> int:
        """ROS time as this client sees it, in ns."""
        return int(self.node.get_clock().now().nanoseconds)

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Handle callbacks until `done()`, or for `timeout_s` of steady time; returns `done()`."""
        end = time.monotonic() + timeout_s
        while not done() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)
        return done()

    def wait_for_server(self, timeout_s: float) -> None:
        """Wait for the planner.

        Raises:
            GraphNotUpError: nobody offers `execute_task` after `timeout_s` of steady time.
        """
        if not self.spin_until(self._client.server_is_ready, timeout_s):
            name = self.node.resolve_service_name("execute_task")
            raise GraphNotUpError(
                f"no action server {name} after {timeout_s:g} s: is the graph up, and is "
                "ROS_DOMAIN_ID the same? Start it with `vla launch demo.launch.yaml`, or look "
                "with `vla doctor`."
            )

    def wait_for_robot(self, timeout_s: float) -> None:
        """Wait until the bridge commands the robot.

        Raises:
            GraphNotUpError: it does not after `timeout_s` of steady time.
        """
        heard: list[Any] = []
        listener = self.node.create_subscription(Commanded, "commanded", heard.append, 1)
        try:
            self._wait(lambda: bool(heard), timeout_s, "the control_bridge to command the robot")
        finally:
            self.node.destroy_subscription(listener)

    def wait_for_policy(self, timeout_s: float) -> None:
        """Wait until the policy is loaded and warm.

        Raises:
            GraphNotUpError: it says why it cannot be used, or is not there after `timeout_s` of
                steady time.
        """
        with self._statuses() as said:

            def ready() -> bool:
                status = said.get("policy")
                if status is not None and status.level == DiagnosticStatus.ERROR:
                    raise GraphNotUpError(status.message)
                return status is not None and status.level == DiagnosticStatus.OK

            self._wait(ready, timeout_s, "the policy to be loaded")

    def wait_for_signs_of_life(self, nodes: Collection[str], timeout_s: float) -> None:
        """Wait until each of these nodes has said something on `/diagnostics`, from now on.

        Raises:
            GraphNotUpError: one has not within `timeout_s` of steady time.
        """
        with self._statuses() as said:
            if not self.spin_until(lambda: said.keys() >= set(nodes), timeout_s):
                silent = ", ".join(sorted(set(nodes) - said.keys()))
                raise GraphNotUpError(f"no sign of life of {silent} for {timeout_s:g} s.")

    @contextmanager
    def _statuses(self) -> Iterator[dict[str, Any]]:
        """What our nodes say on `/diagnostics` meanwhile, by their names."""
        said: dict[str, Any] = {}

        def listen(message: DiagnosticArray) -> None:
            said.update((s.name.removeprefix("vla_ros: "), s) for s in message.status)

        listener = self.node.create_subscription(DiagnosticArray, "/diagnostics", listen, 10)
        try:
            yield said
        finally:
            self.node.destroy_subscription(listener)

    def execute(
        self,
        instruction: str,
        *,
        time_limit_s: float = 0.0,
        on_feedback: Callable[[Any], None] | None = None,
        patience_s: float = 600.0,
    ) -> Any:
        """Send one goal and wait for its result; Ctrl-C cancels it and still waits for the result.

        Args:
            instruction: the goal in words.
            time_limit_s: of ROS time; 0 is the planner's default.
            on_feedback: called with each ExecuteTask.Feedback.
            patience_s: steady time after which the goal counts as lost.

        Returns:
            The ExecuteTask.Result.

        Raises:
            GraphNotUpError: the planner did not answer, or vanished while it worked.
        """
        goal = ExecuteTask.Goal(instruction=instruction)
        goal.time_limit.sec, goal.time_limit.nanosec = divmod(int(time_limit_s * 1e9), 10**9)
        sent = self._client.send_goal_async(
            goal,
            feedback_callback=lambda message: (
                on_feedback(message.feedback) if on_feedback else None
            ),
        )
        if not self.spin_until(sent.done, 10.0):
            raise GraphNotUpError(
                "the planner did not take the goal within 10 s: look with `vla doctor`"
            )
        handle = sent.result()
        result = handle.get_result_async()

        def over() -> bool:
            return result.done() or not self._client.server_is_ready()

        try:
            self.spin_until(over, patience_s)
        except KeyboardInterrupt:
            handle.cancel_goal_async()
            self.spin_until(result.done, CANCEL_PATIENCE_S)
        if not result.done():
            raise GraphNotUpError(
                "the planner went away before it gave a result: look with `vla doctor`"
            )
        return result.result().result

    def go_to(self, pose: str, timeout_s: float) -> None:
        """Move the robot to a named pose of its file, as soon as no run moves it.

        Raises:
            GraphNotUpError: the bridge did not do it within `timeout_s` of steady time.
        """
        client = ActionClient(self.node, GoTo, "go_to")
        try:
            self._wait(client.server_is_ready, timeout_s, "the control_bridge's go_to action")
            end = time.monotonic() + timeout_s
            while True:
                sent = client.send_goal_async(GoTo.Goal(pose=pose))
                self._wait(sent.done, timeout_s, "the control_bridge to take the pose")
                result = sent.result().get_result_async()
                self._wait(result.done, timeout_s, f"the robot to reach pose {pose}")
                answer = result.result().result
                if answer.outcome == Outcome.SUCCEEDED:
                    return
                if answer.outcome != Outcome.REFUSED or time.monotonic() > end:
                    raise GraphNotUpError(f"the robot did not go to {pose}: {answer.message}")
                self.spin_until(lambda: False, 0.1)
        finally:
            client.destroy()

    def reset_scene(self, seed: int, timeout_s: float) -> None:
        """Lay out the simulated scene of `seed`.

        Raises:
            GraphNotUpError: the simulator did not do it within `timeout_s` of steady time.
        """
        client = self.node.create_client(ResetScene, "sim_robot/reset")
        try:
            self._wait(client.service_is_ready, timeout_s, "the simulator's reset service")
            answer = client.call_async(ResetScene.Request(seed=seed))
            self._wait(answer.done, timeout_s, "the simulator to reset the scene")
        finally:
            self.node.destroy_client(client)
        if not answer.result().success:
            raise GraphNotUpError(f"scene {seed}: {answer.result().message}")
        seen_ns = self.now_ns + SEEN_NS
        self._wait(lambda: self.now_ns > seen_ns, timeout_s, "everybody to see the new scene")

    def start_run(self, prompt: str, *, seed: int = -1, timeout_s: float = 10.0) -> Any:
        """Give the policy a prompt itself, without a planner; returns the goal's handle.

        Raises:
            GraphNotUpError: the policy did not take it within `timeout_s` of steady time.
        """
        if self._runs is None:
            self._runs = ActionClient(self.node, RunPolicy, "run_policy")
        self._wait(self._runs.server_is_ready, timeout_s, "the policy's run_policy action")
        sent = self._runs.send_goal_async(RunPolicy.Goal(prompt=prompt, seed=seed))
        self._wait(sent.done, timeout_s, "the policy to take the prompt")
        return sent.result()

    @property
    def runs_offered(self) -> bool:
        """Whether a policy is there to give prompts to, once `start_run` found one."""
        return self._runs is not None and self._runs.server_is_ready()

    def end_run(self, handle: Any, result: Any, timeout_s: float) -> None:
        """Cancel a run of `start_run` and wait for its end.

        Args:
            handle: What `start_run` returned.
            result: Its `get_result_async()`.
            timeout_s: Of steady time.

        Raises:
            GraphNotUpError: it did not end in time.
        """
        if not result.done():
            handle.cancel_goal_async()
        self._wait(result.done, timeout_s, "the policy to end its run")

    def resume(self, timeout_s: float) -> None:
        """Let a stopped robot move again; one that is not stopped stays as it is.

        Raises:
            GraphNotUpError: the bridge did not answer within `timeout_s` of steady time.
        """
        client = self.node.create_client(Trigger, "control_bridge/resume")
        try:
            self._wait(client.service_is_ready, timeout_s, "the control_bridge's resume service")
            answer = client.call_async(Trigger.Request())
            self._wait(answer.done, timeout_s, "the control_bridge to resume")
        finally:
            self.node.destroy_client(client)

    def _wait(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        if not self.spin_until(done, timeout_s):
            raise GraphNotUpError(f"waited {timeout_s:g} s for {what}: look with `vla doctor`")
