"""The end of a node's process, when it is interrupted again."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("vla_ros_msgs.msg", reason="the interfaces are not built or not sourced")

NODE = """
import os, signal, sys
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.parameters import NodeParameters
from vla_ros.ros.spin import run

class Short(VlaNode):
    def __init__(self):
        super().__init__("short", NodeParameters)
    def activate(self):
        os.kill(os.getpid(), signal.SIGINT)

class Last:  # goes when the interpreter has taken its signal handlers away
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT, write=os.write):
        write(1, b"again")
        kill(pid, number)

sys.last = Last()
sys.exit(run(Short))
"""


def test_a_second_interrupt_at_the_very_end_leaves_a_clean_exit() -> None:
    done = subprocess.run([sys.executable, "-c", NODE], capture_output=True, text=True, timeout=60)
    assert done.stdout == "again"
    assert done.returncode == 0, done.stderr
