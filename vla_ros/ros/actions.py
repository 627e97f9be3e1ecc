"""Action servers that accept every goal and end it with an outcome and a reason.

A ROS rejection cannot carry words, so a refusal is a result too. SUCCEEDED ends as succeeded,
CANCELED as canceled where the client asked for it, everything else as aborted; the result's
``outcome`` says which.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.task import Future
from vla_ros_msgs.msg import Outcome

from vla_ros.ros.lifecycle import VlaNode

OUTCOME_NUMBERS: dict[str, int] = {
    "UNKNOWN": Outcome.UNKNOWN,
    "SUCCEEDED": Outcome.SUCCEEDED,
    "FAILED": Outcome.FAILED,
    "REFUSED": Outcome.REFUSED,
    "TIMED_OUT": Outcome.TIMED_OUT,
    "STOPPED": Outcome.STOPPED,
    "CANCELED": Outcome.CANCELED,
}
OUTCOME_WORDS = {number: word for word, number in OUTCOME_NUMBERS.items()}


class GoalServer:
    """One action server whose goals are ended by their id, from any callback of the node.

    Args:
        node: Owner; its executor runs one callback at a time. Before its process ends it waits a
            moment for the results of goals that it has ended.
        action: Action type; its result has the field ``outcome``.
        name: Name of the action.
        on_goal: Called with id (16 bytes) and request of each goal.
        on_cancel: Called with the id of a goal that its client cancels; end it when it has stopped.
    """

    def __init__(
        self,
        node: VlaNode[Any],
        action: Any,
        name: str,
        on_goal: Callable[[bytes, Any], None],
        on_cancel: Callable[[bytes], None],
    ) -> None:
        self._on_goal = on_goal
        self._on_cancel = on_cancel
        self._open: dict[bytes, tuple[ServerGoalHandle, Future]] = {}
        self._unanswered = 0
        node.before_leaving(lambda: self._unanswered == 0)
        self._listeners = partial(node.count_subscribers, f"{name}/_action/feedback")
        self._server = ActionServer(
            node, action, name, self._execute, cancel_callback=self._cancelled
        )

    def listened(self) -> bool:
        """Whether any client is there; one that died counts until DDS gives it up (20 s)."""
        return self._listeners() > 0

    def feedback(self, goal_id: bytes, feedback: Any) -> None:
        """Publishes feedback of an open goal."""
        if goal_id in self._open:
            self._open[goal_id][0].publish_feedback(feedback)

    def end(self, goal_id: bytes, result: Any) -> None:
        """Ends an open goal; a goal that has ended already is ignored."""
        if goal_id in self._open:
            self._open.pop(goal_id)[1].set_result(result)

    def destroy(self) -> None:
        """Frees the server; open goals get no result."""
        self._server.destroy()

    async def _execute(self, handle: ServerGoalHandle) -> Any:
        goal_id = bytes(handle.goal_id.uuid)
        future: Future = Future()
        self._open[goal_id] = (handle, future)
        self._unanswered += 1
        self._on_goal(goal_id, handle.request)
        result = await future
        self._unanswered -= 1  # rclpy sends the result as soon as this returns
        if result.outcome == Outcome.SUCCEEDED:
            handle.succeed()
        elif result.outcome == Outcome.CANCELED and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return result

    def _cancelled(self, handle: ServerGoalHandle) -> CancelResponse:
        self._on_cancel(bytes(handle.goal_id.uuid))
        return CancelResponse.ACCEPT
