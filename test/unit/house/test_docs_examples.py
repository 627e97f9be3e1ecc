"""What the pages say can be written into files, can be: examples load, options exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from source import ROOT

from vla_ros.policy.checkpoints.declaration import Declaration
from vla_ros.policy.remote import load_served
from vla_ros.policy.remote.files import KeysFile, VlaFile

PAGES = ("policies", "remote")
DECLARED_ELSEWHERE = {
    "model_id": "served",
    "image_size": [96, 96],
    "state_names": ["joint1", "joint2", "finger_joint"],
    "action_names": ["joint1", "joint2", "gripper"],
    "horizon": 16,
    "time_contract": {
        "image_latency_s": {"front": 0.06},
        "state_at": "decision",
        "action_offset_s": 0.0,
        "dt_s": 0.05,
        "interpolation": "hold",
    },
}
"""What the examples of servers leave to openpi_example.yaml, which they name."""


def examples() -> list[tuple[str, dict[str, Any]]]:
    """Every YAML block of the pages, by page and place."""
    found = []
    for page in PAGES:
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)):
            found.append((f"{page} {number}", yaml.safe_load(block)))
    return found


EXAMPLES = examples()


@pytest.mark.parametrize(("place", "values"), EXAMPLES, ids=[place for place, _ in EXAMPLES])
def test_an_example_on_a_page_is_a_file_that_loads(
    place: str, values: dict[str, Any], tmp_path: Path
) -> None:
    protocol = values.get("protocol")
    if protocol == "vla":
        VlaFile.model_validate(values)
    elif protocol is not None:
        pytest.importorskip({"groot": "zmq", "lerobot": "grpc"}[protocol])
        file = tmp_path / "server.yaml"
        file.write_text(yaml.safe_dump({**DECLARED_ELSEWHERE, **values}))
        load_served(file).close()
    elif "images" in values:
        KeysFile.model_validate(values)
    else:
        _check_options(place, Declaration.model_validate(values).options)


def _check_options(place: str, options: dict[str, Any]) -> None:
    """A family must take them; LeRobot's own policies read theirs themselves."""
    if options.keys() <= {"degrees", "history", "model_id"}:
        return
    problems = []
    for family in _families():
        try:
            family.model_validate(options)
        except ValueError as error:
            problems.append(str(error))
        else:
            return
    raise AssertionError(f"{place}: no family takes {options}: {problems}")


def _families() -> list[Any]:
    """The models of each family's options; they import torch."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    from vla_ros.policy.checkpoints import vla_options
    from vla_ros.policy.families.action_tokens import TokenOptions
    from vla_ros.policy.families.groot import GrootOptions

    of_flows = (vla_options.Pi0Options, vla_options.SmolVlaOptions, vla_options.Pi0FastOptions)
    return [*of_flows, TokenOptions, GrootOptions]


def test_every_option_of_every_family_is_on_the_page_and_no_other() -> None:
    page = Path(ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    table = page[page.index("| option | values | meaning |") : page.index("Which normalisation")]
    listed = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    known = {name for family in _families() for name in family.model_fields}
    assert listed <= known
    assert {name for name in known if not re.search(rf"`{name}`|\b{name}:", page)} == set()
