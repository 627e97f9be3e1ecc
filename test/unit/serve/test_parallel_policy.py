"""A policy that several threads may call at once gets its requests so, and none of them is lost."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serving import Serving, Small, request_with

from vla_ros.policy.protocol import PolicyRequest
from vla_ros.policy.remote import ServedPolicy
from vla_ros.policy.serve import batching
from vla_ros.policy.serve.batching import Answer, Batcher
from vla_ros.policy.serve.metrics import Metrics


class Meeting(Small):
    """Answers nobody before two are inside."""

    parallel = 2

    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2, timeout=20.0)

    def infer(self, request: PolicyRequest) -> np.ndarray:
        self._both.wait()
        return super().infer(request)


def test_two_robots_are_inside_a_parallel_policy_at_once_and_each_gets_its_own_answer():
    requests = [request_with((k / 8, -k / 4), seed=k) for k in range(2)]
    with Serving(Meeting()) as server, ThreadPoolExecutor(2) as pool:
        clients = [ServedPolicy(server.uri, infer_s=30.0) for _ in requests]
        for _ in range(2):
            got = list(pool.map(lambda client, asked: client.infer(asked), clients, requests))
            for answer, request in zip(got, requests, strict=True):
                np.testing.assert_array_equal(answer, Small().infer(request))
        for client in clients:
            client.close()


def test_two_threads_that_begin_at_the_same_instant_both_go_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batching, "time", SimpleNamespace(monotonic=lambda: 5.0))

    requests = [request_with(seed=k) for k in range(4)]

    async def ask_two_by_two() -> list[Answer]:
        batcher = Batcher(Meeting(), lambda: 2, max_wait_s=0.0, metrics=Metrics())
        work = asyncio.ensure_future(batcher.run())
        answers = await asyncio.gather(*map(batcher.infer, requests[:2]))
        answers += await asyncio.gather(*map(batcher.infer, requests[2:]))
        work.cancel()
        return answers

    for answer, request in zip(asyncio.run(ask_two_by_two()), requests, strict=True):
        np.testing.assert_array_equal(answer.actions, Small().infer(request))
