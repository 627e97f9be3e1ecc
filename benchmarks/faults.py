"""Faults provoked one by one in the whole graph, in motion: how soon the robot rests, and how far.

Runs `demo.launch.yaml` with the scripted expert, every node in its own process. A fault comes at a
random instant of fast motion. Times are ROS time, from the fault to the rest of the measured
joints; the reason is what `bridge_status` publishes, also when the node is there again. After each
fault its node is started again or continued: nothing may move until `resume`, and the next goal
must move the arm again.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.fault_graph import fault_graph
from benchmarks.fault_list import FAULTS, QUICK, Fault
from benchmarks.fault_trial import Trial, trial
from benchmarks.harness import Goal, arguments, at_most, finish

MOVES_AFTER = 0.02


def row_of(fault: Fault, trials: list[Trial]) -> dict[str, Any]:
    """The worst of several trials, and the words."""
    names = ("speed", "standstill", "joint", "hand", "moves_after")
    worst = {name: max(getattr(t.way, name) for t in trials) for name in names}
    if fault.within_s is None:
        worst |= dict.fromkeys(("standstill", "joint", "hand"), float("nan"))
    return {
        "fault": fault.name,
        "n": len(trials),
        "speed [rad/s]": worst["speed"],
        "standstill [s]": worst["standstill"],
        "joint [rad]": worst["joint"],
        "hand [mm]": worst["hand"],
        "moves after [rad]": worst["moves_after"],
        "reason": "; ".join(sorted({_reason(fault, t) for t in trials})),
    }


def _reason(fault: Fault, trial: Trial) -> str:
    if trial.reason:
        return trial.reason
    if fault.lasts == "run":
        return f"none: the run ends after {trial.lasted_s:.0f} s"
    return f"goal: {trial.goal or 'nothing'}"


def goals_of(fault: Fault, row: dict[str, Any]) -> list[Goal]:
    """What a row must keep; nothing where the robot has no reason to stop."""
    if fault.within_s is None:
        return []
    return [
        at_most(f"{fault.name}: standstill [s]", fault.within_s, row["standstill [s]"]),
        at_most(
            f"{fault.name}: motion after healing, before `resume` [rad]",
            MOVES_AFTER,
            row["moves after [rad]"],
        ),
    ]


def main() -> int:
    """Provoke everything."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="faults whose name holds this text")
    parser.add_argument("--trials", type=int, default=3, help="of each fault, the worst is shown")
    options = parser.parse_args()
    rows, goals = [], []
    with fault_graph(seed=1) as graph:
        for fault in FAULTS:
            if options.only not in fault.name or (options.quick and fault.name not in QUICK):
                continue
            trials = []
            for number in range(1 if options.quick else options.trials):
                trials.append(trial(graph, fault, number))
                print(f"{fault.name}: {trials[-1]}", file=sys.stderr, flush=True)
            rows.append(row_of(fault, trials))
            goals += goals_of(fault, rows[-1])
    return finish("Faults in motion (real time)", rows, goals, options.json)


if __name__ == "__main__":
    sys.exit(main())
