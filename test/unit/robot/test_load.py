from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robot_texts import URDF, values, write

from vla_ros.robot.load import RobotFileError, load_robot, spec_hash


def refused(tmp_path: Path, content: dict[str, Any], urdf: str = URDF) -> str:
    with pytest.raises(RobotFileError) as caught:
        load_robot(write(tmp_path, content, urdf))
    return str(caught.value)


def test_the_tighter_limit_wins(tmp_path: Path) -> None:
    spec = load_robot(write(tmp_path, values()))
    shoulder, wheel = spec.limits["shoulder"], spec.limits["wheel"]
    assert (shoulder.lower, shoulder.upper, shoulder.velocity) == (-2, 2, 2)
    assert (wheel.lower, wheel.upper, wheel.velocity) == (None, None, 4)
    limits = spec.motion_limits()
    assert limits.names == ("shoulder", "wheel")
    np.testing.assert_array_equal(limits.lower, [-2, -np.inf])
    np.testing.assert_array_equal(limits.jerk, [100, 100])
    assert spec.motion_limits(["finger"]).upper.tolist() == [0.04]


def test_a_soft_limit_of_the_urdf_counts(tmp_path: Path) -> None:
    urdf = URDF.replace(
        'velocity="3"/>',
        'velocity="3"/><safety_controller soft_lower_limit="-1.5" '
        'soft_upper_limit="1.6" k_velocity="1"/>',
        1,
    )
    spec = load_robot(write(tmp_path, values(), urdf))
    assert (spec.limits["shoulder"].lower, spec.limits["shoulder"].upper) == (-1.5, 1.6)


def test_a_robot_without_urdf_needs_its_limits_in_the_file(tmp_path: Path) -> None:
    content = values()
    del content["urdf"]
    text = refused(tmp_path, content)
    assert "joint 'finger' has no limit for velocity, lower, upper" in text
    assert "joint 'shoulder' has no limit for lower" in text


def test_spaces_follow_the_file(tmp_path: Path) -> None:
    spec = load_robot(write(tmp_path, values()))
    assert spec.state_space().names == ("shoulder", "wheel", "finger")
    assert spec.action_space().names == ("shoulder", "wheel", "grip")
    assert spec.action_space().kinds == ("position", "position", "binary")


def _change(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_change("cameras", 0, "tolerence_s", to=1), r"cameras[0].tolerence_s: unknown key; did "),
        (_change("cameras", 0, "tolerence_s", to=1), "did you mean 'tolerance_s'?"),
        (_change("max_frist_step", to=1), "max_frist_step: unknown key; did you mean 'max_first"),
        (_change("outputs", 0, "host_loss", to="x"), "did you mean 'on_host_loss'?"),
        (_change("limits", "finger", "velocty", to=1), "limits.finger.velocty: unknown key"),
        (_change("limits", "finger", "velocty", to=1), "did you mean 'velocity'?"),
        (_change("watchdogs", to={"plan_age": 1}), "did you mean 'plan_max_age_s'?"),
        (_change("max_first_step", to="big"), "max_first_step: Input should be a valid number"),
        (_change("max_first_step", to=float("nan")), "max_first_step: Input should be"),
        (_change("cameras", 0, "on_loss", to="guess"), "'skip', 'hold' or 'stop', got 'guess'"),
        (_change("cameras", 0, "on_loss", to="hold"), "a hold needs a maximum age"),
        (_change("cameras", 0, "max_age_s", to=0.1), "skip and stop have none"),
        (
            _change("cameras", 0, "crop", to=[4, 0, 6, 6]),
            "does not lie inside the raw image",
        ),
        (_change("cameras", 0, "key", to="state"), "taken by the state stream"),
        (_change("anchor", to="rear"), "anchor 'rear' is no camera; expected front, state"),
        (_change("state", "joints", to=["shoulder", "shoulder"]), "occurs more than once"),
        (_change("state", "joints", to=["sholder"]), "'sholder' is not in the URDF, which has"),
        (_change("action", 0, "output", to="leg"), "output 'leg', which is not declared"),
        (_change("action", 0, "names", to=["wheel", "shoulder"]), "the same joints in the same o"),
        (_change("state", "unit", to="deg"), "joint 'finger' slides, so"),
        (_change("action", 0, "kind", to="velocity"), "cannot execute; it takes position"),
        (_change("action", 1, "output", to="arm"), "executes two slices"),
        (_change("outputs", 1, "open_position", to=0.05), "0.05 is outside the limits of 'finger'"),
        (_change("outputs", 1, "joints", to=["other_finger"]), "mimics 'finger'"),
        (_change("outputs", 1, "joints", to=["fingr"]), "did you mean 'finger'?"),
        (_change("limits", "shoulder", "lower", to=3), "do not overlap"),
        (_change("limits", "leg", to={"velocity": 1}), "limits of 'leg'"),
        (_change("poses", "home", "shoulder", to=2.5), "poses.home.shoulder: 2.5 is outside"),
        (_change("poses", to={"home": {"leg": 0}}), "pose 'home' moves 'leg', which no output"),
        (_change("urdf", to="three.urdf"), "urdf 'three.urdf' was not found"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    content = values()
    if "poses" not in words:
        del content["poses"]  # so that a pose is not the first thing wrong
    change(content)
    text = refused(tmp_path, content)
    assert words in text
    assert "two.yaml" in text


def test_a_mistake_is_named_with_its_line(tmp_path: Path) -> None:
    content = values()
    content["cameras"][0]["topik"] = "/front"
    path = write(tmp_path, content)
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if "topik" in text)
    assert f"two.yaml:{line}: cameras[0].topik" in refused(tmp_path, content)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    content = values()
    content["extra"] = 1
    content["state"]["tolerance_s"] = -1
    del content["max_tracking_error"]
    text = refused(tmp_path, content)
    assert len(text.splitlines()) == 3
    assert "max_tracking_error: is missing" in text


@pytest.mark.parametrize(
    ("controller", "kind"),
    [
        ("forward_velocity", "velocity"),
        ("forward_effort", "effort"),
        ("twist", "velocity"),
        ("twist_stamped", "velocity"),
    ],
)
def test_an_output_that_runs_on_needs_on_host_loss(
    tmp_path: Path, controller: str, kind: str
) -> None:
    content = values()
    twist = controller.startswith("twist")
    output = {
        "name": "base",
        "controller": controller,
        "topic": "/base",
        "joints": ["x", "yaw"] if twist else ["shoulder", "wheel"],
    }
    if twist:
        output["limits"] = {a: {"velocity": 1, "acceleration": 1} for a in ("x", "yaw")}
        names = ["base_x", "base_yaw"]
    else:
        names = ["shoulder", "wheel"]
        for joint in names:
            content["limits"][joint]["effort"] = 20
    content["outputs"][0] = output
    content["action"][0] = {"name": "base", "kind": kind, "names": names, "output": "base"}
    if twist:
        content["poses"] = {}
        content["limits"] = {"finger": content["limits"]["finger"]}
    assert "say under on_host_loss what stops it" in refused(tmp_path, copy.deepcopy(content))
    output["on_host_loss"] = "the driver's own timeout of 0.2 s"
    assert load_robot(write(tmp_path, content)).output("base").on_host_loss


def test_a_twist_needs_limits_for_each_axis(tmp_path: Path) -> None:
    content = values()
    content["outputs"].append(
        {
            "name": "base",
            "controller": "twist_stamped",
            "topic": "/base",
            "joints": ["x", "yaw"],
            "limits": {"x": {"velocity": 1, "acceleration": 1}},
            "on_host_loss": "timeout",
        }
    )
    assert "axis 'yaw' needs limits" in refused(tmp_path, content)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "is no YAML"),
        ("- a\n- b\n", "expected a mapping"),
        ("", "expected a mapping"),
        ("name: a\nurdf: b\nname: c\n", "two.yaml:3: key 'name' was given on line 1"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(text)
    with pytest.raises(RobotFileError) as caught:
        load_robot(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("urdf", "words"),
    [
        ("<robot", "is no XML"),
        ("<sdf/>", "root element is <sdf>; expected <robot>"),
        (URDF.replace('lower="-2"', 'lower="many"'), "is no finite number"),
        (URDF.replace('lower="-2"', 'lower="2"'), "expected lower < upper"),
    ],
)
def test_a_broken_urdf_is_refused(tmp_path: Path, urdf: str, words: str) -> None:
    assert words in refused(tmp_path, values(), urdf)


def test_an_unknown_robot_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(RobotFileError, match="did you mean 'sim_arm'"):
        load_robot("sim_am")


@pytest.mark.parametrize("name", ["sim_arm", "mobile_example"])
def test_every_shipped_robot_loads(name: str) -> None:
    spec = load_robot(name)
    assert spec.name == name
    assert 0 <= spec_hash(spec) < 2**64
    home = spec.poses["home"]
    assert set(home) == {j for o in spec.outputs if not o.is_twist for j in o.joints}


def test_the_hash_is_of_the_content_not_of_the_process_or_layout(tmp_path: Path) -> None:
    spec = load_robot(write(tmp_path, values()))
    backwards = dict(reversed(values().items()))
    assert spec_hash(load_robot(write(tmp_path, backwards))) == spec_hash(spec)
    script = (
        "import sys; from vla_ros.robot.load import *; print(spec_hash(load_robot(sys.argv[1])))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "two.yaml")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert int(run.stdout) == spec_hash(spec)
    faster = URDF.replace('velocity="0.2"', 'velocity="0.1"')
    assert spec_hash(load_robot(write(tmp_path, values(), faster))) != spec_hash(spec)


def with_output(**keys: Any) -> dict[str, Any]:
    """The arm's output changed."""
    content = values()
    content["outputs"][0] |= keys
    return content


def effort(**keys: Any) -> dict[str, Any]:
    """The arm behind an effort controller."""
    content = with_output(
        controller="forward_effort", on_host_loss="the driver's timeout of 0.1 s", **keys
    )
    content["action"][0]["kind"] = "effort"
    return content


def test_efforts_need_an_effort_limit_which_the_urdf_may_have(tmp_path: Path) -> None:
    assert "joint 'shoulder' has no limit for effort" in refused(tmp_path, effort())
    urdf = URDF.replace('velocity="3"', 'velocity="3" effort="40"')
    urdf = urdf.replace('velocity="4"', 'velocity="4" effort="9"')
    content = effort(on_stop="hold")
    content["limits"]["wheel"]["effort"] = 5
    limits = load_robot(write(tmp_path, content, urdf)).limits
    assert (limits["shoulder"].effort, limits["wheel"].effort) == (40.0, 5.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (with_output(on_stop="hold"), "has on_stop, which is for forward_effort"),
        (with_output(max_effort=3), "has max_effort, which is for gripper_command"),
        (with_output(frame="tool0"), "has a frame, which is for servo_twist"),
        (with_output(limits="none"), "remove 'limits: none'"),
        (with_output(controller="joint_trajectory_chunks"), "write 'limits: none'"),
        (with_output(controller="servo_joint_jog"), "keeps moving when this computer dies"),
        (with_output(rate_hz=1000), "above rates.control_hz"),
        (with_output(rate_hz=2), "at least twice within rates.lookahead_s"),
        (with_output(controllers={"activate": []}), "at least 1 item"),
        (with_output(controller="gripper_command"), "cannot execute"),
    ],
)
def test_what_an_output_cannot_have_is_refused(
    tmp_path: Path, content: dict[str, Any], words: str
) -> None:
    assert words in refused(tmp_path, content)
