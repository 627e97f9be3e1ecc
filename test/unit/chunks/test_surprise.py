"""Averaging ends with a chunk that knows what the others do not."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.chunks import Plan
from vla_ros.chunks.surprise import Surprise, disagreement
from vla_ros.policy.joiner import Ask, Executed, Joiner
from vla_ros.policy.protocol import PolicySpec
from vla_ros.spaces import TimeContract, VectorSpace

MS = 1_000_000
DT, ROWS = 20 * MS, 50
SPACE = VectorSpace.of(("arm", "position", ["j"]), ("gripper", "binary", ["g"]))
SPEC = PolicySpec(
    name="test",
    model_id="",
    camera_keys=(),
    image_size=(1, 1),
    state_names=("j",),
    action_names=("j", "g"),
    horizon=ROWS,
    contract=TimeContract(
        image_latency_ns={},
        state_at="capture",
        action_offset_ns=0,
        dt_ns=DT,
        interpolation="linear",
    ),
)


def plan(actions, start_ns) -> Plan:
    return Plan(
        run_id=bytes(16),
        epoch=1,
        seq=0,
        spec_hash=0,
        t_obs_ns=start_ns,
        start_ns=start_ns,
        dt_ns=DT,
        valid_from_ns=start_ns,
        actions=actions,
    )


def run(aggregation, values) -> list[float]:
    """Chunks of one value each, every 200 ms, and what is executed 100 ms after each takeover."""
    joiner = Joiner(SPEC, SPACE, aggregation)
    before, executed = None, []
    for k, value in enumerate(values):
        start_ns = 200 * MS * k
        chunk = np.stack([np.full(ROWS, value), np.full(ROWS, float(k % 2))], axis=1)
        ask = Ask(guidance=None, aggregation="blend")
        rows, counts = joiner.join(chunk, ask, before, start_ns, DT, start_ns)
        before = Executed(plan=plan(rows, start_ns), standing=counts)
        executed.append(float(rows[5, 0]))
    return executed


NOISE = [0.01 * (-1.0) ** k for k in range(8)]


def test_an_ensemble_averages_chunks_that_differ_as_usual():
    assert np.abs(run("ensemble", NOISE)[-1]) < 0.004


def test_an_ensemble_begins_anew_with_a_chunk_that_differs_far_more_than_usual():
    after = run("ensemble", [*NOISE, 0.2, 0.2 + 0.01])
    assert after[-2] == pytest.approx(0.2)
    assert after[-1] == pytest.approx(0.205, abs=1e-3)


def test_the_first_chunks_of_a_process_surprise_nobody():
    surprise = Surprise()
    assert not any(surprise.by(np.array([apart])) for apart in (1e-6, 1.0, 1e-6, 1.0))


def test_disagreement_counts_the_shared_rows_after_the_takeover_and_no_switches():
    old = plan(np.zeros((ROWS, 2)), 0)
    new = np.ones((ROWS, 2))
    new[:5, 0] = 100.0  # over before the chunk takes over
    new[40:, 0] = 100.0  # beyond the old plan
    apart = disagreement(new, 200 * MS, DT, old, SPACE, from_ns=300 * MS)
    assert apart == pytest.approx([1.0])
    assert disagreement(new, 2000 * MS, DT, old, SPACE, from_ns=2000 * MS) is None
