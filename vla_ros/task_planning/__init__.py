"""From an instruction to subtasks in the policy's words, and whether they succeeded."""

from vla_ros.task_planning.machine import Subtask
from vla_ros.task_planning.planner import VocabularyPlanner
from vla_ros.task_planning.protocol import (
    Planner,
    Refused,
    SuccessChecker,
    SuccessVerdict,
    TaskPlan,
)
from vla_ros.task_planning.vocabulary import (
    Target,
    TaskFileError,
    Vocabulary,
    load_vocabulary,
)

__all__ = [
    "Planner",
    "Refused",
    "Subtask",
    "SuccessChecker",
    "SuccessVerdict",
    "Target",
    "TaskFileError",
    "TaskPlan",
    "Vocabulary",
    "VocabularyPlanner",
    "load_vocabulary",
]
