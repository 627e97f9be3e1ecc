"""What the commander says and does -> messages of the control bridge."""

from __future__ import annotations

import math

import numpy as np
import yaml
from geometry_msgs.msg import Twist, TwistStamped
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from vla_ros_msgs.msg import BridgeStatus, Commanded, OutputStatus, RobotSpecInfo

from vla_ros.motion import TrajectoryWindow
from vla_ros.robot.commands import BridgeReport, CommandedSample, Mode, StopReason
from vla_ros.robot.spec import RobotSpec, spec_hash
from vla_ros.ros.conversions.times import duration_msg, header, time_msg
from vla_ros.ros.conversions.uuids import uuid_bytes, uuid_msg
from vla_ros.spaces import SliceKind

_MODE: dict[Mode, int] = {
    "IDLE": Commanded.IDLE,
    "HOLDING": Commanded.HOLDING,
    "RAMPING": Commanded.RAMPING,
    "TRACKING": Commanded.TRACKING,
    "BRAKING": Commanded.BRAKING,
    "STOPPED": Commanded.STOPPED,
    "EXTERNAL": Commanded.EXTERNAL,
    "DRY_RUN": Commanded.DRY_RUN,
}
_REASON: dict[StopReason, int] = {
    "none": BridgeStatus.NONE,
    "operator": BridgeStatus.OPERATOR,
    "joint_state": BridgeStatus.JOINT_STATE_LOST,
    "plan_stale": BridgeStatus.PLAN_LOST,
    "tracking_error": BridgeStatus.TRACKING_ERROR,
    "motion": BridgeStatus.BAD_PLAN,
    "deadline": BridgeStatus.FAULT,
    "stream": BridgeStatus.FAULT,
}
_KIND: dict[SliceKind, int] = {
    "position": RobotSpecInfo.POSITION,
    "velocity": RobotSpecInfo.VELOCITY,
    "effort": RobotSpecInfo.EFFORT,
    "pose_pos": RobotSpecInfo.POSE_POS,
    "pose_rot": RobotSpecInfo.POSE_ROT,
    "binary": RobotSpecInfo.BINARY,
    "gripper": RobotSpecInfo.CONTINUOUS_GRIPPER,
}
_NO_RUN = bytes(16)


def commanded_msg(sample: CommandedSample, frame_id: str) -> Commanded:
    """Commanded of one control period. The message's time_scale is a speed: less is slower."""
    following = math.isfinite(sample.chunk_row)
    return Commanded(
        header=header(sample.stamp_ns, frame_id),
        run_id=uuid_msg(sample.run_id),
        epoch=sample.epoch,
        chunk_seq=sample.chunk_seq,
        chunk_row=sample.chunk_row,
        spec_hash=sample.spec_hash,
        mode=_MODE[sample.mode],
        action=sample.action.tolist(),
        reference=sample.reference.tolist() if following else [],
        velocity=sample.velocity.tolist(),
        acceleration=sample.acceleration.tolist(),
        limited=sample.limited.tolist(),
        time_scale=1.0 / sample.time_scale if sample.time_scale > 0.0 else 0.0,
        deviation=sample.deviation if following else float("nan"),
    )


def progress_from(message: Commanded) -> tuple[bytes, int, float, int]:
    """Run, chunk number, row and stamp [ns] of a Commanded: what the policy learns from it."""
    stamp = message.header.stamp
    t_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
    return uuid_bytes(message.run_id), message.chunk_seq, message.chunk_row, t_ns


def status_msg(report: BridgeReport, now_ns: int, last_refusal: str) -> BridgeStatus:
    """BridgeStatus of a report."""
    return BridgeStatus(
        header=header(now_ns),
        state=_MODE[report.state],
        epoch=report.epoch,
        enabled=report.enabled,
        dry_run=report.dry_run,
        owner=report.owner,
        stop_reason=_REASON[report.stop_reason],
        stop_text=report.stop_text,
        reset_required=report.reset_required,
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


def spec_msg(spec: RobotSpec) -> RobotSpecInfo:
    """RobotSpecInfo of a robot file."""
    space = spec.action_space()
    return RobotSpecInfo(
        name=spec.name,
        yaml=yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=True),
        spec_hash=spec_hash(spec),
        camera_keys=list(spec.camera_keys),
        state_names=list(spec.state_space().names),
        action_names=list(space.names),
        action_kinds=[_KIND[kind] for kind in space.kinds],
    )


def trajectory_msg(
    window: TrajectoryWindow, joints: tuple[str, ...], now_ns: int
) -> JointTrajectory:
    """JointTrajectory of a window, stamped with now or its first point, whichever is earlier."""
    start_ns = min(now_ns, int(window.t_ns[0]))
    rows = zip(
        (window.t_ns - start_ns).tolist(),
        window.position.tolist(),
        window.velocity.tolist(),
        window.acceleration.tolist(),
        strict=True,
    )
    return JointTrajectory(
        header=header(start_ns),
        joint_names=list(joints),
        points=[
            JointTrajectoryPoint(
                positions=position,
                velocities=velocity,
                accelerations=acceleration,
                time_from_start=duration_msg(t_ns),
            )
            for t_ns, position, velocity, acceleration in rows
        ],
    )


def twist_msg(velocity: tuple[float, float, float]) -> Twist:
    """Twist of x [m/s], y [m/s] and yaw [rad/s]."""
    message = Twist()
    message.linear.x, message.linear.y, message.angular.z = velocity
    return message


def twist_stamped_msg(
    velocity: tuple[float, float, float], now_ns: int, frame_id: str
) -> TwistStamped:
    """TwistStamped of x [m/s], y [m/s] and yaw [rad/s] in the base frame."""
    return TwistStamped(header=header(now_ns, frame_id), twist=twist_msg(velocity))


def positions_from(names: list[str], position: list[float]) -> dict[str, float]:
    """Joint positions by name; a joint without a position is left out, not invented."""
    values = np.asarray(position, dtype=np.float64).tolist()
    return dict(zip(names, values, strict=False))
