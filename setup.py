"""Installs the package where ROS 2 tools look for it. Metadata comes from package.xml."""

import xml.etree.ElementTree as ET
from pathlib import Path

from setuptools import find_packages, setup

NAME = "vla_ros"
NODES = (
    "observation_sync",
    "policy",
    "control_bridge",
    "task_planner",
    "sim_robot",
    "episode_recorder",
)
SHARED = ("launch", "config", "urdf", "checkpoints")

# colcon calls this file from the build folder, where its inputs are symbolic links.
HERE = Path(__file__).resolve().parent
MANIFEST = ET.parse(HERE / "package.xml").getroot()


def manifest(tag: str) -> str:
    return " ".join(MANIFEST.findtext(tag, "").split())


def shared_files() -> list[tuple[str, list[str]]]:
    """Every file below the shared folders, keeping the folders."""
    files: dict[str, list[str]] = {}
    for top in SHARED:
        for path in sorted((HERE / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(HERE)
                files.setdefault(f"share/{NAME}/{relative.parent}", []).append(str(relative))
    return list(files.items())


setup(
    name=NAME,
    version=manifest("version"),
    description=manifest("description"),
    maintainer=manifest("maintainer"),
    maintainer_email=MANIFEST.find("maintainer").attrib["email"],
    license=manifest("license"),
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={"": ["py.typed", "*.xml", "*.yaml", "*.json"]},
    python_requires=">=3.10",
    zip_safe=True,
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        ("bin", ["scripts/vla"]),
        *shared_files(),
    ],
    entry_points={
        "console_scripts": [
            *(f"{node} = {NAME}.nodes.{node}:main" for node in NODES),
            f"vla = {NAME}.cli.main:main",
        ],
    },
)
