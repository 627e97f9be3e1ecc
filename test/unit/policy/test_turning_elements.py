"""Chunks of a joint that turns without end, joined across the seam at pi."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_runner import DT, MS, SPACE, SPEC, A, seen

from vla_ros.policy.runner import PolicyRunner
from vla_ros.spaces.turns import wrapped

TURNING = np.array([True, False])


def plans(aggregation: str, count: int = 12, speed: float = 1.0) -> list:
    """Every 100 ms a chunk of a joint at 1 rad/s that is counted from -pi to pi."""
    run = PolicyRunner(
        replace(SPEC, rtc="guided"),
        SPACE,
        aggregation=aggregation,
        execute_ns=100 * MS,
        turning=TURNING,
    )
    run.start_run(A, 1, "go")
    out = []
    for k in range(count):
        t_ns = 100 * MS * k
        run.observe(seen(t_ns))
        job = run.poll(t_ns)
        start_ns = job.request.observation.start_ns
        angle = 2.5 + speed * (start_ns + DT * np.arange(8)) * 1e-9
        rows = wrapped(np.stack([angle, np.ones(8)], axis=1), TURNING)
        guidance = job.request.guidance
        end_ns = t_ns + 40 * MS
        plan = run.finish(job, rows, inference_end_ns=end_ns, publish_ns=end_ns)
        out.append((plan, angle, guidance))
    return out


@pytest.mark.parametrize("aggregation", ["blend", "ensemble", "rtc"])
def test_chunks_are_joined_the_short_way_across_the_seam(aggregation):
    joined = plans(aggregation)
    assert all(plan.actions[:, 0] == pytest.approx(angle) for plan, angle, _ in joined)
    assert joined[-1][0].actions[-1, 0] > np.pi


def test_the_policy_is_asked_to_agree_with_angles_as_it_counts_them():
    guided = [guidance.actions[:, 0] for *_, guidance in plans("rtc") if guidance is not None]
    assert guided
    assert all((np.abs(angles) <= np.pi).all() for angles in guided)
    assert min(angles.min() for angles in guided) < -3.0
