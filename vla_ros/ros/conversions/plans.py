"""Plan <-> ActionChunk."""

from __future__ import annotations

import array

import numpy as np
from vla_ros_msgs.msg import ActionChunk

from vla_ros.chunks import Aggregation, Plan
from vla_ros.errors import VlaError
from vla_ros.ros.conversions.times import duration_msg, header, ns_from, time_msg
from vla_ros.ros.conversions.uuids import uuid_bytes, uuid_msg

_AGGREGATION: dict[Aggregation, int] = {"sync": ActionChunk.SYNC, "blend": ActionChunk.BLEND}
_AGGREGATION_WORD = {number: word for word, number in _AGGREGATION.items()}


class ChunkError(VlaError):
    """An ActionChunk that is no plan."""


def chunk_msg(plan: Plan, frame_id: str) -> ActionChunk:
    """The message of a plan; actions become float32."""
    return ActionChunk(
        header=header(plan.t_obs_ns, frame_id),
        run_id=uuid_msg(plan.run_id),
        epoch=plan.epoch,
        seq=plan.seq,
        spec_hash=plan.spec_hash,
        start=time_msg(plan.start_ns),
        dt=duration_msg(plan.dt_ns),
        valid_from=time_msg(plan.valid_from_ns),
        horizon=plan.horizon,
        dim=plan.dim,
        actions=array.array("f", plan.actions.astype(np.float32).tobytes()),
        hold=plan.interpolation == "hold",
        aggregation=_AGGREGATION[plan.aggregation],
        late=plan.late,
        inference_start=time_msg(plan.inference_start_ns),
        inference_end=time_msg(plan.inference_end_ns),
        done_probability=float("nan"),
        model_id=plan.model_id,
    )


def plan_from(message: ActionChunk) -> Plan:
    """The plan of a message. Values are not judged; a NaN passes, for the fence to refuse.

    Raises:
        ChunkError: Its shape or times make no plan.
    """
    expected = message.horizon * message.dim
    if len(message.actions) != expected or not expected:
        raise ChunkError(
            f"chunk {message.seq} has {len(message.actions)} values, expected horizon x dim = "
            f"{message.horizon} x {message.dim} (at least 1 x 1); mend the node that publishes it"
        )
    dt_ns = ns_from(message.dt)
    if dt_ns <= 0:
        raise ChunkError(f"chunk {message.seq} has dt {dt_ns} ns, expected more than 0")
    values = np.asarray(message.actions, dtype=np.float64)
    return Plan(
        run_id=uuid_bytes(message.run_id),
        epoch=message.epoch,
        seq=message.seq,
        spec_hash=message.spec_hash,
        t_obs_ns=ns_from(message.header.stamp),
        start_ns=ns_from(message.start),
        dt_ns=dt_ns,
        valid_from_ns=ns_from(message.valid_from),
        actions=values.reshape(message.horizon, message.dim),
        interpolation="hold" if message.hold else "linear",
        aggregation=_AGGREGATION_WORD.get(message.aggregation, "blend"),
        late=message.late,
        inference_start_ns=ns_from(message.inference_start),
        inference_end_ns=ns_from(message.inference_end),
        model_id=message.model_id,
    )
