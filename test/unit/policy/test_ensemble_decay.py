"""The decay of temporal ensembling that a checkpoint names is that of its chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_runner import MS, SPACE, SPEC, A, seen

from vla_ros.policy.runner import PolicyRunner


@pytest.mark.parametrize("m", [-1.0, 0.0, 2.0])
def test_the_second_chunk_counts_by_the_checkpoints_decay(m):
    spec = replace(SPEC, horizon=40, ensemble_m=m)
    run = PolicyRunner(spec, SPACE, aggregation="ensemble", execute_ns=100 * MS)
    run.start_run(A, 1, "go", seed=1)

    def answer(t_ns: int, value: float):
        run.observe(seen(t_ns))
        job = run.poll(t_ns)
        end = t_ns + 60 * MS
        return run.finish(job, np.full((40, 2), value), inference_end_ns=end, publish_ns=end)

    answer(0, 0.0)
    plan = answer(100 * MS, 1.0)
    middle = plan.actions[10, 0]  # far from both chunks' ends
    assert middle == pytest.approx(np.exp(-m) / (1.0 + np.exp(-m)))
