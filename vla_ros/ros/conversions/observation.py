"""vla_ros_msgs/Observation <-> ``spaces.Observation``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from vla_ros_msgs.msg import CameraImage, StreamStatus
from vla_ros_msgs.msg import Observation as ObservationMsg

from vla_ros.ros.conversions.arrays import doubles, packed
from vla_ros.ros.conversions.image import image_msg, rgb_from
from vla_ros.ros.conversions.times import header, ns_from, time_msg
from vla_ros.spaces import Observation, StreamReport, StreamState

_STATUS: dict[StreamState, int] = {
    state: getattr(StreamStatus, state) for state in get_args(StreamState)
}
_STATE: dict[int, StreamState] = {value: key for key, value in _STATUS.items()}


def observation_msg(
    observation: Observation, spec_hash: int, base_frame: str, optical_frames: Mapping[str, str]
) -> ObservationMsg:
    """Value -> message.

    Args:
        observation: From the observer.
        spec_hash: Hash of the robot file.
        base_frame: Of the robot.
        optical_frames: Camera key -> frame of its images.
    """
    status = {report.name: _STATUS[report.state] for report in observation.streams}
    return ObservationMsg(
        header=header(observation.t_obs_ns, base_frame),
        seq=observation.seq,
        spec_hash=spec_hash,
        start=time_msg(observation.start_ns),
        images=[
            CameraImage(
                key=key,
                image=image_msg(rgb, observation.image_stamps_ns[key], optical_frames[key]),
                status=status[key],
            )
            for key, rgb in observation.images.items()
        ],
        state=packed(observation.state, "d"),
        state_stamp=time_msg(observation.state_stamp_ns),
        streams=[
            StreamStatus(
                name=report.name,
                status=_STATUS[report.state],
                stamp=time_msg(report.stamp_ns),
                offset_s=report.offset_ns * 1e-9,
                age_s=report.age_ns * 1e-9,
                rate_hz=report.rate_hz,
                drops=report.drops,
            )
            for report in observation.streams
        ],
    )


def observation_from(message: ObservationMsg) -> Observation:
    """Message -> value. Offsets, ages and rates are rounded to float32.

    Raises:
        ImageError: An image's bytes do not fit its size.
    """
    return Observation(
        seq=message.seq,
        t_obs_ns=ns_from(message.header.stamp),
        start_ns=ns_from(message.start),
        images={item.key: rgb_from(item.image) for item in message.images},
        image_stamps_ns={item.key: ns_from(item.image.header.stamp) for item in message.images},
        state=doubles(message.state),
        state_stamp_ns=ns_from(message.state_stamp),
        streams=reports_from(message),
    )


def reports_from(message: ObservationMsg) -> tuple[StreamReport, ...]:
    """How each stream took part."""
    return tuple(_report_from(item) for item in message.streams)


def _report_from(item: StreamStatus) -> StreamReport:
    return StreamReport(
        name=item.name,
        state=_STATE[item.status],
        stamp_ns=ns_from(item.stamp),
        offset_ns=round(item.offset_s * 1e9),
        age_ns=round(item.age_s * 1e9),
        rate_hz=item.rate_hz,
        drops=item.drops,
    )
