"""A user's colcon workspace, built from scratch on top of the ROS wheels."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
NODES = {
    "control_bridge",
    "episode_recorder",
    "observation_sync",
    "policy",
    "sim_robot",
    "task_planner",
}
BUILD = (
    "colcon", "build", "--base-paths", "src", "src/vla_ros/msg", "--cmake-args",
    f"-DPython3_EXECUTABLE={VENV}/bin/python", "-DBUILD_TESTING=OFF", "-DCMAKE_UNITY_BUILD=ON",
    "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0",
)  # fmt: skip

#: Two minutes on two idle cores; tests may run on busy ones.
BUILD_LIMIT_S = 1800.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(BUILD_LIMIT_S + 120),
    pytest.mark.skipif(
        not (VENV / "bin" / "colcon").exists() or sys.prefix != str(VENV),
        reason="needs the environment that `make setup` makes",
    ),
]


def _environment() -> dict[str, str]:
    """As a user's shell: the virtual environment, and no other workspace sourced."""
    sys.path.insert(0, str(ROOT))
    from tools.bootstrap.environment import for_build

    installed = str(ROOT / "install")
    path = [p for p in os.environ["PATH"].split(":") if not p.startswith(installed)]
    return {
        **for_build({**os.environ, "PATH": ":".join(path)}, VENV),
        "MAKEFLAGS": f"-j{os.cpu_count()}",
    }


def _run(command: str, cwd: Path, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Runs a line of bash; ends all it started when it takes too long."""
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=cwd,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"over {timeout_s} s: {command}\n{out[-2000:]}\n{err[-2000:]}")
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """~/ws with a copy of what git tracks in src/vla_ros, built without --symlink-install."""
    folder = tmp_path_factory.mktemp("ws")
    source = folder / "src" / "vla_ros"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    done = _run(" ".join(BUILD), folder, BUILD_LIMIT_S)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_the_sentence_of_the_readme_builds_both_packages(workspace: Path) -> None:
    assert {p.name for p in (workspace / "install").iterdir() if p.is_dir()} == {
        "vla_ros",
        "vla_ros_msgs",
    }


def test_plain_colcon_in_the_workspace_misses_the_messages(workspace: Path) -> None:
    # Why the sentence is needed: colcon's crawl stops at the first package.xml.
    done = _run("colcon --log-base /dev/null list --names-only", workspace)
    assert done.stdout.split() == ["vla_ros"]


def test_vla_is_on_the_path_after_sourcing_the_workspace(workspace: Path) -> None:
    done = _run("source install/setup.bash && command -v vla && vla --help", workspace)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(workspace / "install" / "vla_ros" / "bin" / "vla")
    assert "Usage" in done.stdout


def test_the_nodes_lie_where_ros2_run_looks(workspace: Path) -> None:
    folder = workspace / "install" / "vla_ros" / "lib" / "vla_ros"
    assert {path.name for path in folder.iterdir()} >= NODES
    first = (folder / "policy").read_text().splitlines()[0]
    assert first.startswith(f"#!{VENV}/bin/python")


def test_the_installed_package_carries_its_files(workspace: Path) -> None:
    done = _run(
        "source install/setup.bash && python -c '"
        "from ament_index_python.packages import get_package_share_directory as s; "
        'import vla_ros, vla_ros_msgs.action; print(vla_ros.__file__); print(s("vla_ros"))\'',
        workspace,
    )
    assert done.returncode == 0, done.stderr
    module, share = map(Path, done.stdout.split())
    assert workspace in module.parents
    for kind in ("launch", "config", "urdf", "checkpoints"):
        for path in _tracked(kind):
            assert (share / path).is_file(), f"{path} is not installed"
    for path in _tracked("vla_ros"):
        installed = module.parent / Path(path).relative_to("vla_ros")
        assert installed.is_file(), f"{path} is not installed"


def test_a_node_starts_and_answers_from_the_installed_workspace(workspace: Path) -> None:
    done = _run(
        "source install/setup.bash && vla launch --help && "
        "python -c 'import vla_ros.nodes.control_bridge, vla_ros.nodes.policy'",
        workspace,
    )
    assert done.returncode == 0, done.stderr


def test_without_the_messages_the_package_says_the_sentence(workspace: Path) -> None:
    done = _run(
        "source install/setup.bash && PYTHONPATH=$PWD/install/vla_ros/lib/python"
        f"3.{sys.version_info.minor}/site-packages vla do 'put the red cube in the blue bin'",
        workspace,
    )
    assert done.returncode != 0
    assert "colcon build --base-paths src src/vla_ros/msg" in " ".join(done.stderr.split())


def _tracked(folder: str) -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]
