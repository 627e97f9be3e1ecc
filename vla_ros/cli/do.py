"""`vla do`: a goal in words, its feedback, its result."""

from __future__ import annotations

from typing import Any

from rich.console import Console

# By the constants of ExecuteTask.action and Outcome.msg.
PHASES = (
    "",
    "planning",
    "confirming",
    "moving to start",
    "executing",
    "checking",
    "replanning",
    "stopping",
)
OUTCOMES = ("UNKNOWN", "SUCCEEDED", "FAILED", "REFUSED", "TIMED OUT", "STOPPED", "CANCELED")
SUCCEEDED, REFUSED, STOPPED = map(OUTCOMES.index, ("SUCCEEDED", "REFUSED", "STOPPED"))


class FeedbackPrinter:
    """Prints a line whenever phase, subtask or note changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[Any, ...] = ()

    def __call__(self, feedback: Any) -> None:
        """Print what changed."""
        subtask = feedback.plan[feedback.index] if feedback.index < len(feedback.plan) else ""
        note = "" if feedback.note == subtask else feedback.note
        key = (feedback.phase, feedback.index, subtask, note)
        if key == self._last:
            return
        self._last = key
        elapsed = feedback.elapsed.sec + feedback.elapsed.nanosec * 1e-9
        count = f"{feedback.index + 1}/{len(feedback.plan)}" if feedback.plan else ""
        self._console.print(
            f"  [dim]{elapsed:6.2f} s[/]  {PHASES[feedback.phase]:<15} "
            f"[cyan]{count:>4}[/] {subtask}  [dim]{note}[/]",
            highlight=False,
        )


def print_result(console: Console, result: Any) -> None:
    """The outcome in one line, a line per subtask below it."""
    good = result.outcome == SUCCEEDED
    colour = "green" if good else "yellow" if result.outcome == REFUSED else "red"
    console.print(
        f"  [bold {colour}]{OUTCOMES[result.outcome]}[/]  {result.message}", highlight=False
    )
    for subtask in result.subtasks:
        seconds = subtask.duration.sec + subtask.duration.nanosec * 1e-9
        console.print(
            f"    {subtask.text}: {OUTCOMES[subtask.outcome].lower()} in {seconds:.1f} s, "
            f"judged by {subtask.judge}, attempt {subtask.attempts}",
            highlight=False,
        )


def do(instruction: str, *, time_limit_s: float, wait_s: float) -> int:
    """Give the goal; 0 when it succeeded, 1 otherwise."""
    from vla_ros.ros.task_client import TaskClient

    console = Console()
    with TaskClient() as client:
        client.wait_for_server(wait_s)
        console.print(f'[bold]"{instruction}"[/]')
        result = client.execute(
            instruction, time_limit_s=time_limit_s, on_feedback=FeedbackPrinter(console)
        )
    print_result(console, result)
    return 0 if result.outcome == SUCCEEDED else 1
