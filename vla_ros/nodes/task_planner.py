"""task_planner: an instruction becomes subtasks, each run, judged, retried or given up.

`VocabularyPlanner` and `TaskMachine` decide, this wires.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from std_srvs.srv import Trigger
from vla_ros_msgs.action import ExecuteTask
from vla_ros_msgs.msg import Episode, SimState

from vla_ros.nodes.sim_judge import SimulatorChecker
from vla_ros.nodes.truth import truth_from
from vla_ros.ros.actions import GoalServer
from vla_ros.ros.conversions.task import episode_msg, run_goal, task_feedback, task_result
from vla_ros.ros.conversions.times import ns_from
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.parameters import NodeParameters, parameter
from vla_ros.ros.run_client import RunClient
from vla_ros.ros.spin import run
from vla_ros.task_planning import Refused, VocabularyPlanner, load_vocabulary
from vla_ros.task_planning.machine import (
    CancelRun,
    Finish,
    SendRun,
    TaskLimits,
    TaskMachine,
    TaskOutcome,
)

FEEDBACK_PERIOD_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Parameters(NodeParameters):
    """Parameters of task_planner."""

    tasks: str = parameter("", "task file: the words and subtasks that are known")
    judge: str = parameter(
        "none", "who says whether a subtask succeeded", choices=("simulator", "none")
    )
    attempts: int = parameter(2, "times a subtask is tried", minimum=1, maximum=100)
    attempt_s: float = parameter(15.0, "for one attempt, ROS time", unit="s", minimum=0.1)
    policy_timeout_s: float = parameter(
        5.0, "without a sign of life of the policy, steady time", unit="s", minimum=0.5
    )


class TaskPlanner(VlaNode[Parameters]):
    """Wiring between the two actions, the judge and the machine."""

    def __init__(self) -> None:
        super().__init__("task_planner", Parameters)
        self._task: TaskMachine | None = None
        self._goal_id = bytes(16)
        self._goal = ExecuteTask.Goal()
        self._texts: list[str] = []

    def configure(self) -> None:
        """Read the task file; goals are answered from here on."""
        p = self.parameters
        self._planner = VocabularyPlanner(load_vocabulary(Path(p.tasks)))
        self._limits = TaskLimits(
            attempts=p.attempts,
            attempt_ns=round(p.attempt_s * 1e9),
            policy_silence_ns=round(p.policy_timeout_s * 1e9),
        )
        self._checker = SimulatorChecker() if p.judge == "simulator" else None
        self._judge = self._checker.source if self._checker is not None else ""
        self._diagnostics = Diagnostics(self)
        self._diagnostics.set("ok", "idle")
        self._episodes = self.publisher(Episode, "episode", "latched")
        self._goals = GoalServer(self, ExecuteTask, "execute_task", self._on_goal, self._on_cancel)
        self.on_release(self._goals.destroy)
        self._runs = RunClient(self, self._on_alive, self._on_run_end)
        self.on_release(self._runs.destroy)
        self.service(Trigger, "~/confirm", self._on_confirm)
        self.every_steady(FEEDBACK_PERIOD_S, self._beat)

    def activate(self) -> None:
        """Listen to the judge's evidence."""
        if self._checker is not None:
            self.subscription(SimState, "sim_robot/truth", self._on_truth, "truth")

    def deactivate(self) -> None:
        """Give up the task in hand."""
        self._end(Finish(outcome="STOPPED", message=self.why_inactive, subtasks=()))

    def _on_goal(self, goal_id: bytes, goal: ExecuteTask.Goal) -> None:
        if self._task is not None:
            self._refuse(goal_id, f'busy with "{self._goal.instruction}"; cancel that task first')
            return
        subtasks = list(goal.subtasks)
        plan = self._planner.check(subtasks) if subtasks else self._planner.plan(goal.instruction)
        if isinstance(plan, Refused):
            self._refuse(goal_id, plan.message)
            return
        self._goal_id, self._goal = goal_id, goal
        self._texts = [subtask.text for subtask in plan.subtasks]
        self._task = TaskMachine(
            plan.subtasks,
            judged=self._checker is not None,
            limits=self._limits,
            time_limit_ns=ns_from(goal.time_limit),
            confirm=goal.confirm,
            now_ns=self.clock.now_ns(),
            steady_ns=self.clock.steady_ns(),
        )
        self._diagnostics.set("ok", f'executing "{goal.instruction}"')
        self._publish_episode(None)
        self._flush()

    def _on_cancel(self, goal_id: bytes) -> None:
        if self._task is not None and goal_id == self._goal_id:
            self._task.cancel(self.clock.now_ns())
            self._flush()

    def _on_confirm(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._task is not None
        if self._task is not None:
            self._task.confirm(self.clock.now_ns(), self.clock.steady_ns())
            self._flush()
        return response

    def _on_alive(self) -> None:
        if self._task is not None:
            self._task.alive(self.clock.steady_ns())

    def _on_run_end(self, number: int, outcome: TaskOutcome, message: str) -> None:
        if self._task is not None:
            now_ns, steady_ns = self.clock.now_ns(), self.clock.steady_ns()
            self._task.run_ended(number, outcome, message, now_ns, steady_ns)
            self._flush()

    def _on_truth(self, message: SimState) -> None:
        assert self._checker is not None  # subscribed for it only
        self._checker.push(truth_from(message))
        if self._task is None or self._task.current is None:
            return
        now_ns, steady_ns = self.clock.now_ns(), self.clock.steady_ns()
        verdict = self._checker.verdict(now_ns)
        self._task.judged(verdict.outcome, verdict.reason, now_ns, steady_ns)
        self._flush()

    def _beat(self) -> None:
        """What must go on when ROS time stands still: patience and feedback."""
        self._runs.poll()
        if self._task is None:
            return
        now_ns = self.clock.now_ns()
        self._task.tick(now_ns, self.clock.steady_ns())
        self._goals.feedback(self._goal_id, task_feedback(self._task.progress(now_ns), self._texts))
        self._flush()

    def _flush(self) -> None:
        """Do what the machine decided."""
        for action in self._task.actions() if self._task is not None else ():
            if isinstance(action, SendRun):
                self._start_run(action)
            elif isinstance(action, CancelRun):
                self._runs.cancel(action.number)
            else:
                self._end(action)

    def _start_run(self, action: SendRun) -> None:
        if self._checker is not None:
            self._checker.begin(action.subtask.prompt, self.clock.now_ns())
        self._runs.send(action.number, run_goal(action))

    def _end(self, finish: Finish) -> None:
        if self._task is None:
            return
        self._task = None
        self._runs.forget()
        self._publish_episode(finish.outcome)
        self._goals.end(self._goal_id, task_result(finish, self._judge))
        self._diagnostics.set("ok", f"idle; the last task ended {finish.outcome} {finish.message}")

    def _publish_episode(self, outcome: TaskOutcome | None) -> None:
        now_ns = self.clock.now_ns()
        message = episode_msg(self._goal_id, self._goal, outcome, self._judge, now_ns)
        self._episodes.publish(message)

    def _refuse(self, goal_id: bytes, text: str) -> None:
        finish = Finish(outcome="REFUSED", message=text, subtasks=())
        self._goals.end(goal_id, task_result(finish, ""))


def main() -> int:
    """Entry point."""
    return run(TaskPlanner)


if __name__ == "__main__":
    raise SystemExit(main())
