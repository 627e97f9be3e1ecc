"""What a robot's computer installs accepts the NumPy that ROS's cv_bridge is built for."""

from __future__ import annotations

import importlib.metadata
import re

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from source import ROOT

NUMPY = Version("1.26.4")
PYTHON = {"python_version": "3.12", "python_full_version": "3.12.3", "extra": ""}
TORCH = {"torch", "torchvision"}


def _requirements(name: str) -> list[Requirement]:
    text = (ROOT / "requirements" / name).read_text()
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def _numpy_conflicts(name: str, seen: set[str]) -> list[str]:
    if name in seen:
        return []
    seen.add(name)
    found = []
    for text in importlib.metadata.requires(name) or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate(PYTHON):
            continue
        if re.sub(r"[-_.]+", "-", requirement.name).lower() == "numpy":
            if not requirement.specifier.contains(NUMPY):
                found.append(f"{name} needs {requirement}")
        else:
            found += _numpy_conflicts(requirement.name, seen)
    return found


@pytest.mark.parametrize("requirement", _requirements("robot.txt"), ids=str)
def test_a_pin_for_the_robot_accepts_numpy_1_26(requirement: Requirement) -> None:
    if requirement.name == "numpy":
        assert requirement.specifier.contains(NUMPY)
        return
    # Its metadata is here, because the same version is installed.
    assert requirement.specifier.contains(importlib.metadata.version(requirement.name))
    assert not _numpy_conflicts(requirement.name, set())


def test_the_check_finds_a_package_that_needs_numpy_2() -> None:
    assert _numpy_conflicts("opencv-python-headless", set())


def test_a_robot_gets_no_torch_and_no_other_ros() -> None:
    names = {requirement.name for requirement in _requirements("robot.txt")}
    assert not names & TORCH
    assert not any(name.startswith("ros-") for name in names)


def test_every_package_is_pinned_exactly() -> None:
    locked = {requirement.name.lower() for requirement in _requirements("lock.txt")}
    for name in ("ros.txt", "run.txt", "dev.txt"):
        for requirement in _requirements(name):
            exact = [s for s in requirement.specifier if s.operator == "=="]
            assert exact or requirement.name.lower() in locked, f"{name}: {requirement}"


def test_what_is_installed_is_what_is_pinned() -> None:
    wrong = {}
    for name in ("ros.txt", "run.txt", "dev.txt", "lock.txt"):
        for requirement in _requirements(name):
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            version = importlib.metadata.version(requirement.name)
            if not requirement.specifier.contains(version):
                wrong[requirement.name] = f"{version}, pinned {requirement.specifier}"
    assert not wrong, f"{wrong}: run `make setup`"
