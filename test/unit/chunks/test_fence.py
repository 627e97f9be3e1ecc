"""What a plan must be before it may move anything."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.chunks import Fence, Plan

MS = 1_000_000
NOW = 10_000 * MS
RUN = b"r" * 16


def take(fence, plan, now_ns):
    """Judge a plan and, where it passes, execute it."""
    refusal = fence.judge(plan, now_ns)
    if refusal is None:
        fence.passed(plan)
    return refusal


def plan(**change) -> Plan:
    values = {
        "run_id": RUN,
        "epoch": 3,
        "seq": 5,
        "spec_hash": 7,
        "t_obs_ns": NOW - 50 * MS,
        "start_ns": NOW - 50 * MS,
        "dt_ns": 50 * MS,
        "valid_from_ns": NOW,
        "actions": np.zeros((8, 2)),
    }
    return Plan(**(values | change))


@pytest.fixture
def fence() -> Fence:
    fence = Fence(dim=2, spec_hash=7, max_age_ns=1_000 * MS)
    fence.open(3, RUN)
    return fence


def test_a_plan_of_the_current_run_in_time_passes_once(fence):
    assert take(fence, plan(), NOW) is None
    assert take(fence, plan(), NOW).reason == "sequence"
    assert take(fence, plan(seq=4), NOW).reason == "sequence"
    assert take(fence, plan(seq=6), NOW) is None


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"epoch": 2}, "epoch", "epoch 2, expected 3"),
        ({"run_id": b"x" * 16}, "run", "expected the current run"),
        ({"spec_hash": 8}, "spec", "same robot file"),
        ({"actions": np.zeros((8, 3))}, "shape", "3 values in each action, expected 2"),
        ({"actions": np.full((8, 2), np.nan)}, "not_finite", "row 0 column 0 is nan"),
        ({"actions": np.full((8, 2), np.inf)}, "not_finite", "inf"),
        ({"t_obs_ns": NOW - 1_001 * MS}, "stale", "1.001 s old"),
        ({"t_obs_ns": NOW + MS}, "future", "clocks"),
        ({"start_ns": NOW + 6_000 * MS}, "future", "begins in 6.000 s"),
        ({"start_ns": NOW - 350 * MS}, "past", "all rows"),
    ],
)
def test_everything_else_is_refused_in_words(fence, change, reason, words):
    refusal = take(fence, plan(**change), NOW)
    assert refusal.reason == reason
    assert words in str(refusal)


def test_a_refused_plan_does_not_use_up_its_number(fence):
    assert take(fence, plan(actions=np.full((8, 2), np.nan)), NOW) is not None
    assert take(fence, plan(), NOW) is None


def test_a_closed_fence_accepts_nothing(fence):
    fence.close()
    assert fence.run_id is None
    assert take(fence, plan(), NOW).reason == "run"


def test_hearing_of_the_same_run_again_does_not_let_old_plans_back_in(fence):
    assert take(fence, plan(), NOW) is None
    fence.open(3, RUN)
    assert take(fence, plan(), NOW).reason == "sequence"
