"""vla_ros_msgs/ActionChunk <-> ``chunks.Plan``."""

from __future__ import annotations

import math

import numpy as np
from unique_identifier_msgs.msg import UUID
from vla_ros_msgs.msg import ActionChunk

from vla_ros.chunks.plan import Aggregation, Plan
from vla_ros.errors import VlaError
from vla_ros.ros.conversions.arrays import packed
from vla_ros.ros.conversions.times import duration_msg, header, ns_from, time_msg

AGGREGATIONS: dict[Aggregation, int] = {
    "sync": ActionChunk.SYNC,
    "blend": ActionChunk.BLEND,
    "rtc": ActionChunk.RTC,
    "rtc_prefix": ActionChunk.RTC_PREFIX,
}
_WORD: dict[int, Aggregation] = {value: key for key, value in AGGREGATIONS.items()}


class ChunkError(VlaError):
    """A chunk message that is no plan."""


def uuid_msg(run_id: bytes) -> UUID:
    """16 bytes -> UUID."""
    return UUID(uuid=np.frombuffer(run_id, dtype=np.uint8))


def run_id_from(message: UUID) -> bytes:
    """UUID -> 16 bytes."""
    return bytes(message.uuid)


def chunk_msg(plan: Plan, base_frame: str) -> ActionChunk:
    """Plan -> message; actions are rounded to float32."""
    return ActionChunk(
        header=header(plan.t_obs_ns, base_frame),
        run_id=uuid_msg(plan.run_id),
        epoch=plan.epoch,
        seq=plan.seq,
        spec_hash=plan.spec_hash,
        start=time_msg(plan.start_ns),
        dt=duration_msg(plan.dt_ns),
        valid_from=time_msg(plan.valid_from_ns),
        horizon=plan.horizon,
        dim=plan.dim,
        actions=packed(plan.actions, "f"),
        hold=plan.interpolation == "hold",
        aggregation=AGGREGATIONS[plan.aggregation],
        late=plan.late,
        inference_start=time_msg(plan.inference_start_ns),
        inference_end=time_msg(plan.inference_end_ns),
        done_probability=math.nan,
        model_id=plan.model_id,
    )


def plan_from(message: ActionChunk) -> Plan:
    """Message -> plan.

    Raises:
        ChunkError: The actions do not have the shape that is declared, or another field is out of
            its range.
    """
    actions = np.asarray(message.actions, dtype=np.float64)
    if actions.size != message.horizon * message.dim or actions.size == 0:
        raise ChunkError(
            f"chunk {message.seq} declares {message.horizon} rows of {message.dim} and carries "
            f"{actions.size} numbers; expected {message.horizon * message.dim}, at least 1"
        )
    if message.aggregation not in _WORD:
        raise ChunkError(
            f"chunk {message.seq} has aggregation {message.aggregation}; expected one of "
            + ", ".join(f"{value} ({word})" for value, word in _WORD.items())
        )
    try:
        return Plan(
            run_id=run_id_from(message.run_id),
            epoch=message.epoch,
            seq=message.seq,
            spec_hash=message.spec_hash,
            t_obs_ns=ns_from(message.header.stamp),
            start_ns=ns_from(message.start),
            dt_ns=ns_from(message.dt),
            valid_from_ns=ns_from(message.valid_from),
            actions=actions.reshape(message.horizon, message.dim),
            interpolation="hold" if message.hold else "linear",
            aggregation=_WORD[message.aggregation],
            late=message.late,
            inference_start_ns=ns_from(message.inference_start),
            inference_end_ns=ns_from(message.inference_end),
            model_id=message.model_id,
        )
    except ValueError as error:
        raise ChunkError(f"chunk {message.seq}: {error}") from error
