"""The policy's thread: what it does at the beginning of a run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from vla_ros.ros.inference import InferenceThread


class Listener:
    """A policy that notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def infer(self, request: str) -> np.ndarray:
        self.calls.append(request)
        return np.zeros(1)

    def reset(self) -> None:
        self.calls.append("reset")


def test_each_run_begins_with_a_policy_that_has_forgotten_the_one_before():
    guard = SimpleNamespace(trigger=lambda: None)
    node = SimpleNamespace(
        create_guard_condition=lambda wake: guard, destroy_guard_condition=lambda guard: None
    )
    thread, policy = InferenceThread(node, lambda: None), Listener()
    for run, request in ((b"a", "1"), (b"a", "2"), (b"b", "3")):
        thread.start(policy, SimpleNamespace(run_id=run, request=request, inference_start_ns=0))
        _, answer = thread.take(0, latency_ns=0, block=True)
        answer.result()
    thread.destroy()
    assert policy.calls == ["reset", "1", "2", "reset", "3"]
