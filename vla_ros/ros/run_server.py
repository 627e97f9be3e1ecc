"""The `run_policy` action and the `run` topic: `RunDesk` with a clock, messages and goals."""

from __future__ import annotations

from typing import Any

from vla_ros_msgs.action import RunPolicy
from vla_ros_msgs.msg import BridgeStatus, Run

from vla_ros.policy.desk import Patience, RunDesk
from vla_ros.policy.runner import PolicyRunner, RunStats
from vla_ros.policy.runs import RunEnded
from vla_ros.ros.actions import GoalServer
from vla_ros.ros.conversions.run import bridge_view, goal_from, run_feedback, run_msg, run_result
from vla_ros.ros.lifecycle import VlaNode


class RunServer:
    """Wires a desk. Every method hands on what the desk decided: to the bridge first, then clients.

    Args:
        node: Owner; make it in ``configure``.
        patience: How long to wait for what.
        seed: For goals that name none; negative: random.
    """

    def __init__(self, node: VlaNode[Any], patience: Patience, seed: int) -> None:
        self._clock = node.clock
        self._seed = seed
        self._desk = RunDesk(patience)
        self._runner: PolicyRunner | None = None
        self._model_id = ""
        self._runs = node.publisher(Run, "run", "run", counted=True)
        self._goals = GoalServer(node, RunPolicy, "run_policy", self._on_goal, self._on_cancel)
        node.on_release(self._goals.destroy)

    def loaded(self, runner: PolicyRunner, model_id: str) -> None:
        """The policy is ready."""
        self._runner, self._model_id = runner, model_id
        self._desk.loaded(runner, self._clock.now_ns(), self._clock.awake_ns())
        self._flush()

    def not_loaded(self, problem: str) -> None:
        """The policy cannot be used: goals are refused with this text."""
        self._desk.not_loaded(problem, self._clock.now_ns())
        self._flush()

    def observed(self) -> None:
        """An observation came."""
        self._desk.observed(self._clock.awake_ns())

    def on_bridge(self, message: BridgeStatus) -> None:
        """The bridge reported."""
        self._desk.bridge(bridge_view(message), self._clock.now_ns(), self._clock.awake_ns())
        self._flush()

    def fault(self, text: str) -> None:
        """The policy failed in the middle of a run."""
        self._desk.fault(text, self._clock.now_ns())
        self._flush()

    def close(self, text: str) -> None:
        """The node goes down or time jumped: the goal in hand ends."""
        self._desk.close(text, self._clock.now_ns())
        self._flush()

    def tick(self) -> None:
        """Notice what time has brought."""
        self._desk.tick(self._clock.now_ns(), self._clock.awake_ns())
        self._flush()

    def feedback(self) -> None:
        """A sign of life for the goal in hand, also while it waits; it ends if nobody hears it."""
        self._desk.client(self._goals.listened(), self._clock.now_ns(), self._clock.awake_ns())
        self._flush()
        goal, runner = self._desk.current, self._runner
        if goal is None:
            return
        stats, seq, left_ns = RunStats(), 0, 0
        if runner is not None:
            stats, left_ns = runner.stats, runner.buffer_left_ns(self._clock.now_ns())
            seq = runner.plan.seq if runner.plan is not None else 0
        self._goals.feedback(goal.run_id, run_feedback(stats, seq, left_ns))

    def _on_goal(self, goal_id: bytes, request: RunPolicy.Goal) -> None:
        goal = goal_from(goal_id, request, self._seed)
        self._desk.request(goal, self._clock.now_ns(), self._clock.awake_ns())
        self._flush()

    def _on_cancel(self, goal_id: bytes) -> None:
        self._desk.cancel(goal_id, self._clock.now_ns())
        self._flush()

    def _flush(self) -> None:
        for event in self._desk.events():
            message = run_msg(event, self._clock.now_ns(), self._model_id)
            if not isinstance(event, RunEnded):
                self._runs.publish(message)
                continue
            if event.epoch is not None and not event.taken_over:
                self._runs.publish(message)
            self._goals.end(event.goal.run_id, run_result(event))
