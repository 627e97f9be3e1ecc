"""`vla eval`: success over fresh scenes, through the whole graph or in one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from vla_ros.cli.eval_report import Report, paired, paired_words, read_results
from vla_ros.cli.trials import listening_trials, single_trials
from vla_ros.errors import VlaError

EXECUTE_S = 0.1
INFERENCE_S = 0.06
TASKS = ("single", "listen", "long")
WORDINGS = ("canonical", "train", "held-out")


class EvaluationError(VlaError):
    """An evaluation that cannot be done."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What to evaluate; see the options of `vla eval`.

    Raises:
        EvaluationError: The options do not go together; nothing has been started then.
    """

    episodes: int
    seed: int
    policy: str
    task: str
    realtime: bool
    direct: bool
    wordings: str

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("--task", self.task, TASKS),
            ("--wordings", self.wordings, WORDINGS),
        ):
            if value not in choices:
                raise EvaluationError(f"{name} '{value}': expected {', '.join(choices)}")
        if self.policy != "expert" and not Path(self.policy).exists():
            raise EvaluationError(
                f"--policy '{self.policy}': there is no such file or folder; expected 'expert', a "
                "checkpoint folder or the file of a policy server"
            )
        if self.direct and self.realtime:
            raise EvaluationError("--direct knows no real time: leave out --direct or --realtime")
        if self.direct and self.task == "long":
            raise EvaluationError("--task long needs the task planner: leave out --direct")
        if self.wordings != "canonical" and not self.direct:
            raise EvaluationError(
                f"--wordings {self.wordings} needs --direct: the planner of the graph turns every "
                "wording into the canonical one, so the policy would never see it"
            )
        if self.wordings != "canonical" and self.policy == "expert":
            raise EvaluationError("the expert reads canonical wordings only: give a --policy")

    @property
    def pace(self) -> str:
        """How the nodes run, in words."""
        return "in one process" if self.direct else "real time" if self.realtime else "lockstep"

    @property
    def trials(self) -> int:
        """How many results there will be."""
        return self.episodes * (2 if self.task == "listen" else 1)

    def results(self) -> Iterator[dict[str, Any]]:
        """Do it, trial after trial."""
        seeds = range(self.seed, self.seed + self.episodes)
        times = {"execute_s": EXECUTE_S, "inference_s": INFERENCE_S}
        if self.task == "long":
            from vla_ros.cli.eval_graph import run_long

            return run_long(seeds, self.policy, realtime=self.realtime, **times)
        make = single_trials if self.task == "single" else listening_trials
        trials = make(seeds, self.wordings)
        if self.direct:
            from vla_ros.cli.eval_direct import run_direct

            return run_direct(trials, self.policy, **times)
        from vla_ros.cli.eval_graph import run_graph

        return run_graph(trials, self.policy, realtime=self.realtime, **times)


def evaluate(evaluation: Evaluation, json_file: Path | None, against: Path | None) -> int:
    """Do the evaluation, report it, compare it with an earlier report."""
    console = Console()
    earlier = read_results(against) if against is not None else None
    about = {
        "planned": evaluation.trials,
        "policy": evaluation.policy,
        "task": evaluation.task,
        "pace": evaluation.pace,
        "wordings": evaluation.wordings,
    }
    report = Report(about, json_file)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=evaluation.trials)
        for result in evaluation.results():
            report.add(result)
            good = sum(r["success"] for r in report.results)
            progress.update(bar, advance=1, description=f"{good} succeeded")
    console.print(
        f"{evaluation.policy}, task {evaluation.task}, {evaluation.pace}, "
        f"{evaluation.wordings} wordings:",
        highlight=False,
    )
    for line in report.lines():
        console.print(line, highlight=False)
    if earlier is not None:
        console.print(paired_words(paired(report.results, earlier)), highlight=False)
    return 0
