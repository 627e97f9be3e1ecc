"""The set-up: stamps, repairs, and words that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from source import ROOT

sys.path.insert(0, str(ROOT))

from tools.bootstrap import main as bootstrap
from tools.bootstrap import system, venv
from tools.bootstrap.environment import clean, for_build
from tools.bootstrap.failure import SetupError
from tools.bootstrap.stage import Progress
from tools.bootstrap.stamp import Stamp, fingerprint


def test_a_stamp_is_finished_only_for_the_same_fingerprint(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path / "stamp", "one")
    assert stamp.state() == "fresh"
    stamp.begin()
    assert stamp.state() == "interrupted"
    stamp.finish()
    assert stamp.state() == "finished"
    assert Stamp(tmp_path / "stamp", "two").state() == "changed"


def test_a_stamp_cut_off_in_the_middle_counts_as_interrupted(tmp_path: Path) -> None:
    (tmp_path / "stamp").write_text("")
    assert Stamp(tmp_path / "stamp", "one").state() == "interrupted"


def test_the_fingerprint_changes_with_a_file_and_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "pins.txt"
    path.write_text("numpy==1")
    before = fingerprint(["3.11"], [path])
    assert fingerprint(["3.12"], [path]) != before
    path.write_text("numpy==2")
    assert fingerprint(["3.11"], [path]) != before


def test_a_failing_command_shows_its_output_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(tmp_path)
    with (
        pytest.raises(SetupError, match=r"(?s)no such thing.*What to do: buy one"),
        progress.stage("try", "trying"),
    ):
        progress.run(["sh", "-c", "echo no such thing; exit 3"], advice="buy one")
    assert "[try] trying" in capsys.readouterr().out


def test_a_stage_says_how_long_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(tmp_path)
    with progress.stage("try", "trying"):
        progress.run(["true"], advice="")
    progress.summary()
    assert "set-up took 0." in capsys.readouterr().out


def test_the_ros_wheels_cmake_files_get_our_include_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "python").write_text("#!/bin/sh\necho /here/python3.11\necho /here/numpy\n")
    (fake / "python").chmod(0o755)
    file = tmp_path / "share" / "std_msgs" / "cmake" / "export.cmake"
    file.parent.mkdir(parents=True)
    base = "/opt/python/cp311-cp311"
    file.write_text(
        f'INCLUDE "{base}/include/python3.11;'
        f'{base}/lib/python3.11/site-packages/numpy/_core/include;/usr"'
    )
    assert venv.mend(tmp_path) == 1
    assert file.read_text() == 'INCLUDE "/here/python3.11;/here/numpy;/usr"'
    assert venv.mend(tmp_path) == 0


def test_a_folder_with_a_space_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"contains a space.*Move the folder"):
        bootstrap.check_place(tmp_path / "my robot")


def test_a_missing_compiler_without_root_prints_the_exact_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(system, "_root_prefix", lambda: None)
    monkeypatch.setattr(system.shutil, "which", lambda name: name if name == "apt-get" else None)
    with pytest.raises(SetupError, match=r"(?s)C\+\+ compiler.*sudo apt-get install -y .*g\+\+"):
        system.provide(Progress(tmp_path))


def test_missing_gl_without_root_prints_the_exact_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "graphics", lambda: False)
    monkeypatch.setattr(system, "_root_prefix", lambda: None)
    with pytest.raises(SetupError, match=r"(?s)OpenGL.*libegl1 libegl-mesa0 libgl1-mesa-dri"):
        system.provide(Progress(tmp_path))


def test_a_sourced_ros_installation_does_not_get_into_the_build() -> None:
    sourced = {
        "PYTHONPATH": "/opt/ros/jazzy/lib",
        "AMENT_PREFIX_PATH": "/opt/ros/jazzy",
        "HOME": "/",
    }
    assert clean(sourced) == {"HOME": "/"}
    assert for_build(sourced, Path("/v"))["AMENT_PREFIX_PATH"] == "/v"


def test_env_sh_leaves_out_the_same_variables_as_the_set_up() -> None:
    from tools.bootstrap.environment import SOURCED

    text = (ROOT / "tools" / "env.sh").read_text()
    unset = text[text.index("unset ") :].split("\n.")[0]
    assert set(SOURCED) <= set(unset.replace("\\", " ").split())


def test_env_sh_says_what_to_do_before_the_set_up(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    script = tmp_path / "tools" / "env.sh"
    script.write_text((ROOT / "tools" / "env.sh").read_text())
    done = subprocess.run(
        ["bash", str(script), "true"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert "make setup" in done.stderr


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="no system Python")
def test_the_entry_parses_with_the_oldest_python_3(tmp_path: Path) -> None:
    import ast

    text = (ROOT / "tools" / "bootstrap" / "__main__.py").read_text()
    ast.parse(text, feature_version=(3, 4))
