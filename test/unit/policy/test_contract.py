"""The time contract of a policy by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vla_ros.errors import VlaError
from vla_ros.policy.contract import contract_of
from vla_ros.spaces.time_contract import TimeContract

CAMERAS = ("front", "wrist")
ROOT = Path(__file__).resolve().parents[3]


def test_the_expert_lives_at_the_capture():
    assert contract_of("expert", CAMERAS) == TimeContract.at_capture(CAMERAS)


def test_a_checkpoint_that_states_its_contract_is_believed(tmp_path):
    stated = {**TimeContract.at_capture(CAMERAS).to_dict(), "state_at": "decision"}
    (tmp_path / "config.json").write_text(json.dumps({"time_contract": stated}))
    assert contract_of(str(tmp_path), CAMERAS).state_at == "decision"
    nano = contract_of(str(ROOT / "checkpoints" / "nano"), CAMERAS)
    assert nano == TimeContract.at_capture(CAMERAS)


def test_a_foreign_checkpoint_is_a_recording_loop_at_the_declared_rate(tmp_path):
    (tmp_path / "config.json").write_text('{"type": "pi0"}')
    (tmp_path / "vla.yaml").write_text("rate_hz: 50\n")
    contract = contract_of(str(tmp_path), CAMERAS)
    assert (contract.dt_ns, contract.state_at) == (20_000_000, "decision")
    assert set(contract.image_latency_ns) == set(CAMERAS)


def test_the_file_of_a_policy_server_states_it():
    server = ROOT / "config" / "policies" / "openpi_example.yaml"
    assert contract_of(str(server), CAMERAS).dt_ns > 0


@pytest.mark.parametrize("config", [None, "{", '{"type": "pi0"}', '{"time_contract": {}}'])
def test_a_contract_that_cannot_be_known_is_refused(tmp_path, config):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(VlaError):
        contract_of(str(tmp_path), CAMERAS)
