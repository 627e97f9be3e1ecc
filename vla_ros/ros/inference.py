"""One inference at a time in one worker thread, beside the executor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy.typing as npt
from rclpy.node import Node

from vla_ros.policy import Policy
from vla_ros.policy.runner import Job

T = TypeVar("T")


class InferenceThread:
    """Runs a policy's work; the node is woken when an answer is there.

    Args:
        node: Its executor calls ``wake``.
        wake: Called after each answer.
    """

    def __init__(self, node: Node, wake: Callable[[], None]) -> None:
        self._node = node
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._guard = node.create_guard_condition(wake)
        self._work: tuple[Job, Future[npt.NDArray[Any]]] | None = None
        self._run_id = b""

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Anything else that must not block the executor, such as loading."""
        return self._pool.submit(work)

    def start(self, policy: Policy, job: Job) -> None:
        """Begin an inference, with a reset before the first one of a run.

        The inference before must have been taken.
        """
        first, self._run_id = job.run_id != self._run_id, job.run_id
        answer = self._pool.submit(_answer, policy, job, first)
        answer.add_done_callback(lambda _: self._guard.trigger())
        self._work = (job, answer)

    @property
    def busy(self) -> bool:
        """Whether an inference was started and not taken."""
        return self._work is not None

    def take(
        self, now_ns: int, *, latency_ns: int, block: bool
    ) -> tuple[Job, Future[npt.NDArray[Any]]] | None:
        """The inference that is due, if it is.

        Args:
            now_ns: ROS time, in [ns].
            latency_ns: It is never due sooner than this after its start, in [ns]; at once where
                time went back to before it.
            block: Wait for the answer once it is due.

        Returns:
            The job and its answer, whose ``result()`` returns at once unless ``block``.
        """
        if self._work is None:
            return None
        job, answer = self._work
        too_soon = 0 <= now_ns - job.inference_start_ns < latency_ns
        if too_soon or not (block or answer.done()):
            return None
        self._work = None
        return job, answer

    def destroy(self) -> None:
        """Waits for the work in hand, then frees the thread."""
        self._pool.shutdown(cancel_futures=True)
        self._node.destroy_guard_condition(self._guard)
        self._work = None


def _answer(policy: Policy, job: Job, first: bool) -> npt.NDArray[Any]:
    if first:
        policy.reset()
    return policy.infer(job.request)
