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


def started() -> InferenceThread:
    guard = SimpleNamespace(trigger=lambda: None)
    node = SimpleNamespace(
        create_guard_condition=lambda wake: guard, destroy_guard_condition=lambda guard: None
    )
    return InferenceThread(node, lambda: None)


def test_each_run_begins_with_a_policy_that_has_forgotten_the_one_before():
    thread, policy = started(), Listener()
    for run, request in ((b"a", "1"), (b"a", "2"), (b"b", "3")):
        thread.start(policy, SimpleNamespace(run_id=run, request=request, inference_start_ns=0))
        _, answer = thread.take(0, latency_ns=0, block=True)
        answer.result()
    thread.destroy()
    assert policy.calls == ["reset", "1", "2", "reset", "3"]


def test_an_answer_is_not_due_before_the_declared_latency():
    thread = started()
    thread.start(Listener(), SimpleNamespace(run_id=b"a", request="1", inference_start_ns=100))
    assert thread.take(159, latency_ns=60, block=True) is None
    assert thread.take(160, latency_ns=60, block=True) is not None
    thread.destroy()


def test_an_inference_that_was_out_when_time_went_back_does_not_block_the_next_ones():
    thread = started()
    job = SimpleNamespace(run_id=b"a", request="1", inference_start_ns=420 * 10**9)
    thread.start(Listener(), job)
    taken, _ = thread.take(10**9, latency_ns=60_000_000, block=True)
    assert taken is job
    assert not thread.busy
    thread.destroy()
