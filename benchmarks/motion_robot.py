"""The arm of `motion_loop` in files: for our bridge, for ros2_control, as a URDF."""

from __future__ import annotations

from typing import Any

from benchmarks.motion_loop import JOINTS, LIMITS, WHITE_RAD

LOOKAHEAD_S = 0.25


def robot_file() -> dict[str, Any]:
    """Values of the robot file."""
    limits = {
        name: {
            "lower": float(LIMITS.lower[k]),
            "upper": float(LIMITS.upper[k]),
            "velocity": float(LIMITS.velocity[k]),
            "acceleration": float(LIMITS.acceleration[k]),
            "jerk": float(LIMITS.jerk[k]),
        }
        for k, name in enumerate(JOINTS)
    }
    return {
        "name": "flow_arm",
        "base_frame": "base",
        "anchor": "state",
        "state": {
            "topic": "/joint_states",
            "tolerance_s": 0.02,
            "on_loss": "stop",
            "joints": list(JOINTS),
        },
        "action": [{"name": "arm", "kind": "position", "names": list(JOINTS), "output": "arm"}],
        "outputs": [
            {
                "name": "arm",
                "controller": "joint_trajectory",
                "topic": "/arm_controller/joint_trajectory",
                "joints": list(JOINTS),
                "on_host_loss": "the last window ends in a brake to rest",
            }
        ],
        "limits": limits,
        "rates": {
            "control_hz": 100,
            "window_hz": 33.3,
            "lookahead_s": LOOKAHEAD_S,
            "spacing_s": 0.02,
        },
        "smoothing": {"noise_rad": WHITE_RAD},
        "max_observation_age_s": 3.0,
        "max_first_step": 2.0,  # `sync` rests while the reference goes on
        "max_tracking_error": 0.5,
        "watchdogs": {"joint_state_max_age_s": 0.25, "plan_max_age_s": 3.0},
        "poses": {"home": dict.fromkeys(JOINTS, 0.0)},
    }


def controllers() -> dict[str, Any]:
    """Parameters of ros2_control."""
    kinds = {
        "joint_state_broadcaster": "joint_state_broadcaster/JointStateBroadcaster",
        "arm_controller": "joint_trajectory_controller/JointTrajectoryController",
    }
    manager = {"update_rate": 500} | {name: {"type": kind} for name, kind in kinds.items()}
    arm = {
        "joints": list(JOINTS),
        "command_interfaces": ["position"],
        "state_interfaces": ["position", "velocity"],
    }
    return {
        "controller_manager": {"ros__parameters": manager},
        "arm_controller": {"ros__parameters": arm},
    }


def urdf() -> str:
    """A chain of its joints."""
    links = "".join(f'<link name="link{k}"/>' for k in range(len(JOINTS) + 1))
    joints = "".join(
        f'<joint name="{name}" type="continuous"><parent link="link{k}"/>'
        f'<child link="link{k + 1}"/></joint>'
        for k, name in enumerate(JOINTS)
    )
    return f'<robot name="flow_arm">{links}{joints}</robot>'
