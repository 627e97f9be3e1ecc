"""Loading a policy says what it is at, stage by stage."""

from __future__ import annotations

import pytest

from vla_ros.errors import VlaError
from vla_ros.nodes.policy_setup import PolicyParameters, load_for
from vla_ros.robot.load import load_robot


def test_each_stage_is_announced_before_it_begins() -> None:
    stages: list[str] = []
    load_for(load_robot("sim_arm"), PolicyParameters(policy="expert"), stages.append)
    assert [words.split(":")[0] for words in stages] == ["loading, 1 of 2", "loading, 2 of 2"]
    assert "warming up expert" in stages[1]


def test_a_policy_that_cannot_be_read_is_never_announced_as_warming_up() -> None:
    stages: list[str] = []
    with pytest.raises(VlaError):
        load_for(load_robot("sim_arm"), PolicyParameters(policy="no/folder"), stages.append)
    assert len(stages) == 1
