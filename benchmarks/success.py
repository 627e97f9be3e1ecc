"""Success of the demo policy: through the graph, direct, told two things, in new words, long tasks.

Every row is one `vla eval` with the same scenes; its report stays in `--reports`. With 200 scenes
all rows together take about two hours on two cores.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Goal, arguments, at_least, at_most, finish
from vla_ros.cli.eval import Evaluation, evaluate
from vla_ros.cli.eval_report import paired

SEED = 1_000_000  # scenes below this one belong to training and development
FULL = 200


@dataclass(frozen=True)
class Case:
    """One row: an evaluation and the share of the scenes that it takes."""

    name: str
    evaluation: Evaluation
    share: float = 1.0


def cases(policy: str) -> list[Case]:
    """All rows of the table for one checkpoint."""
    graph = Evaluation(
        episodes=FULL,
        seed=SEED,
        policy=policy,
        task="single",
        realtime=False,
        direct=False,
        wordings="canonical",
    )
    direct = replace(graph, direct=True)
    return [
        Case("graph", graph),
        Case("direct", direct),
        Case("expert", replace(graph, policy="expert")),
        Case("listen", replace(direct, task="listen"), 0.3),
        Case("new_words", replace(direct, wordings="held-out"), 0.5),
        Case("long", replace(graph, task="long"), 0.1),
        Case("real_time", replace(graph, realtime=True), 0.05),
    ]


def goals_of(reports: dict[str, dict[str, Any]]) -> list[Goal]:
    """The bars that hold for the rows that were run."""
    goals = []
    if "graph" in reports:
        found = reports["graph"]
        enough = found["episodes"] >= FULL  # fewer scenes cannot show the lower end
        name, figure = (
            ("lower end of the 95 % interval", found["interval"][0])
            if enough
            else (f"rate of {found['episodes']} scenes", rate(found))
        )
        goals.append(at_least(f"graph, {name}", 0.9, figure))
    if "graph" in reports and "direct" in reports:
        difference = paired(reports["graph"]["results"], reports["direct"]["results"])["difference"]
        goals.append(at_most("graph against direct [points]", 3.0, 100 * abs(difference)))
    if "expert" in reports:
        goals.append(at_least("expert, rate", 0.98, rate(reports["expert"])))
    if "listen" in reports:
        obeyed = min(map(rate, reports["listen"]["obeyed"].values()))
        other = rate(reports["listen"]["did_the_other_task"])
        goals += [
            at_least("obeys each of two instructions, rate", 0.85, obeyed),
            at_most("does the task it was not told, rate", 0.05, other),
        ]
    if "new_words" in reports:
        goals.append(at_least("held-out wordings, rate", 0.8, rate(reports["new_words"])))
    return goals


def rate(found: dict[str, Any]) -> float:
    """Successes per episode."""
    return float(found["successes"] / found["episodes"])


def main() -> int:
    """Run the rows that were asked for."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--policy", default=str(ROOT / "checkpoints" / "nano"))
    parser.add_argument("--only", nargs="+", metavar="ROW", help="just these rows")
    parser.add_argument("--reports", type=Path, default=Path("out/success"))
    options = parser.parse_args()
    wanted = options.only or (["graph", "direct"] if options.quick else None)
    reports: dict[str, dict[str, Any]] = {}
    rows = []
    for case in cases(options.policy):
        if wanted is not None and case.name not in wanted:
            continue
        episodes = 2 if options.quick else round(FULL * case.share)
        path = options.reports / f"{case.name}.json"
        evaluate(replace(case.evaluation, episodes=episodes), path, None)
        found = reports[case.name] = json.loads(path.read_text())
        rows.append(
            {
                "row": case.name,
                "trials": found["episodes"],
                "successes": found["successes"],
                "95 % from": found["interval"][0],
                "to": found["interval"][1],
                "real-time factor": found["real_time_factor"],
            }
        )
    return finish("success", rows, goals_of(reports), options.json)


if __name__ == "__main__":
    sys.exit(main())
