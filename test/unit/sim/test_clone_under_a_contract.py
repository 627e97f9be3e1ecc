"""The clone of `benchmarks.time_contract` errs where its contract is wrong, and only there."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vla_ros.robot.load import load_robot
from vla_ros.sim import kinematics
from vla_ros.sim.expert import ScriptedExpert
from vla_ros.sim.robot import SimRobot
from vla_ros.sim.truth import FINGER_OPEN, Array, SimTruth, Target

TARGET = Target(cube="red cube", bin="blue bin")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    return import_module("benchmarks.time_contract")


def _at(x: float, y: float, z: float) -> Array:
    return kinematics.inverse(np.array([[x, y, z]]), kinematics.hand_down(np.zeros(1)))[0]


def _truth(before: SimTruth, arm: Array, later_ns: int, finger: float = FINGER_OPEN) -> SimTruth:
    qpos, qvel = before.qpos.copy(), np.zeros_like(before.qvel)
    qvel[:6] = (arm - qpos[:6]) / (later_ns * 1e-9)
    qpos[:6], qpos[6:8] = arm, finger
    return replace(before, stamp_ns=before.stamp_ns + later_ns, qpos=qpos, qvel=qvel)


def _look(clone: Any, truth: SimTruth, arm: Array) -> None:
    clone.push_truth(truth)
    observation = SimpleNamespace(t_obs_ns=truth.stamp_ns, state=np.append(arm, truth.finger))
    clone.infer(SimpleNamespace(observation=observation, prompt="the red cube in the blue bin"))


@pytest.mark.parametrize("recording", ["stamped", "loop"])
@pytest.mark.parametrize("contract", ["stamped", "loop"])
def test_a_cube_is_misjudged_from_a_moving_hand_under_the_other_contract_only(
    benchmark: Any, recording: str, contract: str
) -> None:
    clone = benchmark.Clone(
        benchmark.policy_spec(load_robot("sim_arm"), contract), benchmark.RECORDINGS[recording]
    )
    start = _truth(SimRobot(0).truth(), _at(0.20, 0.0, 0.24), 1_000_000_000)
    moving = _truth(start, _at(0.22, 0.0, 0.23), 50_000_000)
    way = ScriptedExpert().chunk(moving, TARGET, 2, benchmark.LATENCY_NS)
    _look(clone, moving, way[1 if contract == "loop" else 0, :6])
    low = _truth(moving, _at(0.28, 0.0, 0.12), 500_000_000)
    _look(clone, low, low.arm)
    if recording == contract:
        assert clone.misjudged_m < 0.004
    else:
        assert clone.misjudged_m > 0.025
    closing = _truth(low, low.arm, 50_000_000, finger=0.03)
    clone.misjudged_m = None
    _look(clone, closing, low.arm)
    _look(clone, _truth(closing, low.arm, 50_000_000), low.arm)
    assert clone.misjudged_m < 0.01, "it looks again when its fingers close, and the hand rests"
