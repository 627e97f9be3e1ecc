"""What the commander reports -> vla_ros_msgs/BridgeStatus; velocities -> Twist; poses -> Pose."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Twist, TwistStamped
from vla_ros_msgs.msg import BridgeStatus, OutputStatus

from vla_ros.robot.command.commands import BridgeReport, StopReason
from vla_ros.ros.conversions.commanded import MODES
from vla_ros.ros.conversions.times import header, time_msg

_REASON: dict[StopReason, int] = {
    "none": BridgeStatus.NONE,
    "operator": BridgeStatus.OPERATOR,
    "joint_state": BridgeStatus.JOINT_STATE_LOST,
    "plan_stale": BridgeStatus.PLAN_LOST,
    "tracking_error": BridgeStatus.TRACKING_ERROR,
    "motion": BridgeStatus.BAD_PLAN,
    "deadline": BridgeStatus.DEADLINE_MISSED,
    "stream": BridgeStatus.STREAM_LOST,
    "estop": BridgeStatus.ESTOP,
    "clock": BridgeStatus.CLOCK_LOST,
    "clock_jump": BridgeStatus.CLOCK_JUMP,
    "workspace": BridgeStatus.WORKSPACE,
    "deactivated": BridgeStatus.DEACTIVATED,
}


def status_msg(report: BridgeReport, now_ns: int, last_refusal: str) -> BridgeStatus:
    """BridgeStatus of a report."""
    return BridgeStatus(
        header=header(now_ns),
        state=MODES[report.state],
        epoch=report.epoch,
        enabled=report.enabled,
        dry_run=report.dry_run,
        owner=report.owner,
        stop_reason=_REASON[report.stop_reason],
        stop_text=report.stop_text,
        reset_required=report.reset_required,
        hindrance=report.hindrance,
        buffer_left_s=report.buffer_left_s,
        deadline_misses=report.deadline_misses,
        chunks_accepted=report.chunks_accepted,
        chunks_refused=report.chunks_refused,
        last_refusal=last_refusal,
        outputs=[
            OutputStatus(
                name=output.name,
                controller=output.controller,
                active=output.active,
                last_sent=time_msg(output.last_sent_ns),
                on_host_loss=output.on_host_loss,
            )
            for output in report.outputs
        ],
    )


def twist_msg(velocity: Mapping[str, float]) -> Twist:
    """Twist of x, y, z [m/s], roll, pitch, yaw [rad/s]; axes that are not named are zero."""
    message = Twist()
    for vector, axes in (
        (message.linear, ("x", "y", "z")),
        (message.angular, ("roll", "pitch", "yaw")),
    ):
        vector.x, vector.y, vector.z = (velocity.get(axis, 0.0) for axis in axes)
    return message


def twist_stamped_msg(velocity: Mapping[str, float], now_ns: int, frame_id: str) -> TwistStamped:
    """TwistStamped of `twist_msg`'s axes in a frame."""
    return TwistStamped(header=header(now_ns, frame_id), twist=twist_msg(velocity))


def pose_stamped_msg(values: npt.NDArray[np.float64], now_ns: int, frame_id: str) -> PoseStamped:
    """PoseStamped of a position [m] and a quaternion (x, y, z, w). Shape (7,)."""
    x, y, z, qx, qy, qz, qw = values.tolist()
    pose = Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    return PoseStamped(header=header(now_ns, frame_id), pose=pose)
