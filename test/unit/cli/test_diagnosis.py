"""What the doctor says of what it heard."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from vla_ros.cli.doctor import clock_problems, unit_problems
from vla_ros.cli.listened import Listened
from vla_ros.robot.load import load_robot

SPEC = load_robot("sim_arm")
NAMES = list(SPEC.state_space().names)
HOME = np.array([SPEC.poses["home"][name] for name in NAMES])


def heard(**changes: Any) -> Listened:
    values: dict[str, Any] = {
        "topic": "/camera/front/image_raw",
        "rate_hz": 20.0,
        "mend": "start its driver",
        "ages_s": [0.03] * 20,
        "publishers": 1,
    }
    return Listened(**{**values, **changes})


def test_a_topic_as_it_should_be_is_well() -> None:
    assert heard().verdict(1.0) == (True, "ok")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"publishers": 0}, "nobody publishes it: start its driver"),
        ({"ages_s": []}, "nothing arrives: compare QoS"),
        ({"ages_s": [0.03] * 10}, "slow: expected 20 Hz"),
        ({"ages_s": [3.0] * 20}, "another clock"),
        ({"ages_s": [-0.2] * 20}, "stamps lie in the future"),
        ({"problem": "it carries another type"}, "it carries another type"),
    ],
)
def test_whatever_is_wrong_with_a_topic_is_said_with_what_to_mend(
    changes: dict[str, Any], said: str
) -> None:
    good, words = heard(**changes).verdict(1.0)
    assert not good
    assert said in words


def status(offset: str, trip: str) -> dict[str, Any]:
    values = {"policy server clock offset [s]": offset, "policy server round trip [s]": trip}
    return {"vla_ros: policy": (0, "ok", values), "vla_ros: bridge": (0, "ok", {})}


def test_a_policy_server_with_our_clock_is_well() -> None:
    assert clock_problems(status("0.0021", "0.001")) == []
    assert clock_problems(status("-0.2", "0.5")) == [], "so slow a trip tells nothing"
    assert clock_problems({"vla_ros: policy": (0, "ok", {})}) == []


@pytest.mark.parametrize(("offset", "where"), [("3.2", "ahead of"), ("-3.2", "behind")])
def test_a_policy_server_with_another_clock_is_named_with_how_far_it_is(
    offset: str, where: str
) -> None:
    (problem,) = clock_problems(status(offset, "0.004"))
    assert f"3.200 s {where} ours (± 0.002 s)" in problem
    assert "chrony" in problem


def checkpoint(folder: Path, layout: str, mean: np.ndarray, std: np.ndarray) -> Path:
    """A folder with nothing but names and statistics."""
    config: dict[str, Any] = {"type": "pi0"} if layout == "old" else {}
    statistics = {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}
    if layout == "quantiles":
        statistics = {
            "q01": (mean - 2.3265 * std).astype(np.float32),
            "q99": (mean + 2.3265 * std).astype(np.float32),
        }
    if layout == "ours":
        config["state_names"] = NAMES
    else:
        (folder / "vla.yaml").write_text(json.dumps({"state_names": NAMES, "rate_hz": 50}))
    if layout == "openpi":
        (folder / "assets" / "us" / "arm").mkdir(parents=True)
        padded = {k: [*v.tolist(), *[0.0] * 25] for k, v in statistics.items()}
        text = json.dumps({"norm_stats": {"state": padded, "actions": {}}})
        (folder / "assets" / "us" / "arm" / "norm_stats.json").write_text(text)
    elif layout == "old":
        place = "normalize_inputs.buffer_observation_state."
        save_file({place + k: v for k, v in statistics.items()}, folder / "model.safetensors")
    else:
        step = {"registry_name": "normalizer_processor", "state_file": "step.safetensors"}
        (folder / "policy_preprocessor.json").write_text(json.dumps({"steps": [step]}))
        tensors = {f"observation.state.{k}": v for k, v in statistics.items()}
        save_file(tensors, folder / "step.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


LAYOUTS = ["ours", "quantiles", "openpi", "old"]
STD = np.array([0.4] * 6 + [0.01])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_state_where_the_training_data_had_it_is_well(tmp_path: Path, layout: str) -> None:
    folder = checkpoint(tmp_path, layout, HOME, STD)
    assert unit_problems(SPEC, str(folder), [HOME + STD, HOME, HOME - 2 * STD]) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_training_data_in_degrees_are_named_joint_by_joint(tmp_path: Path, layout: str) -> None:
    mean, std = HOME.copy(), STD.copy()
    std[1] *= 180 / math.pi  # the value itself is well within: z would tell nothing
    mean[4] = 70.0
    found = unit_problems(SPEC, str(checkpoint(tmp_path, layout, mean, std)), [HOME])
    assert [problem.split()[0] for problem in found] == ["joint2", "joint5"]
    for problem in found:
        assert "another unit (degrees?)" in problem


def test_a_driver_in_degrees_is_told_from_a_pose_that_was_never_shown(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, "ours", HOME, np.array([0.05] * 6 + [0.01]))
    state = HOME.copy()
    state[1] = math.degrees(HOME[1])
    state[2] += 0.9
    first, second = unit_problems(SPEC, str(folder), [state])
    assert first.startswith("joint2")
    assert "unit: deg" in first
    assert second.startswith("joint3")
    assert "18 deviations off" in second


def test_the_shipped_policy_fits_the_shipped_robot_at_rest() -> None:
    root = Path(__file__).resolve().parents[3]
    assert unit_problems(SPEC, str(root / "checkpoints" / "nano"), [HOME]) == []


@pytest.mark.parametrize(
    ("policy", "states", "said"),
    [
        ("", [], None),
        ("some/folder", [], "no observation came"),
        ("ws://host:8000", [HOME], "is no checkpoint here"),
    ],
)
def test_what_cannot_be_compared_is_said(
    policy: str, states: list[np.ndarray], said: str | None
) -> None:
    found = unit_problems(SPEC, policy, states)
    assert (found == []) if said is None else (said in found[0])


def test_a_checkpoint_without_names_or_statistics_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (problem,) = unit_problems(SPEC, str(tmp_path), [HOME])
    assert "statistics of no state and 0 state names" in problem
