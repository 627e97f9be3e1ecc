"""Pictures decoded in parallel, one thread for each camera, beside the executor.

OpenCV and numpy let go of the interpreter while they work, so one more camera does not slow the
others; what was decoded is handed over in the executor's thread, so nothing else needs a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from rclpy.node import Node

T = TypeVar("T")

_WAITING = 2
"""Pictures of one camera that may wait; what comes beyond is too late to be of use."""


class DecodingThreads:
    """Decodes for one node.

    Args:
        node: Its executor takes the results.
        keys: Cameras.
    """

    def __init__(self, node: Node, keys: Sequence[str]) -> None:
        self._node = node
        self._pools = {key: ThreadPoolExecutor(1, thread_name_prefix=key) for key in keys}
        self._waiting = dict.fromkeys(keys, 0)
        self._ready: deque[tuple[int, str, Future[Any], Callable[[Any], None]]] = deque()
        self._generation = 0
        self._guard = node.create_guard_condition(self._deliver)

    def submit(self, key: str, work: Callable[[], T], done: Callable[[T], None]) -> bool:
        """Do ``work`` in the camera's thread, then ``done`` with its result in the executor's.

        Returns:
            Whether it was taken; False where the camera's thread does not keep up.
        """
        if self._waiting[key] >= _WAITING:
            return False
        self._waiting[key] += 1
        generation = self._generation
        answer = self._pools[key].submit(work)

        def ready(future: Future[Any]) -> None:
            self._ready.append((generation, key, future, done))
            self._guard.trigger()

        answer.add_done_callback(ready)
        return True

    def forget(self) -> None:
        """What was submitted before is not handed over any more: time jumped."""
        self._generation += 1

    def destroy(self) -> None:
        """Waits for the work in hand, then frees the threads."""
        self.forget()
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
        self._node.destroy_guard_condition(self._guard)

    def _deliver(self) -> None:
        while self._ready:
            generation, key, future, done = self._ready.popleft()
            self._waiting[key] -= 1
            if generation == self._generation:
                done(future.result())
