"""What a planner and a success checker are, whichever stands behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from vla_ros.task_planning.machine import Subtask


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """An instruction as subtasks in the policy's words.

    Attributes:
        instruction: What was asked for.
        subtasks: At least one, in order.
    """

    instruction: str
    subtasks: tuple[Subtask, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An instruction that is not carried out.

    Attributes:
        message: What, expected, got, what to say instead.
        nearest: Known words nearest to an unknown one; empty where that was not the reason.
    """

    message: str
    nearest: tuple[str, ...] = ()


class Planner(Protocol):
    """Splits an instruction into subtasks."""

    def plan(self, instruction: str) -> TaskPlan | Refused:
        """Split an instruction, or refuse it in words."""
        ...

    def check(self, subtasks: Sequence[str]) -> TaskPlan | Refused:
        """Validate an operator's own plan the same way: one subtask from each sentence."""
        ...


@dataclass(frozen=True, kw_only=True)
class SuccessVerdict:
    """What a checker says of a subtask.

    Attributes:
        outcome: ``FAILED`` is final for the attempt; ``UNKNOWN`` where it cannot tell.
        reason: In words.
    """

    outcome: Literal["RUNNING", "SUCCEEDED", "FAILED", "UNKNOWN"]
    reason: str


class SuccessChecker(Protocol):
    """Says whether a subtask is done."""

    @property
    def source(self) -> str:
        """Who judges, for the result: ``simulator``, ``vlm``, ``operator`` or ``policy``."""
        ...

    def begin(self, prompt: str, now_ns: int) -> None:
        """A subtask begins; remember the state to compare with."""
        ...

    def verdict(self, now_ns: int) -> SuccessVerdict:
        """Judge the current subtask."""
        ...
