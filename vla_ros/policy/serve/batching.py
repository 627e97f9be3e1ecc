"""One policy, several robots: requests wait in one queue, and one thread works on them.

A policy that can compute several answers at once says so by `BatchPolicy`. A batch is closed when
it is full, when every connected robot is in it, or when its first request has waited long
enough: a robot alone never waits. A `ParallelPolicy`, such as a fleet of replicas that batch among
themselves, is given single requests by several threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vla_ros.errors import VlaError
from vla_ros.policy.protocol import Policy, PolicyRequest
from vla_ros.policy.serve.metrics import Metrics

Actions = npt.NDArray[np.float64]


class Stopping(VlaError):
    """The server ends before the answer is there."""


@runtime_checkable
class BatchPolicy(Policy, Protocol):
    """A policy that answers several requests in one go, each as it would alone."""

    @property
    def max_batch(self) -> int:
        """Most requests at once."""
        ...

    def infer_batch(self, requests: Sequence[PolicyRequest]) -> Sequence[Actions]:
        """One chunk for each request, the same as `infer` gives. Shapes (T, A)."""
        ...


@runtime_checkable
class ParallelPolicy(Policy, Protocol):
    """A policy that may be called by several threads at once."""

    @property
    def parallel(self) -> int:
        """Most calls at once."""
        ...


def answer_all(policy: Policy, requests: Sequence[PolicyRequest]) -> list[Actions | Exception]:
    """Every request's answer, or the reason why it alone has none."""
    if len(requests) > 1 and isinstance(policy, BatchPolicy):
        try:
            return list(policy.infer_batch(requests))
        except Exception:  # one of them is bad: each alone, so that only that one fails
            pass
    return [_answer(policy, request) for request in requests]


def _answer(policy: Policy, request: PolicyRequest) -> Actions | Exception:
    try:
        return policy.infer(request)
    except Exception as error:
        return error


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """A chunk and how it was made.

    Attributes:
        actions: Shape (T, A).
        waited_s: In the queue, in [s].
        infer_s: In the policy, in [s].
        batch: Requests worked on together.
    """

    actions: Actions
    waited_s: float
    infer_s: float
    batch: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waiting:
    request: PolicyRequest
    since: float
    answer: asyncio.Future[Answer]


class Batcher:
    """The queue, and the loop that empties it.

    Args:
        policy: Only the loop's threads call it.
        robots: How many robots are connected now.
        max_wait_s: Longest time that a request waits for others, in [s].
        metrics: Where batch sizes and times are counted.
    """

    def __init__(
        self, policy: Policy, robots: Callable[[], int], *, max_wait_s: float, metrics: Metrics
    ) -> None:
        self._policy = policy
        self._robots = robots
        self._max_wait_s = max_wait_s
        self._metrics = metrics
        self._max_batch = policy.max_batch if isinstance(policy, BatchPolicy) else 1
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._threads = policy.parallel if isinstance(policy, ParallelPolicy) else 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="policy")
        self._open: set[asyncio.Future[Answer]] = set()
        self._began: list[float] = []

    def busy_s(self) -> float:
        """How long the policy has worked on the oldest batch in hand, in [s]; 0 when it rests."""
        now = time.monotonic()
        return now - min(self._began, default=now)

    async def infer(self, request: PolicyRequest) -> Answer:
        """Wait for the answer to one request; one given up while it waits is never worked on.

        Raises:
            Exception: What the policy raised for this request.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open.add(answer)
        answer.add_done_callback(self._open.discard)
        await self._queue.put(_Waiting(request=request, since=time.monotonic(), answer=answer))
        return await answer

    async def call(self, work: Callable[[], Any]) -> Any:
        """Anything else that only the policy's thread may do, such as a reset."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await asyncio.gather(*(self._work_on() for _ in range(self._threads)))
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for answer in tuple(self._open):
                answer.set_exception(Stopping("the server is being stopped"))

    async def _work_on(self) -> None:
        while True:
            batch = [w for w in await self._collect() if not w.answer.done()]
            if batch:
                await self._work(batch)

    async def _collect(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        until = time.monotonic() + self._max_wait_s
        while len(batch) < min(self._max_batch, self._robots()):
            left_s = until - time.monotonic()
            try:
                batch.append(await asyncio.wait_for(self._queue.get(), max(0.0, left_s)))
            except asyncio.TimeoutError:
                break
        return batch

    async def _work(self, batch: list[_Waiting]) -> None:
        began = time.monotonic()
        self._began.append(began)
        results = await self.call(lambda: answer_all(self._policy, [w.request for w in batch]))
        self._began.remove(began)
        infer_s = time.monotonic() - began
        self._metrics.batch(len(batch), infer_s)
        for waiting, result in zip(batch, results, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(result, Exception):
                waiting.answer.set_exception(result)
            else:
                waiting.answer.set_result(
                    Answer(
                        actions=result,
                        waited_s=began - waiting.since,
                        infer_s=infer_s,
                        batch=len(batch),
                    )
                )
