"""Training-time real-time chunking: rows that are given clean, in training and in sampling."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_demos import TINY_SIZES, tiny_config, tiny_info, tiny_statistics

from vla_ros.policy.checkpoints.nano import load_nano, save_nano
from vla_ros.policy.checkpoints.nano_config import CheckpointError
from vla_ros.policy.families.nano import NanoPolicy
from vla_ros.policy.guidance import GuidanceError
from vla_ros.policy.models.nano import Nano
from vla_ros.policy.protocol import Guidance, PolicyRequest
from vla_ros.spaces import Observation
from vla_ros.train.config import TrainConfig
from vla_ros.train.losses import flow_loss
from vla_ros.train.policy import policy_config


def policy_given(folder: Path, rows: int) -> NanoPolicy:
    torch.manual_seed(0)
    config = replace(tiny_config(), rtc_max_delay=rows)
    weights = Nano(config.sizes).state_dict()
    save_nano(folder / "nano", config, tiny_statistics(folder / "data"), weights, card="# test\n")
    return NanoPolicy(folder / "nano")


def request_for(policy: NanoPolicy, guidance: Guidance | None = None) -> PolicyRequest:
    rng = np.random.default_rng(3)
    size = (*policy.spec.image_size, 3)
    images = {key: rng.integers(0, 255, size, np.uint8) for key in policy.spec.camera_keys}
    observation = Observation(
        seq=0,
        t_obs_ns=0,
        start_ns=0,
        images=images,
        image_stamps_ns=dict.fromkeys(images, 0),
        state=rng.normal(size=len(policy.spec.state_names)),
        state_stamp_ns=0,
        streams=(),
    )
    prompt = "put the red cube in the blue bin"
    return PolicyRequest(observation=observation, prompt=prompt, seed=4, guidance=guidance)


def test_the_given_rows_come_back_and_the_others_know_of_them(tmp_path) -> None:
    policy = policy_given(tmp_path, 2)
    assert (policy.spec.rtc, policy.spec.rtc_max_delay) == ("prefix", 2)
    free = policy.infer(request_for(policy))
    plan = free + np.where(np.arange(free.shape[1]) < 6, 0.3, 0.0)
    weights = np.array([1.0, 1.0, 0.0, 0.0])
    chunk = policy.infer(request_for(policy, Guidance(actions=plan, weights=weights)))
    arm = slice(0, 6)
    assert chunk[:2, arm] == pytest.approx(plan[:2, arm], abs=1e-5)
    assert np.abs(chunk[2:, arm] - free[2:, arm]).max() > 1e-4
    assert np.abs(chunk[2:, arm] - plan[2:, arm]).max() > 1e-4


def test_without_given_rows_the_chunk_is_the_free_one(tmp_path) -> None:
    policy = policy_given(tmp_path, 2)
    nothing = Guidance(actions=np.zeros((4, 7)), weights=np.zeros(4))
    free = policy.infer(request_for(policy))
    assert policy.infer(request_for(policy, nothing)) == pytest.approx(free, abs=1e-5)


def test_in_a_batch_each_robot_is_given_its_own_rows(tmp_path) -> None:
    policy = policy_given(tmp_path, 2)
    plan = policy.infer(request_for(policy)) + 0.3
    requests = [
        request_for(policy, Guidance(actions=plan, weights=(np.arange(4) < count) * 1.0))
        for count in (1, 2)
    ]
    requests.insert(1, request_for(policy))
    batch = policy.infer_batch(requests)
    for together, request in zip(batch, requests, strict=True):
        np.testing.assert_allclose(together, policy.infer(request), atol=1e-5)
    assert np.abs(batch[0] - batch[2]).max() > 1e-2


def test_more_rows_than_it_was_trained_with_are_refused(tmp_path) -> None:
    policy = policy_given(tmp_path, 1)
    two = Guidance(actions=np.zeros((4, 7)), weights=np.array([1.0, 1.0, 0.0, 0.0]))
    with pytest.raises(GuidanceError, match="2 rows, expected at most 1"):
        policy.infer(request_for(policy, two))


def test_a_checkpoint_from_before_rows_could_be_given_has_none(tmp_path) -> None:
    policy_given(tmp_path, 2)
    path = tmp_path / "nano" / "config.json"
    values = json.loads(path.read_text())
    assert values.pop("rtc_max_delay") == 2
    path.write_text(json.dumps(values))
    assert load_nano(tmp_path / "nano").config.rtc_max_delay == 0
    assert NanoPolicy(tmp_path / "nano").spec.rtc == "guided"


def test_a_whole_chunk_cannot_be_given() -> None:
    with pytest.raises(CheckpointError, match="expected 0 to 3"):
        policy_config(tiny_info(), TrainConfig(samples=1, sizes=TINY_SIZES, rtc_max_delay=4))


def test_in_training_up_to_so_many_rows_are_clean_and_the_others_alone_count() -> None:
    size, draws, rows = 64, 3, 8
    generator = torch.Generator().manual_seed(5)
    batch = SimpleNamespace(
        actions=torch.randn((size, rows, 2), generator=generator), follows=torch.ones(size)
    )
    seen = {}

    def velocity(prefix, noisy, time):
        seen.update(noisy=noisy, time=time)
        return torch.where(time[..., None] == 0.0, 1e6, 0.0).expand_as(noisy)

    model = SimpleNamespace(velocity=velocity)
    loss = flow_loss(model, None, batch, draws=draws, generator=generator, max_delay=3)
    clean = seen["time"] == 0.0
    assert torch.equal(
        seen["noisy"][clean], batch.actions[:, None].expand(-1, draws, -1, -1)[clean]
    )
    given = clean.sum(dim=2)
    assert sorted(given.unique().tolist()) == [0, 1, 2, 3]
    assert (clean == (torch.arange(rows) < given[..., None])).all()
    assert 1.0 < float(loss) < 3.0  # E |noise - actions|^2 = 2; what clean rows get is not in it
