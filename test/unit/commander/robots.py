"""Robot files for the tests, as values."""

from __future__ import annotations

from vla_ros.robot.spec.robot import RobotSpec

ARM = ("joint1", "joint2")


def arm(**changes) -> RobotSpec:
    """Two joints and a binary gripper."""
    values = {
        "name": "two_joints",
        "base_frame": "base",
        "anchor": "state",
        "state": {
            "topic": "/joint_states",
            "tolerance_s": 0.02,
            "on_loss": "stop",
            "joints": [*ARM, "finger_joint"],
        },
        "action": [
            {"name": "arm", "kind": "position", "names": ARM, "output": "arm"},
            {"name": "gripper", "kind": "binary", "names": ["gripper"], "output": "gripper"},
        ],
        "outputs": [
            {
                "name": "arm",
                "controller": "joint_trajectory",
                "topic": "/arm/joint_trajectory",
                "joints": ARM,
            },
            {
                "name": "gripper",
                "controller": "joint_trajectory",
                "topic": "/gripper/joint_trajectory",
                "joints": ["finger_joint"],
                "closed_position": 0.0,
                "open_position": 0.04,
            },
        ],
        "limits": {
            name: {
                "lower": -3.0,
                "upper": 3.0,
                "velocity": 2.5,
                "acceleration": 12.0,
                "jerk": 150.0,
            }
            for name in ARM
        },
        "max_first_step": 0.5,
        "max_tracking_error": 0.2,
        "poses": {"home": {"joint1": 0.3, "joint2": -0.3, "finger_joint": 0.04}},
    }
    return RobotSpec.model_validate(values | changes)


def mobile() -> RobotSpec:
    """A base that takes velocities, and nothing else."""
    axis = {"velocity": 1.0, "acceleration": 2.0}
    return RobotSpec.model_validate(
        {
            "name": "base_only",
            "base_frame": "base",
            "anchor": "state",
            "state": {
                "topic": "/joint_states",
                "tolerance_s": 0.02,
                "on_loss": "stop",
                "joints": ["wheel"],
            },
            "action": [
                {"name": "base", "kind": "velocity", "names": ["vx", "wz"], "output": "base"}
            ],
            "outputs": [
                {
                    "name": "base",
                    "controller": "twist_stamped",
                    "topic": "/cmd_vel",
                    "joints": ["x", "yaw"],
                    "on_host_loss": "diff_drive_controller cmd_vel_timeout 0.5 s",
                    "limits": {"x": axis, "yaw": axis},
                }
            ],
            "max_first_step": 0.5,
            "max_tracking_error": 0.2,
        }
    )
