"""One trial: a goal, a fault at a random instant of fast motion, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vla_ros_msgs.msg import BridgeStatus

from benchmarks.fault_graph import ATTEMPTS, FaultGraph
from benchmarks.fault_list import Fault
from benchmarks.fault_motion import SECOND, Way
from vla_ros.ros.task_client import GraphNotUpError

PROMPTS = (
    "put the red cube in the blue bin",
    "put the green cube in the yellow bin",
    "put the blue cube in the blue bin",
)
REASONS = {
    getattr(BridgeStatus, name): name
    for name in dir(type(BridgeStatus))
    if name.isupper() and name[0] != "_"
}
LASTS_NS = 2_500_000_000
PATIENCE_S = {"rest": 8.0, "run": 60.0, "goal": 90.0}
RESUMES = 10


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of a fault.

    Attributes:
        way: How the robot came to rest.
        reason: What the bridge published, by name; empty where it had none.
        text: The same in its words.
        lasted_s: How long the fault lasted, in [s] of ROS time.
        goal: How the goal ended, in words; empty where it had not.
    """

    way: Way
    reason: str
    text: str
    lasted_s: float
    goal: str


def trial(graph: FaultGraph, fault: Fault, number: int) -> Trial:
    """Provoke the fault in motion.

    Raises:
        GraphNotUpError: The arm could not be brought to move.
    """
    _begin(graph, number)
    spin, motion = graph.client.spin_until, graph.motion
    since, said, at_ns = motion.last, len(graph.status), motion.now_ns
    fault.provoke(graph)

    def rests() -> bool:
        return motion.rest(since) is not None

    over: dict[str, Callable[[], bool]] = {
        "rest": lambda: motion.now_ns > at_ns + LASTS_NS and rests(),
        "run": lambda: graph.status[-1].owner == "",
        "goal": lambda: graph.ended() != "",
    }
    spin(over[fault.lasts], PATIENCE_S[fault.lasts])
    healed, lasted_s = motion.last, (motion.now_ns - at_ns) / SECOND
    fault.heal(graph)
    spin(lambda: motion.now_ns < at_ns or rests(), PATIENCE_S["rest"])
    rest = motion.rest(since)
    spin(lambda: any(s.stop_reason for s in graph.status[said:]), 2.0)
    spin(lambda: bool(graph.ended()), 2.0)
    stop = next((s for s in graph.status[said:] if s.stop_reason), None)
    return Trial(
        way=motion.way(since, rest, healed),
        reason="" if stop is None else REASONS[stop.stop_reason],
        text="" if stop is None else stop.stop_text,
        lasted_s=lasted_s,
        goal=graph.ended(),
    )


def _begin(graph: FaultGraph, number: int) -> None:
    """Lay out a scene, give a goal, wait for a random instant of fast motion."""
    problems = []
    for _ in range(ATTEMPTS):
        try:
            _free(graph)
            graph.client.go_to("home", 30.0)
            graph.client.reset_scene(number, 20.0)
        except GraphNotUpError as error:  # stopped again: a busy computer
            problems.append(str(error))
            continue
        graph.give(PROMPTS[number % len(PROMPTS)])
        if _in_motion_after(graph, int(graph.rng.integers(0, SECOND))):
            return
        problems.append(f"the arm does not move; the goal: {graph.ended() or 'goes on'}")
    raise GraphNotUpError(f"trial {number + 1} did not begin: {'; '.join(problems)}")


def _in_motion_after(graph: FaultGraph, later_ns: int) -> bool:
    spin, motion = graph.client.spin_until, graph.motion
    spin(lambda: motion.fast, 20.0)
    after_ns = motion.now_ns + later_ns
    return spin(lambda: motion.fast and motion.now_ns > after_ns, 20.0)


def _free(graph: FaultGraph) -> None:
    """Lift a stop; a service that has just died is still discovered, so ask again."""
    for attempt in range(RESUMES):
        try:
            graph.client.resume(3.0)
            if graph.client.spin_until(lambda: not graph.status[-1].reset_required, 1.0):
                return
        except GraphNotUpError:
            if attempt == RESUMES - 1:
                raise
