"""Which observation is inferred on, and what plan the answer makes."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.policy.protocol import PolicySpec
from vla_ros.policy.runner import PolicyFault, PolicyRunner
from vla_ros.spaces import Observation, TimeContract, VectorSpace

MS = 1_000_000
DT = 50 * MS
LATENCY = 30 * MS
SPACE = VectorSpace.of(("arm", "position", ["j"]), ("gripper", "binary", ["g"]))
SPEC = PolicySpec(
    name="test",
    model_id="abc",
    camera_keys=(),
    image_size=(1, 1),
    state_names=("j",),
    action_names=("j", "g"),
    horizon=8,
    contract=TimeContract(
        image_latency_ns={},
        state_at="capture",
        action_offset_ns=0,
        dt_ns=DT,
        interpolation="linear",
    ),
)
A, B = b"a" * 16, b"b" * 16


def seen(t_ns: int, seq: int = 1) -> Observation:
    return Observation(
        seq=seq,
        t_obs_ns=t_ns,
        start_ns=t_ns + LATENCY,
        images={},
        image_stamps_ns={},
        state=np.zeros(1),
        state_stamp_ns=t_ns,
        streams=(),
    )


def runner(aggregation="blend", **more) -> PolicyRunner:
    return PolicyRunner(
        SPEC, SPACE, aggregation=aggregation, execute_ns=100 * MS, spec_hash=9, **more
    )


def step(run: PolicyRunner, t_ns: int, value: float, takes_ns: int = 60 * MS):
    """Observe at ``t_ns``, infer at once, publish after ``takes_ns``."""
    run.observe(seen(t_ns))
    job = run.poll(t_ns)
    if job is None:
        return None
    end = t_ns + takes_ns
    return run.finish(job, np.full((8, 2), value), inference_end_ns=end, publish_ns=end)


def test_a_plan_carries_what_was_fixed_at_inference_start():
    run = runner()
    run.start_run(A, 4, "go", seed=1)
    run.observe(seen(100 * MS))
    job = run.poll(130 * MS)
    assert (job.run_id, job.epoch, job.inference_start_ns) == (A, 4, 130 * MS)
    plan = run.finish(job, np.zeros((8, 2)), inference_end_ns=180 * MS, publish_ns=190 * MS)
    assert (plan.run_id, plan.epoch, plan.seq, plan.spec_hash) == (A, 4, 0, 9)
    assert (plan.t_obs_ns, plan.start_ns, plan.dt_ns) == (100 * MS, 130 * MS, DT)
    assert plan.valid_from_ns == 200 * MS
    assert (plan.inference_start_ns, plan.inference_end_ns) == (130 * MS, 180 * MS)
    stats = run.stats
    assert (stats.chunks, stats.late_chunks, stats.delay_steps) == (1, 0, 2)
    assert (stats.inference_ns, stats.observation_age_ns) == (50 * MS, 90 * MS)


def test_no_run_no_observation_no_second_job_and_no_observation_twice():
    run = runner()
    run.observe(seen(0))
    assert run.poll(0) is None
    run.start_run(A, 1, "go")
    job = run.poll(0)
    assert run.poll(500 * MS) is None
    run.finish(job, np.zeros((8, 2)), inference_end_ns=0, publish_ns=0)
    assert run.poll(500 * MS) is None
    run.observe(seen(400 * MS))
    assert run.poll(500 * MS) is not None


def test_blend_infers_every_execute_interval_and_sync_when_the_plan_ends():
    run = runner()
    run.start_run(A, 1, "go")
    assert step(run, 0, 1.0) is not None
    assert step(run, 90 * MS, 1.0) is None
    assert step(run, 100 * MS, 1.0) is not None

    run = PolicyRunner(SPEC, SPACE, aggregation="sync", execute_ns=1_000 * MS)
    run.start_run(A, 1, "go")
    first = step(run, 0, 1.0)
    assert step(run, first.end_ns - MS, 1.0) is None
    second = step(run, first.end_ns, 1.0)
    assert second.valid_from_ns == first.end_ns
    assert not second.late


def test_blend_moves_from_the_old_chunk_to_the_new_and_the_gripper_at_once():
    run = runner()
    run.start_run(A, 1, "go")
    step(run, 0, 0.0)
    plan = step(run, 100 * MS, 1.0)
    assert plan.actions[0, 0] == 0.0
    assert plan.actions[-1, 0] == 1.0
    assert (np.diff(plan.actions[:, 0]) >= 0).all()
    assert (plan.actions[:, 1] == 1.0).all()


def test_the_old_plan_is_read_as_late_as_the_bridge_executes_it():
    def second(delay_ns: int) -> np.ndarray:
        run = runner()
        run.start_run(A, 1, "go")
        run.observe(seen(0))
        job = run.poll(0)
        ramp = np.tile(np.arange(8.0)[:, None], (1, 2))
        first = run.finish(job, ramp, inference_end_ns=0, publish_ns=0)
        stamp = 95 * MS
        run.progress(A, first.seq, first.row_at(stamp - delay_ns), stamp)
        run.progress(B, first.seq, 0.0, stamp)
        run.progress(A, first.seq + 1, 0.0, stamp)
        return step(run, 100 * MS, 100.0).actions[:, 0]

    prompt, delayed = second(0), second(25 * MS)
    assert prompt[0] - delayed[0] == pytest.approx(0.5)


def test_a_chunk_that_comes_after_the_plan_ran_out_is_late():
    run = runner()
    run.start_run(A, 1, "go")
    step(run, 0, 0.0)
    assert step(run, 200 * MS, 0.0, takes_ns=400 * MS).late
    assert run.stats.late_chunks == 1


def test_the_answer_of_a_run_that_is_over_is_dropped():
    run = runner()
    run.start_run(A, 1, "go")
    run.observe(seen(0))
    job = run.poll(0)
    run.end_run()
    assert run.finish(job, np.zeros((8, 2)), inference_end_ns=0, publish_ns=0) is None
    run.start_run(B, 1, "go")
    assert run.finish(job, np.zeros((8, 2)), inference_end_ns=0, publish_ns=0) is None
    assert not run.failed(job)


def test_continuing_keeps_the_epoch_infers_at_once_and_forgets_the_old_aim():
    run = runner()
    run.start_run(A, 7, "go")
    step(run, 0, 0.0)
    run.continue_run(B, "go elsewhere")
    plan = step(run, 10 * MS, 1.0)
    assert (plan.run_id, plan.epoch) == (B, 7)
    assert (plan.actions == 1.0).all()
    assert plan.seq == 1


def test_there_must_be_a_run_to_continue():
    with pytest.raises(PolicyFault, match="no run to continue"):
        runner().continue_run(A, "go")


def test_a_raised_epoch_ends_the_run_and_the_same_one_does_not():
    run = runner()
    run.start_run(A, 1, "go")
    assert not run.bridge_epoch(1)
    assert run.bridge_epoch(2)
    assert run.run_id is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.full((8, 2), np.nan), "answered nan in row 0, column 'j'"),
        (np.zeros((7, 2)), r"shape \(7, 2\), expected \(8, 2\)"),
        (np.zeros(16), "shape"),
    ],
)
def test_an_answer_that_must_not_move_a_robot_ends_the_run_in_words(answer, words):
    run = runner()
    run.start_run(A, 1, "go")
    run.observe(seen(0))
    job = run.poll(0)
    with pytest.raises(PolicyFault, match=words):
        run.finish(job, answer, inference_end_ns=0, publish_ns=0)
    assert run.run_id is None


def test_speed_stretches_the_rows():
    run = runner()
    run.start_run(A, 1, "go", speed=0.5)
    assert step(run, 0, 0.0).dt_ns == 2 * DT
    with pytest.raises(PolicyFault, match="speed"):
        run.start_run(A, 1, "go", speed=0.0)


def test_a_clock_jump_ends_the_run_and_forgets_the_observation():
    run = runner()
    run.start_run(A, 1, "go")
    step(run, 500 * MS, 0.0)
    run.clock_jump()
    run.start_run(B, 2, "go")
    assert run.poll(0) is None
    assert step(run, 0, 0.0) is not None


def test_seeds_repeat_with_the_goal_and_differ_between_chunks():
    def seeds(seed):
        run, jobs = runner(), []
        run.start_run(A, 1, "go", seed=seed)
        for k in range(3):
            run.observe(seen(k * 100 * MS))
            job = run.poll(k * 100 * MS)
            jobs.append(job.request.seed)
            run.finish(job, np.zeros((8, 2)), inference_end_ns=0, publish_ns=0)
        return jobs

    assert seeds(5) == seeds(5) != seeds(6)
    assert len(set(seeds(5))) == 3
    assert seeds(None) == [None] * 3


def test_a_policy_for_another_robot_is_refused():
    other = VectorSpace.of(("arm", "position", ["k"]), ("gripper", "binary", ["g"]))
    with pytest.raises(PolicyFault, match="checkpoint made for this robot"):
        PolicyRunner(SPEC, other)
