"""Trials through the whole graph: the nodes in processes of their own, over DDS."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vla_ros_msgs.msg import SimState

from vla_ros.cli.do import SUCCEEDED
from vla_ros.cli.graph_process import demo_graph
from vla_ros.cli.nodes import DEMO_NODES
from vla_ros.cli.trials import LONG_TASK, Listening, Trial, binned
from vla_ros.nodes.truth import truth_from
from vla_ros.ros import qos
from vla_ros.ros.task_client import TaskClient
from vla_ros.sim.judge import TIME_LIMIT_NS
from vla_ros.sim.truth import SimTruth

UP_S = 90.0
SERVICE_S = 20.0
RUN_PATIENCE_S = 600.0


def run_graph(
    trials: Iterable[Trial], source: str, *, realtime: bool, execute_s: float, inference_s: float
) -> Iterator[dict[str, Any]]:
    """Results of `Trial.result`, one by one.

    A single instruction goes to the task planner and must succeed at the first attempt. Where two
    instructions are compared, the policy is told itself and this process judges by the simulator's
    truth: the planner would end a run that begins with the wrong cube before it is done.

    Args:
        trials: What to do.
        source: ``expert``, a checkpoint folder or the file of a policy server.
        realtime: Real time, or lockstep.
        execute_s: From one inference to the next, in [s].
        inference_s: Declared duration of an inference, in [s].
    """
    with _graph(source, realtime, execute_s, inference_s) as graph:
        for trial in trials:
            graph.lay_out(trial.episode.seed)
            yield graph.counted(
                graph.single(trial) if trial.other is None else graph.listening(trial)
            )


def run_long(
    seeds: range, source: str, *, realtime: bool, execute_s: float, inference_s: float
) -> Iterator[dict[str, Any]]:
    """`LONG_TASK` in the scene of each seed; a subtask may be tried twice, as in the demo."""
    with _graph(source, realtime, execute_s, inference_s) as graph:
        for seed in seeds:
            graph.lay_out(seed)
            yield graph.counted(graph.long(seed))


class _Graph:
    """A running graph with its client, and what the simulator says really is."""

    def __init__(self, client: TaskClient) -> None:
        self._client = client
        self._truth: SimTruth | None = None
        self._listening: Listening | None = None
        client.node.create_subscription(
            SimState, "sim_robot/truth", self._on_truth, qos.profile("truth")
        )

    def lay_out(self, seed: int) -> None:
        """The arm at home, a new scene."""
        self._client.resume(SERVICE_S)
        self._client.go_to("home", SERVICE_S)
        self._client.reset_scene(seed, SERVICE_S)

    def counted(self, result: dict[str, Any]) -> dict[str, Any]:
        """The result, if it is the policy's: a failure because a node died is none.

        Raises:
            GraphNotUpError: A node is gone.
        """
        if not result["success"]:
            self._client.wait_for_signs_of_life(DEMO_NODES, SERVICE_S)
        return result

    def single(self, trial: Trial) -> dict[str, Any]:
        """One instruction, judged as the planner does."""
        pace = _Pace(self._client)
        limit_s = TIME_LIMIT_NS * 1e-9
        result = self._client.execute(trial.episode.prompt, time_limit_s=limit_s)
        first_try = all(subtask.attempts == 1 for subtask in result.subtasks)
        return trial.result(
            success=result.outcome == SUCCEEDED and first_try,
            reason=result.message,
            duration_s=_duration_s(result),
            real_time_factor=pace.factor(),
        )

    def listening(self, trial: Trial) -> dict[str, Any]:
        """One of two instructions."""
        pace = _Pace(self._client)
        handle = self._client.start_run(trial.episode.prompt, seed=trial.episode.policy_seed)
        ended = handle.get_result_async()
        seen = self._listening = Listening(trial)
        self._client.spin_until(
            lambda: seen.over or ended.done() or not self._client.runs_offered, RUN_PATIENCE_S
        )
        self._listening = None
        factor = pace.factor()
        message = ended.result().result.message if not seen.over and ended.done() else ""
        self._client.end_run(handle, ended, SERVICE_S)
        return trial.result(
            success=seen.obeyed,
            reason=message or seen.reason,
            duration_s=seen.duration_s,
            real_time_factor=factor,
            other_done=seen.other_done,
        )

    def long(self, seed: int) -> dict[str, Any]:
        """The long task."""
        pace = _Pace(self._client)
        result = self._client.execute(LONG_TASK)
        return {
            "seed": seed,
            "task": LONG_TASK,
            "prompt": LONG_TASK,
            "success": result.outcome == SUCCEEDED,
            "reason": result.message,
            "duration_s": _duration_s(result),
            "real_time_factor": pace.factor(),
            "binned": binned(self._truth) if self._truth is not None else 0,
            "attempts": [subtask.attempts for subtask in result.subtasks],
        }

    def _on_truth(self, message: SimState) -> None:
        self._truth = truth_from(message)
        if self._listening is not None:
            self._listening.push(self._truth)


class _Pace:
    """Simulated time beside real time, from its making on."""

    def __init__(self, client: TaskClient) -> None:
        self._client = client
        self._start = client.now_ns, time.monotonic_ns()

    def factor(self) -> float:
        """Simulated per real second."""
        simulated, real = self._start
        return (self._client.now_ns - simulated) / (time.monotonic_ns() - real)


@contextmanager
def _graph(source: str, realtime: bool, execute_s: float, inference_s: float) -> Iterator[_Graph]:
    log = Path(tempfile.gettempdir()) / f"vla_eval_{os.getpid()}.log"
    arguments = {
        "policy": source if source == "expert" else Path(source).resolve(),
        "lockstep": "false" if realtime else "true",
        "execute_s": execute_s,
        "inference_latency_s": inference_s,
    }
    with demo_graph(log, **arguments), TaskClient(use_sim_time=True) as client:
        client.wait_for_server(UP_S)
        client.wait_for_policy(UP_S)
        client.wait_for_robot(UP_S)
        yield _Graph(client)


def _duration_s(result: Any) -> float:
    return float(sum(s.duration.sec + s.duration.nanosec * 1e-9 for s in result.subtasks))
