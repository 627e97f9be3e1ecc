"""The scripted expert and nano keep the contract of every policy."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))
sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

from contract import BatchPolicyContract, MovablePolicyContract, PolicyContract
from serving import Serving
from tiny_demos import write_tiny_checkpoint

from vla_ros.policy.families.nano import NanoPolicy
from vla_ros.policy.protocol import Guidance, PolicyRequest, PolicySpec
from vla_ros.policy.remote import ServedPolicy
from vla_ros.sim.expert_policy import ExpertPolicy
from vla_ros.sim.robot import SimRobot
from vla_ros.spaces import Observation, TimeContract

PROMPT = "put the red cube in the blue bin"
JOINTS = tuple(f"joint{k}" for k in range(1, 7))


def request_at(t_ns: int, spec: PolicySpec) -> PolicyRequest:
    rng = np.random.default_rng(3)
    images = {
        key: rng.integers(0, 255, (*spec.image_size, 3), np.uint8) for key in spec.camera_keys
    }
    return PolicyRequest(
        observation=Observation(
            seq=0,
            t_obs_ns=t_ns,
            start_ns=t_ns,
            images=images,
            image_stamps_ns=dict.fromkeys(images, t_ns),
            state=rng.normal(size=len(spec.state_names)),
            state_stamp_ns=t_ns,
            streams=(),
        ),
        prompt=PROMPT,
        seed=4,
    )


class TestExpertKeepsThePolicyContract(PolicyContract):
    @pytest.fixture
    def policy(self):
        spec = PolicySpec(
            name="expert",
            model_id="scripted",
            camera_keys=(),
            image_size=(1, 1),
            state_names=(*JOINTS, "finger_joint"),
            action_names=(*JOINTS, "gripper"),
            horizon=16,
            contract=TimeContract(
                image_latency_ns={},
                state_at="capture",
                action_offset_ns=0,
                dt_ns=50_000_000,
                interpolation="linear",
            ),
        )
        policy = ExpertPolicy(spec, noise_rad=0.002)
        policy.push_truth(SimRobot(seed=3).truth())
        return policy

    @pytest.fixture
    def request_(self, policy):
        return request_at(next(iter(policy._truths)), policy.spec)


class TestNanoKeepsThePolicyContract(MovablePolicyContract, BatchPolicyContract):
    @pytest.fixture
    def policy(self, tmp_path):
        write_tiny_checkpoint(tmp_path / "nano", tmp_path / "data")
        return NanoPolicy(tmp_path / "nano")

    @pytest.fixture
    def request_(self, policy):
        return request_at(0, policy.spec)

    def test_words_that_it_remembers_are_those_of_the_last_prompt(self, policy, request_):
        other = replace(request_, prompt="put the blue cube in the red bin")
        asked = [policy.infer(one) for one in (request_, other, other, request_)]
        np.testing.assert_array_equal(asked[1], asked[2])
        np.testing.assert_array_equal(asked[0], asked[3])
        assert np.abs(asked[0] - asked[1]).max() > 1e-6

    def test_robots_that_ask_its_server_together_get_what_they_would_get_alone(
        self, policy, request_, monkeypatch
    ):
        prompts = [f"put the {colour} cube in the blue bin" for colour in ("red", "green", "blue")]
        asked = [replace(request_, prompt=prompt, seed=k) for k, prompt in enumerate(prompts)]
        alone = [policy.infer(one) for one in asked]
        batches, together = [], policy.infer_batch
        monkeypatch.setattr(
            policy, "infer_batch", lambda some: batches.append(len(some)) or together(some)
        )
        with Serving(policy, max_wait_s=5.0) as server, ThreadPoolExecutor(3) as pool:
            robots = [ServedPolicy(server.uri, infer_s=30.0) for _ in asked]
            chunks = list(pool.map(lambda robot, one: robot.infer(one), robots, asked))
            for robot in robots:
                robot.close()
        assert max(batches) > 1
        for chunk, expected in zip(chunks, alone, strict=True):
            np.testing.assert_allclose(chunk, expected, atol=1e-5)

    def test_a_guided_chunk_keeps_to_the_plan_where_it_counts(self, policy, request_):
        free = policy.infer(request_)
        plan = free + np.where(np.arange(free.shape[1]) < 6, 0.05, 0.0)
        weights = np.where(np.arange(len(plan)) < 3, 1.0, 0.0)
        guidance = Guidance(actions=plan, weights=weights)
        guided = policy.infer(replace(request_, guidance=guidance))
        assert np.abs(guided - plan)[:3].mean() < 0.5 * np.abs(free - plan)[:3].mean()
