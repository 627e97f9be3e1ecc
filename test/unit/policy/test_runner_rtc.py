"""Real-time chunking: what the policy is asked, and what happens where that cannot be trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_runner import DT, LATENCY, MS, SPACE, SPEC, A, seen

from vla_ros.chunks.rtc import soft_mask
from vla_ros.policy.joiner import CannotGuide
from vla_ros.policy.runner import PolicyFault, PolicyRunner
from vla_ros.spaces import VectorSpace

GUIDED = replace(SPEC, rtc="guided")


def rtc(spec=GUIDED, **more) -> PolicyRunner:
    run = PolicyRunner(spec, SPACE, aggregation="rtc", execute_ns=100 * MS, **more)
    run.start_run(A, 1, "go")
    return run


def ask(run: PolicyRunner, t_ns: int):
    run.observe(seen(t_ns))
    return run.poll(t_ns)


def answer(run: PolicyRunner, job, takes_ns: int, value: float = 0.0):
    """All chunks agree: 1 a second, and ``value``."""
    due_s = (job.request.observation.start_ns + job.dt_ns * np.arange(8)) * 1e-9
    rows = value + np.tile(due_s[:, None], (1, 2))
    end_ns = job.inference_start_ns + takes_ns
    return run.finish(job, rows, inference_end_ns=end_ns, publish_ns=end_ns)


def warm(run: PolicyRunner, takes_ns: int = 60 * MS) -> int:
    """Two chunks: the first inference of a process is no measure, the second is one."""
    for t_ns in (0, 100 * MS):
        answer(run, ask(run, t_ns), takes_ns)
    return 200 * MS


def test_the_policy_is_asked_to_continue_the_plan_before_on_its_own_rows():
    run = rtc()
    job = ask(run, warm(run))
    guidance = job.request.guidance
    # The plan before began 100 ms = 2 rows earlier; it reaches rows 0 .. 5 of the new chunk.
    assert guidance.actions[:6, 0] == pytest.approx(0.23 + 0.05 * np.arange(6))
    assert guidance.actions[6:, 0] == pytest.approx(0.48)
    # It takes over at 200 + 60 + 10 ms, row 0 is due at 200 + 30 ms: one row is frozen.
    assert guidance.weights == pytest.approx(soft_mask(8, 1, 6))
    plan = answer(run, job, 60 * MS, value=5.0)
    assert plan.aggregation == "rtc"
    assert plan.actions[:, 0] == pytest.approx(5.23 + 0.05 * np.arange(8))
    assert run.stats.fallback == ""


def test_the_delay_counts_from_start_so_an_old_observation_freezes_more_rows():
    def frozen(age_ns: int) -> int:
        run = rtc()
        t_ns = warm(run)
        run.observe(seen(t_ns - age_ns))
        return int((run.poll(t_ns).request.guidance.weights == 1.0).sum())

    assert frozen(0) == 1
    assert frozen(90 * MS) == -(-(90 + 60 + 10 - LATENCY // MS) * MS // DT) == 3


def test_the_slowest_of_the_last_answers_counts_and_the_first_one_of_the_process_does_not():
    run = rtc()
    answer(run, ask(run, 0), 4000 * MS)
    t_ns = 4100 * MS
    answer(run, ask(run, t_ns), 60 * MS)
    for takes_ms, frozen in ((110, 1), (60, 2), (60, 2)):
        t_ns += 200 * MS
        job = ask(run, t_ns)
        assert int((job.request.guidance.weights == 1.0).sum()) == frozen
        answer(run, job, takes_ms * MS)


def test_without_a_measured_response_the_chunk_is_blended_and_says_why():
    run = rtc()
    answer(run, ask(run, 0), 60 * MS)
    job = ask(run, 100 * MS)
    assert job.request.guidance is None
    assert answer(run, job, 60 * MS).aggregation == "blend"
    assert "no response time" in run.stats.fallback
    assert run.stats.concern == run.stats.fallback


@pytest.mark.parametrize(("bound", "expected"), [(None, "good for 4 of 8"), (1, "good for 1 of 8")])
def test_beyond_the_trusted_delay_chunks_are_blended_until_it_is_short_again(bound, expected):
    run = rtc(replace(GUIDED, rtc_max_delay=bound), max_stretch=1.0)
    t_ns = warm(run, takes_ns=250 * MS)
    job = ask(run, t_ns + 160 * MS)
    assert job.request.guidance is None
    assert answer(run, job, 60 * MS).aggregation == "blend"
    assert expected in run.stats.fallback
    t_ns += 400 * MS
    for _ in range(9):
        job = ask(run, t_ns)
        answer(run, job, 40 * MS)
        t_ns += 200 * MS
    assert run.stats.aggregation == "rtc"
    assert run.stats.fallback == ""


def test_a_policy_trained_with_a_clean_prefix_is_given_the_frozen_rows_only():
    run = rtc(replace(SPEC, rtc="prefix", rtc_max_delay=3))
    job = ask(run, warm(run))
    assert job.request.guidance.weights.tolist() == [1.0] + [0.0] * 7
    assert answer(run, job, 60 * MS).aggregation == "rtc_prefix"


def test_a_policy_that_cannot_continue_a_plan_is_refused_before_anything_moves():
    with pytest.raises(CannotGuide, match="set aggregation to 'blend'"):
        rtc(SPEC)


def test_rows_not_yet_executed_are_read_as_late_as_the_bridge_is():
    run = rtc()
    t_ns = warm(run)
    plan = run.plan
    run.progress(A, plan.seq, plan.row_at(t_ns) - 0.5, t_ns)
    assert ask(run, t_ns).request.guidance.actions[0, 0] == pytest.approx(0.23 - 0.5 * 0.05)


def test_a_run_is_slowed_down_where_chunks_would_end_before_their_successors_come():
    run = rtc(max_stretch=3.0)
    t_ns = warm(run, takes_ns=300 * MS)
    job = ask(run, t_ns + 300 * MS)
    # From row 0: -30 ms until now, two answers of 310 ms and the landing, in 7 steps of 50 ms.
    assert job.dt_ns == pytest.approx(DT * (2 * 310 - 30 + 100) / 350, rel=1e-6)
    plan = answer(run, job, 300 * MS)
    assert plan.end_ns >= job.inference_start_ns + 2 * 310 * MS
    assert "slower" in run.stats.concern


@pytest.mark.parametrize("speed", [0.1, 0.5, 2.0])
def test_velocities_are_scaled_with_the_speed_so_that_the_way_stays(speed):
    space = VectorSpace.of(("base", "velocity", ["j"]), ("gripper", "binary", ["g"]))
    run = PolicyRunner(SPEC, space)
    run.start_run(A, 1, "go", speed=speed)
    plan = run.finish(ask(run, 0), np.ones((8, 2)), inference_end_ns=0, publish_ns=0)
    assert plan.dt_ns == pytest.approx(DT / speed)
    assert (plan.actions[:, 0] * plan.dt_ns).sum() == pytest.approx(8 * DT)
    assert (plan.actions[:, 1] == 1.0).all()


@pytest.mark.parametrize("speed", [0.0, 0.09, 2.1, float("nan")])
def test_a_speed_out_of_range_is_refused(speed):
    with pytest.raises(PolicyFault, match=r"expected 0\.1 to 2"):
        rtc().start_run(A, 1, "go", speed=speed)
