"""The faults: how each is provoked and healed, and how soon the robot has to rest."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.fault_graph import AHEAD_NS, AHEAD_S, FaultGraph
from benchmarks.fault_motion import SECOND

DELAY_S = 2.0
BRAKE_S = 0.6
"""From the fastest motion to rest within the limits of sim_arm, and the servos' settling."""
WINDOW_S = 0.25 + BRAKE_S
PLAN_S = 0.8 + 0.2 + BRAKE_S
"""What is left of a plan (16 rows at 50 ms, and what blending adds), then a brake."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        name: In words.
        provoke: Makes it happen.
        heal: Undoes it.
        within_s: Longest time to standstill; None where the robot has no reason to stop.
        lasts: Until the arm rests, or the bridge has no run any more, or the goal ends.
    """

    name: str
    provoke: Callable[[FaultGraph], None]
    heal: Callable[[FaultGraph], None]
    within_s: float | None
    lasts: Literal["rest", "run", "goal"] = "rest"


def killed(node: str, within_s: float | None) -> Fault:
    """A node that ends without a word."""
    return Fault(
        name=f"{node}: kill -9",
        provoke=lambda graph: graph.signal(node, signal.SIGKILL),
        heal=lambda graph: graph.start_again(node),
        within_s=within_s,
    )


def frozen(node: str, within_s: float | None) -> Fault:
    """A node that stands still, and goes on later."""
    return Fault(
        name=f"{node}: SIGSTOP",
        provoke=lambda graph: graph.signal(node, signal.SIGSTOP),
        heal=lambda graph: graph.signal(node, signal.SIGCONT),
        within_s=within_s,
    )


def lost(share: float, within_s: float | None) -> Fault:
    """Chunks that do not arrive; while some do, the robot should get its work done."""
    return Fault(
        name=f"{100 * share:.0f} % of the chunks lost",
        provoke=lambda graph: setattr(graph, "loss", share),
        heal=lambda graph: setattr(graph, "loss", 0.0),
        within_s=within_s,
        lasts="goal" if within_s is None else "rest",
    )


def nothing(graph: FaultGraph) -> None:
    """Heals by itself."""


FAULTS = (
    Fault(
        name="emergency stop",
        provoke=lambda graph: graph.press(True),
        heal=lambda graph: graph.press(False),
        within_s=BRAKE_S,
    ),
    Fault(name="cancel", provoke=FaultGraph.cancel, heal=nothing, within_s=BRAKE_S),
    killed("control_bridge", WINDOW_S),
    killed("policy", PLAN_S),
    lost(0.5, None),
    killed("observation_sync", PLAN_S),
    replace(killed("task_planner", None), lasts="run"),
    frozen("control_bridge", WINDOW_S),
    frozen("policy", PLAN_S),
    frozen("observation_sync", PLAN_S),
    frozen("task_planner", None),
    frozen("sim_robot", PLAN_S),
    lost(1.0, PLAN_S),
    Fault(
        name=f"every chunk {DELAY_S:g} s late",
        provoke=lambda graph: setattr(graph, "hold_s", DELAY_S),
        heal=lambda graph: setattr(graph, "hold_s", 0.0),
        within_s=PLAN_S,
    ),
    Fault(
        name=f"a second clock, {AHEAD_NS // SECOND} s ahead, for {AHEAD_S:g} s",
        provoke=FaultGraph.second_clock,
        heal=nothing,
        within_s=WINDOW_S,
    ),
    Fault(
        name="Ctrl-C of every node but sim_robot",
        provoke=FaultGraph.interrupt,
        heal=FaultGraph.start_all_again,
        within_s=WINDOW_S,
    ),
    killed("sim_robot", None),
)
QUICK = ("emergency stop", "cancel", "control_bridge: kill -9", "policy: kill -9")
