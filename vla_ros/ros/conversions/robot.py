"""``RobotSpec`` -> vla_ros_msgs/RobotSpecInfo. The way back is ``robot.load`` on its YAML text."""

from __future__ import annotations

from vla_ros_msgs.msg import RobotSpecInfo

from vla_ros.robot.spec.robot import RobotSpec, spec_hash
from vla_ros.spaces import SliceKind

_KINDS: dict[SliceKind, int] = {
    "position": RobotSpecInfo.POSITION,
    "velocity": RobotSpecInfo.VELOCITY,
    "effort": RobotSpecInfo.EFFORT,
    "pose_pos": RobotSpecInfo.POSE_POS,
    "pose_rot": RobotSpecInfo.POSE_ROT,
    "pose_step": RobotSpecInfo.POSE_STEP,
    "binary": RobotSpecInfo.BINARY,
    "gripper": RobotSpecInfo.CONTINUOUS_GRIPPER,
}


def robot_spec_msg(spec: RobotSpec, yaml: str) -> RobotSpecInfo:
    """Names and order of every vector, once.

    Args:
        spec: Validated.
        yaml: Text of the file it was read from.
    """
    action = spec.action_space()
    return RobotSpecInfo(
        name=spec.name,
        yaml=yaml,
        spec_hash=spec_hash(spec),
        camera_keys=list(spec.camera_keys),
        state_names=list(spec.state_space().names),
        action_names=list(action.names),
        action_kinds=[_KINDS[kind] for kind in action.kinds],
    )
