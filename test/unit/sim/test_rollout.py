"""Episodes in one process, with the observer, runner and commander that the nodes use."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.policy.protocol import PolicySpec
from vla_ros.policy.runner import PolicyRunner
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import RobotSpec, spec_hash
from vla_ros.sim import gl
from vla_ros.sim.expert import ScriptedExpert
from vla_ros.sim.expert_policy import ExpertPolicy
from vla_ros.sim.noise import DisturbedPolicy, plan_bursts
from vla_ros.sim.rollout import Episode, EpisodeResult, Rollout, Seen, Timing
from vla_ros.sim.truth import Target
from vla_ros.spaces import TimeContract

DT = 50_000_000
EPISODE = Episode(
    seed=11,
    target=Target(cube="red cube", bin="yellow bin"),
    prompt="put the red cube in the yellow bin",
)


@pytest.fixture(scope="module")
def spec() -> RobotSpec:
    return load_robot("sim_arm")


def policy_spec(spec: RobotSpec) -> PolicySpec:
    return PolicySpec(
        name="expert",
        model_id="expert",
        camera_keys=spec.camera_keys,
        image_size=(96, 96),
        state_names=spec.state_space().names,
        action_names=spec.action_space().names,
        horizon=16,
        contract=TimeContract(
            image_latency_ns=dict.fromkeys(spec.camera_keys, 0),
            state_at="capture",
            action_offset_ns=0,
            dt_ns=DT,
            interpolation="linear",
        ),
    )


def runner_of(spec: RobotSpec) -> PolicyRunner:
    return PolicyRunner(
        policy_spec(spec), spec.action_space(), execute_ns=100_000_000, spec_hash=spec_hash(spec)
    )


def roll(spec: RobotSpec, timing: Timing | None = None) -> tuple[EpisodeResult, list[Seen]]:
    seen: list[Seen] = []
    rollout = Rollout(spec, policy_spec(spec).contract, images="blank", timing=timing)
    policy = ExpertPolicy(policy_spec(spec))
    result = rollout.run(EPISODE, policy, runner_of(spec), on_observation=seen.append)
    return result, seen


def test_the_expert_succeeds_with_latency(spec: RobotSpec) -> None:
    result, seen = roll(spec)
    assert result.success, result
    assert (result.refused, result.stop) == (0, "")
    assert result.duration_s < 5.0
    assert len(seen) > 30


def test_an_observation_and_its_truth_are_of_one_instant(spec: RobotSpec) -> None:
    _, seen = roll(spec)
    for item in seen[:20]:
        assert item.observation.t_obs_ns == item.truth.stamp_ns
        np.testing.assert_allclose(item.observation.state, item.truth.qpos[:7], atol=1e-9)
        assert item.elapsed_ns == item.truth.stamp_ns - item.before.stamp_ns


def test_equal_episodes_are_equal_to_the_last_bit(spec: RobotSpec) -> None:
    (a, seen_a), (b, seen_b) = roll(spec), roll(spec)
    assert a == b
    np.testing.assert_array_equal(seen_a[-1].truth.qpos, seen_b[-1].truth.qpos)


def test_one_rollout_after_another_is_as_good_as_a_fresh_one(spec: RobotSpec) -> None:
    rollout = Rollout(spec, policy_spec(spec).contract, images="blank")
    policy, runner = ExpertPolicy(policy_spec(spec)), runner_of(spec)
    for _ in range(2):
        result = rollout.run(EPISODE, policy, runner)
        assert result.success
        assert result.refused == 0


def test_a_slow_inference_still_succeeds(spec: RobotSpec) -> None:
    result, _ = roll(spec, Timing(inference_ns=150_000_000))
    assert result.success, result


def test_a_disturbed_episode_is_put_right_and_keeps_the_clean_chunks(spec: RobotSpec) -> None:
    policy = DisturbedPolicy(ExpertPolicy(policy_spec(spec)))
    rollout = Rollout(spec, policy_spec(spec).contract, images="blank")
    seed = next(s for s in range(99) if len(plan_bursts(np.random.default_rng(s))) >= 2)
    policy.begin(plan_bursts(np.random.default_rng(seed)), rollout.robot.time_ns)
    seen: list[Seen] = []
    result = rollout.run(EPISODE, policy, runner_of(spec), on_observation=seen.append)
    assert result.success, result
    disturbed = [policy.disturbed(item.truth.stamp_ns) for item in seen]
    assert 0 < sum(disturbed) < len(disturbed)
    truths = {item.truth.stamp_ns: item.truth for item in seen}
    for stamp_ns, clean in policy.clean.items():
        expected = ScriptedExpert().chunk(truths[stamp_ns], EPISODE.target, 16, DT)
        np.testing.assert_array_equal(clean, expected)


def test_until_ends_the_episode_and_the_judge_has_the_last_word(spec: RobotSpec) -> None:
    rollout = Rollout(spec, policy_spec(spec).contract, images="blank")
    start_ns = rollout.robot.time_ns
    result = rollout.run(
        EPISODE,
        ExpertPolicy(policy_spec(spec)),
        runner_of(spec),
        until=lambda truth: truth.stamp_ns - start_ns > 500_000_000,
    )
    assert not result.success
    assert result.duration_s < 0.7


def test_pictures_reach_the_policy_in_dataset_space(spec: RobotSpec) -> None:
    try:
        gl.choose_backend()
    except gl.NoGraphics as error:
        pytest.skip(str(error))
    rollout = Rollout(spec, policy_spec(spec).contract, timing=Timing(time_limit_ns=300_000_000))
    seen: list[Seen] = []
    rollout.run(
        EPISODE, ExpertPolicy(policy_spec(spec)), runner_of(spec), on_observation=seen.append
    )
    for key in spec.camera_keys:
        image = seen[0].observation.images[key]
        assert image.shape == (96, 96, 3)
        assert image.std() > 20
    rollout.robot.close()
