"""A robot file and a URDF small enough to break in every way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

URDF = """<robot name="two">
  <joint name="shoulder" type="revolute"><limit lower="-2" upper="2" velocity="3"/></joint>
  <joint name="wheel" type="continuous"><limit velocity="4"/></joint>
  <joint name="finger" type="prismatic"><limit lower="0" upper="0.04" velocity="0.2"/></joint>
  <joint name="other_finger" type="prismatic">
    <limit lower="0" upper="0.04" velocity="0.2"/><mimic joint="finger"/>
  </joint>
  <joint name="tool" type="fixed"/>
</robot>"""


def values() -> dict[str, Any]:
    """A robot file that is right."""
    return {
        "name": "two",
        "urdf": "two.urdf",
        "base_frame": "base",
        "anchor": "front",
        "cameras": [
            {
                "key": "front",
                "topic": "/front",
                "frame_id": "front_optical",
                "rate_hz": 20,
                "raw_width": 8,
                "raw_height": 6,
                "crop": [1, 0, 6, 6],
                "width": 3,
                "height": 3,
                "tolerance_s": 0.02,
                "on_loss": "skip",
            }
        ],
        "state": {
            "topic": "/joint_states",
            "joints": ["shoulder", "wheel", "finger"],
            "tolerance_s": 0.03,
            "on_loss": "skip",
        },
        "action": [
            {
                "name": "arm",
                "kind": "position",
                "names": ["shoulder", "wheel"],
                "output": "arm",
            },
            {"name": "grip", "kind": "binary", "names": ["grip"], "output": "grip"},
        ],
        "outputs": [
            {
                "name": "arm",
                "controller": "joint_trajectory",
                "topic": "/arm",
                "joints": ["shoulder", "wheel"],
            },
            {
                "name": "grip",
                "controller": "joint_trajectory",
                "topic": "/grip",
                "joints": ["finger"],
                "closed_position": 0.0,
                "open_position": 0.04,
            },
        ],
        "limits": {
            "shoulder": {"acceleration": 10, "jerk": 100, "velocity": 2, "upper": 5},
            "wheel": {"acceleration": 10, "jerk": 100, "velocity": 9},
            "finger": {"acceleration": 3, "jerk": 60},
        },
        "max_first_step": 0.5,
        "max_tracking_error": 0.3,
        "poses": {"home": {"shoulder": 0.0, "wheel": 0.0, "finger": 0.04}},
    }


def write(folder: Path, content: dict[str, Any], urdf: str = URDF) -> Path:
    """Put both files down and say where the robot file is."""
    (folder / "two.urdf").write_text(urdf)
    path = folder / "two.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
