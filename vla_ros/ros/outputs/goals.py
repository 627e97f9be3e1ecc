"""Goals for an action server that nobody waits for: one request under way, the newest goal wins."""

from __future__ import annotations

from typing import Any, Protocol

from rclpy.task import Future

PATIENCE_TICKS = 100


class GoalClient(Protocol):
    """What is used of `rclpy.action.ActionClient`."""

    def server_is_ready(self) -> bool:
        """Whether somebody serves the action."""
        ...

    def send_goal_async(self, goal: Any) -> Future:
        """Ask for a goal; the future holds its handle."""
        ...


class NewestGoal:
    """Sends goals without waiting; what comes meanwhile replaces what was not sent yet.

    A goal under way is not cancelled: servers of controllers go on with the next one from where
    they are, and brake or jump when one is cancelled.

    Args:
        client: Of the action.

    Attributes:
        problem: Why the last goal is not being executed, else empty.
    """

    def __init__(self, client: GoalClient) -> None:
        self._client = client
        self._goal: Any = None
        self._asked: Future | None = None
        self._waited = 0
        self.problem = ""

    def send(self, goal: Any) -> None:
        """Send it now, or as soon as the server takes it."""
        self._goal = goal
        self._go_on()

    def tick(self) -> None:
        """To be called each control period: tries again, and gives up on a server that is gone."""
        self._waited += 1
        if self._asked is not None and self._waited > PATIENCE_TICKS:
            self._asked = None
            self.problem = "the action server did not answer"
        self._go_on()

    def _go_on(self) -> None:
        if self._goal is None or self._asked is not None:
            return
        if not self._client.server_is_ready():
            self.problem = "nobody serves the action"
            return
        goal, self._goal, self._waited = self._goal, None, 0
        self._asked = self._client.send_goal_async(goal)
        self._asked.add_done_callback(self._answered)

    def _answered(self, future: Future) -> None:
        handle = future.result()
        if future is not self._asked:
            return
        self._asked = None
        taken = handle is not None and handle.accepted
        self.problem = "" if taken else "the action server refused the goal"
        self._go_on()
