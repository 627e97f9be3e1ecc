"""A client of the `run_policy` action that numbers its goals: sent, alive, ended, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionClient
from rclpy.node import Node
from vla_ros_msgs.action import RunPolicy

from vla_ros.ros.actions import OUTCOME_WORDS


class RunClient:
    """Sends goals and reports what becomes of them, by number.

    Args:
        node: Owner.
        on_alive: The policy gave a sign of life for a goal.
        on_end: Number, outcome (a word) and message of a goal that ended.
    """

    def __init__(
        self, node: Node, on_alive: Callable[[], None], on_end: Callable[[int, str, str], None]
    ) -> None:
        self._client = ActionClient(node, RunPolicy, "run_policy")
        self._on_alive = on_alive
        self._on_end = on_end
        self._waiting: tuple[int, RunPolicy.Goal] | None = None
        self._handles: dict[int, Any] = {}
        self._unwanted: set[int] = set()
        self._generation = 0

    def send(self, number: int, goal: RunPolicy.Goal) -> None:
        """Send a goal, as soon as there is a server."""
        self._waiting = (number, goal)
        self.poll()

    def poll(self) -> None:
        """Call it now and then: sends the goal that waits for a server."""
        if self._waiting is None or not self._client.server_is_ready():
            return
        (number, goal), self._waiting = self._waiting, None
        generation = self._generation
        sent = self._client.send_goal_async(goal, feedback_callback=lambda _: self._on_alive())
        sent.add_done_callback(lambda future: self._accepted(generation, number, future.result()))

    def cancel(self, number: int) -> None:
        """Cancel a goal; its end is reported as usual."""
        if self._waiting is not None and self._waiting[0] == number:
            self._waiting = None
            self._on_end(number, "CANCELED", "never sent: there was no policy node")
        elif number in self._handles:
            self._handles[number].cancel_goal_async()
        else:
            self._unwanted.add(number)  # its handle is on the way

    def forget(self) -> None:
        """The task is over: cancel what is still open and report nothing of it any more."""
        self._generation += 1
        self._waiting = None
        self._unwanted.clear()
        for handle in self._handles.values():
            handle.cancel_goal_async()
        self._handles.clear()

    def destroy(self) -> None:
        """Free the client; goals still open are cancelled."""
        self.forget()
        self._client.destroy()

    def _accepted(self, generation: int, number: int, handle: Any) -> None:
        if generation != self._generation:
            handle.cancel_goal_async()
            return
        self._on_alive()
        self._handles[number] = handle
        handle.get_result_async().add_done_callback(
            lambda future: self._ended(generation, number, future.result().result)
        )
        if number in self._unwanted:
            handle.cancel_goal_async()

    def _ended(self, generation: int, number: int, result: RunPolicy.Result) -> None:
        if generation == self._generation:
            self._handles.pop(number, None)
            self._on_end(number, OUTCOME_WORDS.get(result.outcome, "FAILED"), result.message)
