"""A client of the `run_policy` action that numbers its goals: sent, alive, ended, cancelled.

A request to a server that has just been started again can get lost: the graph still shows the dead
one. It is sent again under the same goal id, which a server accepts once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from rclpy.action import ActionClient
from rclpy.node import Node
from unique_identifier_msgs.msg import UUID
from vla_ros_msgs.action import RunPolicy

from vla_ros.ros.actions import OUTCOME_WORDS
from vla_ros.task_planning.machine import TaskOutcome

RESEND_POLLS = 10


@dataclass(kw_only=True)
class _Request:
    number: int
    goal: RunPolicy.Goal
    goal_id: UUID
    polls: int = 0


class RunClient:
    """Sends goals and reports what becomes of them, by number.

    Args:
        node: Owner.
        on_alive: The policy gave a sign of life for a goal.
        on_end: Number, outcome (a word) and message of a goal that ended.
    """

    def __init__(
        self,
        node: Node,
        on_alive: Callable[[], None],
        on_end: Callable[[int, TaskOutcome, str], None],
    ) -> None:
        self._client = ActionClient(node, RunPolicy, "run_policy")
        self._on_alive = on_alive
        self._on_end = on_end
        self._waiting: _Request | None = None
        self._handles: dict[int, Any] = {}
        self._unwanted: set[int] = set()
        self._generation = 0

    def send(self, number: int, goal: RunPolicy.Goal) -> None:
        """Send a goal, as soon as there is a server."""
        goal_id = UUID(uuid=np.frombuffer(uuid.uuid4().bytes, dtype=np.uint8))
        self._waiting = _Request(number=number, goal=goal, goal_id=goal_id)
        self.poll()

    def poll(self) -> None:
        """Call it several times a second: sends, and sends again, what was not accepted yet."""
        request = self._waiting
        if request is None or not self._client.server_is_ready():
            return
        if request.polls % RESEND_POLLS == 0:
            generation = self._generation
            sent = self._client.send_goal_async(
                request.goal, lambda _: self._on_alive(), request.goal_id
            )
            sent.add_done_callback(
                lambda future: self._answered(generation, request.number, future.result())
            )
        request.polls += 1

    def cancel(self, number: int) -> None:
        """Cancel a goal; its end is reported as usual."""
        if number in self._handles:
            self._handles[number].cancel_goal_async()
        elif self._waiting is not None and self._waiting.polls == 0:
            self._waiting = None
            self._on_end(number, "CANCELED", "never sent: there was no policy node")
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

    def _answered(self, generation: int, number: int, handle: Any) -> None:
        if not handle.accepted:  # sent twice, and the first has been accepted
            return
        if generation != self._generation:
            handle.cancel_goal_async()
            return
        self._waiting = None
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
            outcome = cast(TaskOutcome, OUTCOME_WORDS.get(result.outcome, "FAILED"))
            self._on_end(number, outcome, result.message)
