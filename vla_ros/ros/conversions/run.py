"""The `run_policy` action and vla_ros_msgs/Run <-> values of `vla_ros.policy`."""

from __future__ import annotations

import math

from vla_ros_msgs.action import RunPolicy
from vla_ros_msgs.msg import BridgeStatus, Commanded, Run

from vla_ros.policy.runner import RunStats
from vla_ros.policy.runs import BridgeView, RunEnded, RunGoal, RunStarted
from vla_ros.ros.actions import OUTCOME_NUMBERS
from vla_ros.ros.conversions.plan import AGGREGATIONS, run_id_from, uuid_msg
from vla_ros.ros.conversions.times import duration_msg, header, ns_from

_UINT16_MAX = 65535


def goal_from(goal_id: bytes, request: RunPolicy.Goal, default_seed: int) -> RunGoal:
    """A goal and its id (16 bytes) -> value; a negative seed stands for none."""
    seed = request.seed if request.seed >= 0 else default_seed
    return RunGoal(
        run_id=goal_id,
        prompt=request.prompt,
        time_limit_ns=ns_from(request.time_limit),
        speed=request.speed or 1.0,
        seed=seed if seed >= 0 else None,
        hold_at_end=request.hold_at_end,
        continue_motion=request.continue_motion,
    )


def bridge_view(message: BridgeStatus) -> BridgeView:
    """What the policy needs to know of the bridge."""
    return BridgeView(
        epoch=message.epoch,
        enabled=message.enabled,
        stopped=message.reset_required,
        stop_text=message.stop_text,
        hindrance=message.hindrance,
        owner=message.owner,
    )


def progress_from(message: Commanded) -> tuple[bytes, int, float, int]:
    """Run id, chunk number, row and due time [ns] of what was commanded."""
    stamp_ns = ns_from(message.header.stamp)
    return run_id_from(message.run_id), message.chunk_seq, message.chunk_row, stamp_ns


def run_msg(event: RunStarted | RunEnded, now_ns: int, model_id: str) -> Run:
    """A run began or ended -> message; a run that never started has no message."""
    message = Run(
        header=header(now_ns),
        run_id=uuid_msg(event.goal.run_id),
        epoch=event.epoch or 0,
        hold_at_end=event.goal.hold_at_end,
        prompt=event.goal.prompt,
        model_id=model_id,
    )
    if isinstance(event, RunStarted):
        message.state, message.continue_motion = Run.STARTED, event.continues
    else:
        message.state, message.outcome = Run.ENDED, OUTCOME_NUMBERS[event.outcome]
    return message


def run_result(end: RunEnded) -> RunPolicy.Result:
    """Outcome of a goal -> message."""
    return RunPolicy.Result(
        outcome=OUTCOME_NUMBERS[end.outcome],
        message=end.message,
        chunks=end.stats.chunks,
        late_chunks=end.stats.late_chunks,
        duration=duration_msg(end.duration_ns),
    )


def run_feedback(stats: RunStats, chunk_seq: int, buffer_left_ns: int) -> RunPolicy.Feedback:
    """How a run goes -> message; progress is unknown."""
    return RunPolicy.Feedback(
        chunk_seq=chunk_seq,
        progress=math.nan,
        observation_age=duration_msg(stats.observation_age_ns),
        inference_time=duration_msg(stats.inference_ns),
        buffer_left=duration_msg(buffer_left_ns),
        delay_steps=min(stats.delay_steps, _UINT16_MAX),
        aggregation=AGGREGATIONS[stats.aggregation],
    )
