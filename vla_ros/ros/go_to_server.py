"""The `go_to` action of the control bridge: one move at a time, as the commander reports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vla_ros_msgs.action import GoTo

from vla_ros.robot.command.commander import Commander
from vla_ros.ros.actions import OUTCOME_NUMBERS, GoalServer
from vla_ros.ros.lifecycle import VlaNode

FEEDBACK_TICKS = 10


class GoToServer:
    """Starts moves to named poses and follows them.

    Args:
        node: Owner.
        commander: Gives the commander in force.
        now_ns: Gives ROS time, in [ns].
    """

    def __init__(
        self, node: VlaNode[Any], commander: Callable[[], Commander], now_ns: Callable[[], int]
    ) -> None:
        self._commander = commander
        self._now_ns = now_ns
        self._goal_id: bytes | None = None
        self._epoch = 0
        self._ticks = 0
        self._server = GoalServer(node, GoTo, "go_to", self._on_goal, self._on_cancel)
        self.destroy = self._server.destroy

    def follow(self) -> None:
        """Call it each control period: feedback, and the end of a move."""
        if self._goal_id is None:
            return
        commander = self._commander()
        self._ticks += 1
        progress = commander.go_to_progress(self._now_ns())
        if commander.epoch != self._epoch:
            self.end("STOPPED", commander.stop_text or "the robot was stopped")
        elif progress is None:
            self.end("SUCCEEDED", "")
        elif self._ticks % FEEDBACK_TICKS == 0:
            self._server.feedback(self._goal_id, GoTo.Feedback(progress=progress))

    def end(self, outcome: str, message: str) -> None:
        """End the move in hand, if there is one."""
        if self._goal_id is not None:
            self._server.end(self._goal_id, _result(outcome, message))
            self._goal_id = None

    def _on_goal(self, goal_id: bytes, request: GoTo.Goal) -> None:
        if self._goal_id is not None:
            self._server.end(goal_id, _result("REFUSED", "another go_to is under way"))
            return
        commander = self._commander()
        refusal = commander.go_to(request.pose, request.speed or 1.0, self._now_ns())
        if refusal is not None:
            self._server.end(goal_id, _result("REFUSED", refusal.text))
            return
        self._goal_id, self._epoch = goal_id, commander.epoch

    def _on_cancel(self, goal_id: bytes) -> None:
        if goal_id == self._goal_id:
            self._commander().cancel_go_to(self._now_ns())
            self.end("CANCELED", "cancelled by the client")


def _result(outcome: str, message: str) -> GoTo.Result:
    return GoTo.Result(outcome=OUTCOME_NUMBERS[outcome], message=message)
