"""Launch files are read as ROS 2 reads them, and what we do not understand is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vla_ros.ros.launch_plan import LaunchFileError, LaunchPlan, _flow
from vla_ros.ros.launch_text import substitute
from vla_ros.ros.launch_yaml import load_launch

Load = Callable[..., LaunchPlan]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes the text as a launch file and reads it."""

    def find_share(package: str) -> Path:
        if package != "robot_pkg":
            raise LookupError(package)
        return tmp_path / "share"

    def read(text: str, environ: Mapping[str, str] | None = None, **arguments: str) -> LaunchPlan:
        path = tmp_path / "test.launch.yaml"
        path.write_text(text)
        return load_launch(path, arguments, find_share=find_share, environ=environ or {})

    return read


def test_a_node_gets_name_namespace_parameters_and_remaps_in_order(
    load: Load, tmp_path: Path
) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.yaml").write_text("{}")
    plan = load(
        """
launch:
  - arg: {name: seed, default: "3", description: scene}
  - node:
      pkg: robot_pkg
      exec: talker
      name: loud
      namespace: vla
      args: --fast
      param:
        - {from: $(find-pkg-share robot_pkg)/a.yaml}
        - {name: seed, value: $(var seed)}
        - {name: text, value: "it's $(var seed) o'clock"}
        - {name: rate, value: 2.5}
      remap: [{from: in, to: /out}]
      on_exit: shutdown
"""
    )
    (node,) = plan.nodes
    assert node.required
    assert node.ros_arguments() == (
        "--fast", "--ros-args", "-r", "__node:=loud", "-r", "__ns:=/vla",
        "--params-file", str(tmp_path / "share" / "a.yaml"),
        "-p", "seed:=3", "-p", "text:=it's 3 o'clock", "-p", "rate:=2.5", "-r", "in:=/out",
    )  # fmt: skip


def test_an_argument_given_on_the_command_line_wins_over_its_default(load: Load) -> None:
    text = "launch: [{arg: {name: a, default: x}}, {node: {pkg: p, exec: $(var a)}}]"
    assert load(text).nodes[0].executable == "x"
    assert load(text, a="y").nodes[0].executable == "y"


@pytest.mark.parametrize(
    ("condition", "starts"),
    [
        ("if: 'true'", True),
        ("if: '0'", False),
        ("unless: 'False'", True),
        ("unless: true", False),
        ("if: $(var flag)", True),
    ],
)
def test_conditions_decide_whether_an_action_applies(
    load: Load, condition: str, starts: bool
) -> None:
    head = "launch: [{arg: {name: flag, default: 'True'}}, "
    plan = load(head + "{node: {pkg: p, exec: e, " + condition + "}}]")
    assert bool(plan.nodes) is starts


def test_a_group_keeps_its_namespace_variables_and_environment_to_itself(load: Load) -> None:
    plan = load(
        """
launch:
  - let: {name: a, value: outer}
  - group:
      - push_ros_namespace: {namespace: left}
      - let: {name: a, value: inner}
      - set_env: {name: E, value: "1"}
      - node: {pkg: p, exec: $(var a), namespace: arm}
  - node: {pkg: p, exec: $(var a), namespace: /abs}
"""
    )
    inner, outer = plan.nodes
    assert (inner.executable, inner.namespace, inner.environment) == (
        "inner", "/left/arm", {"E": "1"},
    )  # fmt: skip
    assert (outer.executable, outer.namespace, outer.environment) == ("outer", "/abs", {})


def test_an_include_hands_on_arguments(load: Load, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "b.launch.yaml").write_text(
        "launch: [{arg: {name: who}}, {node: {pkg: p, exec: $(var who)}}]"
    )
    plan = load(
        """
launch:
  - include:
      file: $(find-pkg-share robot_pkg)/b.launch.yaml
      arg: [{name: who, value: me}]
"""
    )
    assert plan.nodes[0].executable == "me"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nodes: []", ["top-level key `launch`"]),
        ("launch: [{nod: {}}]", ["launch[0].nod", "did you mean `node`"]),
        ("launch: [{node: {pkg: p, exec: e, params: []}}]", ["params", "did you mean `param`"]),
        ("launch: [{node: {exec: e}}]", ["launch[0].node", "`pkg`"]),
        ("launch: [{arg: {name: a, default: 3}}]", ["default", "quotes"]),
        ("launch: [{arg: {name: a}}]", ["a:=VALUE"]),
        ("launch: [{node: {pkg: p, exec: $(var nope)}}]", ["$(var nope)"]),
        ("launch: [{node: {pkg: p, exec: $(eval 1+1)}}]", ["$(eval 1+1)", "$(var ...)"]),
        ("launch: [{node: {pkg: p, exec: $(env NOPE)}}]", ["NOPE", "not set"]),
        ("launch: [{node: {pkg: p, exec: $(find-pkg-share gone)}}]", ["gone", "setup.bash"]),
        ("launch: [{node: {pkg: p, exec: '$(var a'}}]", ["not closed"]),
        ("launch: [{node: {pkg: p, exec: e, if: maybe}}]", ["maybe", "true, false"]),
        ("launch: [{node: {pkg: p, exec: e, on_exit: dance}}]", ["on_exit", "dance"]),
        ("launch: [{node: {pkg: p, exec: e, param: [{from: /no.yaml}]}}]", ["/no.yaml"]),
        ("launch: [{include: {file: /nowhere.yaml}}]", ["/nowhere.yaml", "cannot be read"]),
        ("launch: [{include: {file: test.launch.yaml}}]", ["cannot be read"]),
        ("launch: [", ["not valid YAML"]),
    ],
)
def test_what_is_not_understood_is_an_error_that_names_file_and_place(
    load: Load, text: str, words: list[str]
) -> None:
    with pytest.raises(LaunchFileError) as error:
        load(text)
    assert all(word in str(error.value) for word in [*words, ".yaml"]), str(error.value)


def test_a_file_that_includes_itself_is_an_error(load: Load, tmp_path: Path) -> None:
    with pytest.raises(LaunchFileError, match="included by itself"):
        load("launch: [{include: {file: " + str(tmp_path / "test.launch.yaml") + "}}]")


def test_an_unknown_or_impossible_argument_is_an_error_with_the_known_ones(load: Load) -> None:
    text = "launch: [{arg: {name: pace, default: a, choice: [{value: a}, {value: b}]}}]"
    with pytest.raises(LaunchFileError, match="did you mean `pace`"):
        load(text, pase="a")
    with pytest.raises(LaunchFileError, match="one of a, b; got 'c'"):
        load(text, pace="c")


def test_substitutions_nest_quote_and_escape() -> None:
    known = {"up": str.upper, "join": lambda a, b: f"{a}+{b}"}
    assert substitute("$(join $(up q)r 's)')/t", known) == "Qr+s)/t"
    assert substitute(r"\$(up x)", known) == "$(up x)"


@given(
    st.one_of(
        st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False),
        st.text(st.characters(blacklist_categories=["Cs", "Cc"])),
    )
)  # fmt: skip
def test_a_parameter_value_keeps_its_type_through_the_command_line(value: object) -> None:
    text = _flow(value)  # type: ignore[arg-type]
    assert "\n" not in text
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize("name", ["demo.launch.yaml", "robot.launch.yaml"])
@pytest.mark.parametrize("own", ["", "/my/profile.xml"])
def test_our_launch_files_give_fast_dds_room_for_images_unless_one_has_a_profile(
    name: str, own: str
) -> None:
    root = Path(__file__).parents[3]
    variables = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    plan = load_launch(
        root / "launch" / name,
        {} if name.startswith("demo") else {"robot": "arm.yaml", "policy": "expert"},
        find_share=lambda _: root,
        environ=dict.fromkeys(variables, own) if own else {},
    )
    expected = own or str(root / "config" / "fastdds.xml")
    assert own or Path(expected).is_file()
    for node in plan.nodes:
        assert [node.environment[key] for key in variables] == [expected, expected]
