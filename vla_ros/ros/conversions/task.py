"""What the task machine says -> fields of vla_ros_msgs/ExecuteTask."""

from __future__ import annotations

from collections.abc import Sequence

from vla_ros_msgs.action import ExecuteTask
from vla_ros_msgs.msg import SubtaskResult

from vla_ros.ros.actions import OUTCOME_NUMBERS
from vla_ros.ros.conversions.times import duration_msg
from vla_ros.task_planning.machine import Finish, Phase, Progress

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
