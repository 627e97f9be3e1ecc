"""What the task machine says -> fields of vla_ros_msgs/ExecuteTask."""

from __future__ import annotations

from collections.abc import Sequence

from vla_ros_msgs.action import ExecuteTask, RunPolicy
from vla_ros_msgs.msg import Episode, SubtaskResult

from vla_ros.ros.actions import OUTCOME_NUMBERS
from vla_ros.ros.conversions.plan import uuid_msg
from vla_ros.ros.conversions.times import duration_msg, header
from vla_ros.task_planning.machine import Finish, Phase, Progress, SendRun, TaskOutcome

_PHASES: dict[Phase, int] = {
    "PLANNING": ExecuteTask.Feedback.PLANNING,
    "CONFIRMING": ExecuteTask.Feedback.CONFIRMING,
    "EXECUTING": ExecuteTask.Feedback.EXECUTING,
    "REPLANNING": ExecuteTask.Feedback.REPLANNING,
    "STOPPING": ExecuteTask.Feedback.STOPPING,
}


def task_feedback(progress: Progress, plan: Sequence[str]) -> ExecuteTask.Feedback:
    """Progress of a task and the texts of its subtasks -> message."""
    return ExecuteTask.Feedback(
        phase=_PHASES[progress.phase],
        plan=list(plan),
        index=progress.index,
        progress=progress.share,
        elapsed=duration_msg(progress.elapsed_ns),
        note=progress.note,
    )


def task_result(finish: Finish, judge: str) -> ExecuteTask.Result:
    """Outcome of a task -> message; ``judge`` is named for each subtask that somebody judged."""
    return ExecuteTask.Result(
        outcome=OUTCOME_NUMBERS[finish.outcome],
        message=finish.message,
        subtasks=[
            SubtaskResult(
                text=record.subtask.text,
                prompt=record.subtask.prompt,
                outcome=OUTCOME_NUMBERS[record.outcome],
                judge=judge if record.outcome in ("SUCCEEDED", "FAILED") else "",
                message="" if record.outcome == "SUCCEEDED" else record.message,
                attempts=record.attempts,
                duration=duration_msg(record.duration_ns),
            )
            for record in finish.subtasks
        ],
    )


def run_goal(action: SendRun) -> RunPolicy.Goal:
    """The run that the task needs now -> goal of `run_policy`."""
    return RunPolicy.Goal(
        prompt=action.subtask.prompt,
        time_limit=duration_msg(action.time_limit_ns),
        hold_at_end=True,
        seed=-1,
        continue_motion=action.continue_motion,
    )


def episode_msg(
    goal_id: bytes, goal: ExecuteTask.Goal, outcome: TaskOutcome | None, judge: str, now_ns: int
) -> Episode:
    """An episode began (``outcome`` None) or ended -> message.

    Args:
        goal_id: Of the `execute_task` goal. 16 bytes.
        goal: What was asked for.
        outcome: How it ended.
        judge: Who judged; empty for nobody, and then its success is unknown.
        now_ns: ROS time, in [ns].
    """
    judged = outcome if judge and outcome in ("SUCCEEDED", "FAILED") else "UNKNOWN"
    return Episode(
        header=header(now_ns),
        episode_id=uuid_msg(goal_id),
        goal_id=uuid_msg(goal_id),
        instruction=goal.instruction,
        phase=Episode.STARTED if outcome is None else Episode.ENDED,
        termination=OUTCOME_NUMBERS[outcome or "UNKNOWN"],
        outcome=OUTCOME_NUMBERS[judged or "UNKNOWN"],
        source=judge,
        tags=list(goal.tags),
    )
