"""The examples of docs/outputs.md load, and there is one of every kind of output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.outputs import Controller

TEXT = (Path(__file__).parents[3] / "docs" / "outputs.md").read_text(encoding="utf-8")
EXAMPLES = [
    example
    for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    for example in block.split("# or\n")
]
AXES = {"x", "y", "z", "roll", "pitch", "yaw"}
LIMITS = {"velocity": 2.0, "acceleration": 4.0, "jerk": 60.0, "effort": 9.0}
ARM = yaml.safe_load(EXAMPLES[0])


def urdf(joints: list[str]) -> str:
    """A chain of joint1, joint2 to tool0; the other joints beside it."""
    text, at = "<robot name='example'><link name='base_link'/><link name='tool0'/>", "base_link"
    for name in joints:
        arm = re.fullmatch(r"joint\d", name)
        text += (
            f"<link name='{name}_link'/><joint name='{name}' type='revolute'>"
            f"<parent link='{at if arm else 'base_link'}'/><child link='{name}_link'/>"
            "<axis xyz='0 0 1'/><limit lower='-3' upper='3' velocity='2' effort='9'/></joint>"
        )
        at = f"{name}_link" if arm else at
    tool = f"<parent link='{at}'/><child link='tool0'/>"
    return f"{text}<joint name='tool' type='fixed'>{tool}</joint></robot>"


def robot(example: dict[str, Any], folder: Path) -> Path:
    """A robot file with an example's keys, and what goes without saying."""
    keys = {"action": ARM["action"], "outputs": ARM["outputs"]} | example
    if "speed_scaling" in example:  # which goes with joint positions
        keys |= {"action": ARM["action"][:2], "outputs": ARM["outputs"][:2]}
    joints = sorted({j for output in keys["outputs"] for j in output["joints"]} - AXES)
    (folder / "urdf").mkdir()
    (folder / "urdf" / "my_robot.urdf").write_text(urdf(joints), encoding="utf-8")
    values = {
        "name": "example",
        "urdf": "urdf/my_robot.urdf",
        "base_frame": "base_link",
        "anchor": "state",
        "state": {
            "topic": "/joint_states",
            "joints": joints or ["wheel"],
            "tolerance_s": 0.03,
            "on_loss": "stop",
        },
        "limits": dict.fromkeys(joints, LIMITS),
        "max_first_step": 0.5,
        "max_tracking_error": 0.3,
    }
    if not joints:  # a base alone, which needs no URDF
        del values["urdf"]
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(values | keys), encoding="utf-8")
    return path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n", 1)[0])
def test_an_example_of_the_outputs_page_is_a_robot_file(example: str, tmp_path: Path) -> None:
    values = yaml.safe_load(example)
    spec = load_robot(robot(values, tmp_path))
    for key in values:
        assert getattr(spec, key), f"{key} says nothing"


def test_every_kind_of_output_has_an_example_and_stands_in_both_tables() -> None:
    shown = {
        output["controller"]
        for example in EXAMPLES
        for output in yaml.safe_load(example).get("outputs", ())
    }
    rows = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    for controller in get_args(Controller):
        assert controller in shown, f"{controller} has no example"
        assert named.count(controller) == 2, f"{controller} is not in both tables"


def test_each_reference_within_the_page_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in TEXT.splitlines()
        if line.startswith("#")
    }
    for link in re.findall(r"\]\(#([\w-]+)\)", TEXT):
        assert link in headings, f"#{link} is no heading"
