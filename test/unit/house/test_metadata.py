"""One version, one name, one license, and executables that exist."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from source import PACKAGE, ROOT

MANIFESTS = (ROOT / "package.xml", ROOT / "msg" / "vla_ros_msgs" / "package.xml")


def _setup_argument(option: str) -> str:
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", option],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1]


def _entry_points() -> dict[str, str]:
    script = (
        "import setuptools, json; kept = {}; setuptools.setup = lambda **k: kept.update(k); "
        "exec(compile(open('setup.py').read(), 'setup.py', 'exec'), "
        "{'__file__': 'setup.py', '__name__': '__main__'}); "
        "print('\\n'.join(kept['entry_points']['console_scripts']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return dict(line.split(" = ") for line in done.stdout.split("\n") if line)


def test_both_manifests_and_setup_py_have_one_version() -> None:
    versions = {ET.parse(path).getroot().findtext("version") for path in MANIFESTS}
    assert versions == {_setup_argument("--version")}


def test_the_version_stands_nowhere_else() -> None:
    version = ET.parse(MANIFESTS[0]).getroot().findtext("version")
    assert f'"{version}"' not in (ROOT / "setup.py").read_text()
    assert not re.search(r"__version__\s*=", (PACKAGE / "__init__.py").read_text())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parent.name)
def test_a_manifest_is_one_that_colcon_and_rosdep_accept(path: object) -> None:
    from catkin_pkg.package import parse_package

    warnings: list[str] = []
    package = parse_package(str(path), warnings=warnings)
    assert not warnings
    assert package.licenses == ["Apache-2.0"]


@pytest.mark.skipif(shutil.which("colcon") is None, reason="colcon is not installed")
def test_colcon_sees_both_packages_with_their_types() -> None:
    # An invalid package.xml turns a package into type `python` without a word.
    done = subprocess.run(
        ["colcon", "--log-base", "/dev/null", "list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    types = {line.split("\t")[0]: line.split("\t")[2] for line in done.stdout.splitlines()}
    assert types == {"vla_ros": "(ros.ament_python)", "vla_ros_msgs": "(ros.ament_cmake)"}


def test_every_executable_has_its_main() -> None:
    points = _entry_points()
    assert {"vla", "observation_sync", "policy", "control_bridge", "task_planner"} <= set(points)
    for target in points.values():
        module, function = target.split(":")
        path = ROOT / (module.replace(".", "/") + ".py")
        assert path.is_file(), f"{target}: no {path}"
        names = {n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)}
        assert function in names, f"{path} has no {function}()"


def test_every_message_field_is_documented() -> None:
    bare = []
    for path in sorted((ROOT / "msg").rglob("*")):
        if path.suffix not in {".msg", ".srv", ".action"}:
            continue
        documented = False
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if line.startswith("#"):
                documented = True
            elif not line.strip():
                documented = False
            elif line != "---" and "=" not in line and not documented and "success" not in line:
                bare.append(f"{path.name}:{number} {line}")
    assert not bare, "\n".join(bare)


def test_the_interfaces_that_cmake_builds_are_those_in_the_folder() -> None:
    folder = ROOT / "msg" / "vla_ros_msgs"
    listed = re.findall(r'"((?:msg|srv|action)/\w+\.\w+)"', (folder / "CMakeLists.txt").read_text())
    found = [
        str(path.relative_to(folder))
        for kind in ("msg", "srv", "action")
        for path in (folder / kind).iterdir()
    ]
    assert sorted(listed) == sorted(found)


def test_pytest_and_the_package_see_the_same_source() -> None:
    spec = importlib.util.find_spec("vla_ros")
    assert spec is not None
    assert spec.origin is not None
    assert (PACKAGE / "__init__.py").samefile(spec.origin)
