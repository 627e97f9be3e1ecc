"""policy: one prompt at a time becomes plans. `RunDesk` and `PolicyRunner` decide, this wires.

Inference runs in one worker thread. In lockstep a chunk is published at inference start plus the
declared latency: simulated time stands still until it is there.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from vla_ros_msgs.action import RunPolicy
from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Observation, Run, SimState

from vla_ros.chunks import Aggregation
from vla_ros.errors import VlaError
from vla_ros.nodes.expert import TopicExpert
from vla_ros.nodes.truth import truth_from
from vla_ros.policy import Policy
from vla_ros.policy.desk import Patience, RunDesk, RunEnded
from vla_ros.policy.load import load_policy
from vla_ros.policy.runner import Job, PolicyFault, PolicyRunner, RunStats
from vla_ros.robot.check import check_policy
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec import spec_hash
from vla_ros.ros.actions import GoalServer
from vla_ros.ros.conversions.observation import observation_from
from vla_ros.ros.conversions.plan import chunk_msg
from vla_ros.ros.conversions.run import (
    bridge_view,
    goal_from,
    progress_from,
    run_feedback,
    run_msg,
    run_result,
)
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.parameters import NodeParameters, parameter
from vla_ros.ros.spin import run
from vla_ros.spaces.images import ImageError

EXPERT = "expert"
FEEDBACK_PERIOD_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Parameters(NodeParameters):
    """Parameters of policy."""

    robot: str = parameter("", "robot file: a path, or a name in share/vla_ros/config/robots")
    policy: str = parameter("", "'expert', a checkpoint folder, or a policy server's file")
    aggregation: str = parameter(
        "blend", "how a chunk joins the one before", choices=("sync", "blend")
    )
    execute_s: float = parameter(
        0.2, "from one inference to the next (blend), or executed of a chunk (sync)", unit="s",
        minimum=0.02, maximum=10.0,
    )  # fmt: skip
    inference_latency_s: float = parameter(
        0.06, "declared duration of an inference: in lockstep, and always for the expert", unit="s",
        minimum=0.0, maximum=5.0,
    )  # fmt: skip
    noise_rad: float = parameter(0.0, "of the expert's actions", unit="rad", minimum=0.0)
    seed: int = parameter(-1, "of the policy's noise where a goal names none; -1: random")
    threads: int = parameter(1, "CPU threads of the model", minimum=1, maximum=256)
    time_limit_s: float = parameter(60.0, "of a goal that names none", unit="s", minimum=0.1)


class PolicyNode(VlaNode[Parameters]):
    """Wiring between topics, the action, and the two pure halves."""

    def __init__(self) -> None:
        super().__init__("policy", Parameters)
        self._policy: Policy | None = None
        self._runner: PolicyRunner | None = None
        self._work: tuple[Job, Future[Any]] | None = None
        self._problem = ""

    # Loading.

    def configure(self) -> None:
        """Load and warm up in the thread; the action server answers from here on."""
        p = self.parameters
        self._robot = load_robot(p.robot)
        self._hash = spec_hash(self._robot)
        self._latency_ns = round(p.inference_latency_s * 1e9)
        self._aggregation: Aggregation = "sync" if p.aggregation == "sync" else "blend"
        self._declared = p.lockstep or p.policy == EXPERT
        self._desk = RunDesk(Patience(run_ns=round(p.time_limit_s * 1e9)))
        self._runs = self.publisher(Run, "run", "latched", counted=True)
        self._chunks = self.publisher(ActionChunk, "action_chunk", "chunk", counted=True)
        self._diagnostics = Diagnostics(self)
        self._diagnostics.set("warn", f"loading {p.policy}")
        self._goals = GoalServer(self, RunPolicy, "run_policy", self._on_goal, self._on_cancel)
        self.on_release(self._goals.destroy)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self.on_release(lambda: self._thread.shutdown(cancel_futures=True))
        wake = self.create_guard_condition(self._step)
        self.on_release(lambda: self.destroy_guard_condition(wake))
        self._wake = wake.trigger
        self._loading = self._thread.submit(self._load)
        self.every_steady(FEEDBACK_PERIOD_S, self._beat)

    def loaded(self) -> bool:
        """Whether it may activate; where it cannot be loaded, goals are refused with the reason."""
        if self._runner is not None or self._problem or not self._loading.done():
            return self._runner is not None
        try:
            self._policy = self._loading.result()
            self._runner = self._make_runner(self._policy)
        except VlaError as error:
            self._problem = f"the policy '{self.parameters.policy}' cannot be used: {error}"
            self._desk.not_loaded(self._problem, self.clock.now_ns())
            self._flush()
            self._diagnostics.set("error", self._problem)
            self.get_logger().error(self._problem)
            return False
        self._diagnostics.set("ok", f"{self._policy.spec.name} {self._policy.spec.model_id}")
        return True

    def _load(self) -> Policy:
        """Runs in the worker thread: load, check against the robot, warm up."""
        p = self.parameters
        policy: Policy
        if p.policy == EXPERT:
            policy = TopicExpert(self._robot, noise_rad=p.noise_rad)
        else:
            policy = load_policy(p.policy, threads=p.threads)
        check_policy(self._robot, policy.spec)
        policy.warm_up()
        return policy

    def _make_runner(self, policy: Policy) -> PolicyRunner:
        p = self.parameters
        return PolicyRunner(
            policy.spec,
            self._robot.action_space(),
            aggregation=self._aggregation,
            execute_ns=round(p.execute_s * 1e9),
            period_ns=self._robot.rates.control_period_ns,
            spec_hash=self._hash,
        )

    def activate(self) -> None:
        """From here on a goal may start."""
        if not self.loaded():
            raise PolicyFault(self._problem or "the policy is still loading; activate later")
        self.clock.on_jump = self._on_jump
        if isinstance(self._policy, TopicExpert):
            push = self._policy.push_truth
            self.subscription(
                SimState, "sim_robot/truth", lambda m: push(truth_from(m)), "truth", counted=True
            )
        self.subscription(BridgeStatus, "bridge_status", self._on_bridge, "latched")
        self.subscription(
            Observation, "observation", self._on_observation, "observation", counted=True
        )
        self.subscription(Commanded, "commanded", self._on_commanded, "commanded", counted=True)
        if self.parameters.lockstep:
            self.every(self._robot.rates.control_period_ns, self._step)
        assert self._runner is not None  # by loaded()
        self._desk.loaded(self._runner, self.clock.now_ns(), self.clock.steady_ns())
        self._flush()

    def deactivate(self) -> None:
        """End the run; the bridge brakes."""
        self._desk.close("the policy node was deactivated", self.clock.now_ns())
        self._flush()

    def cleanup(self) -> None:
        """Free the model."""
        if self._policy is not None:
            self._policy.close()
        self._policy = self._runner = self._work = None
        self._problem = ""

    # Inputs.

    def _on_goal(self, goal_id: bytes, request: RunPolicy.Goal) -> None:
        goal = goal_from(goal_id, request, self.parameters.seed)
        self._desk.request(goal, self.clock.now_ns(), self.clock.steady_ns())
        self._flush()

    def _on_cancel(self, goal_id: bytes) -> None:
        self._desk.cancel(goal_id, self.clock.now_ns())
        self._flush()

    def _on_bridge(self, message: BridgeStatus) -> None:
        view = bridge_view(message)
        self._desk.bridge(view, self.clock.now_ns(), self.clock.steady_ns())
        self._flush()

    def _on_observation(self, message: Observation) -> None:
        if message.spec_hash != self._hash:
            self.get_logger().error(
                f"observation made with robot file {message.spec_hash:#018x}, expected "
                f"{self._hash:#018x}: ignored; start every node with the same robot file",
                throttle_duration_sec=5.0,
            )
            return
        try:
            observation = observation_from(message)
        except ImageError as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        self._desk.observed(self.clock.steady_ns())
        now_ns = self.clock.now_ns()
        self._diagnostics.event("observation", now_ns - observation.t_obs_ns)
        assert self._runner is not None  # subscriptions exist while active only
        self._runner.observe(observation)
        if not self.parameters.lockstep:
            self._step()

    def _on_commanded(self, message: Commanded) -> None:
        assert self._runner is not None  # subscriptions exist while active only
        self._runner.progress(*progress_from(message))
        if not self.parameters.lockstep:
            self._step()

    def _on_jump(self, jump_ns: int) -> None:
        self._desk.close(f"ROS time jumped by {jump_ns / 1e9:.3f} s", self.clock.now_ns())
        if self._runner is not None:
            self._runner.clock_jump()
        self._flush()

    # Work.

    def _step(self) -> None:
        """Finish the inference that is due, start the next one."""
        runner, policy = self._runner, self._policy
        if runner is None or policy is None:
            return
        now_ns = self.clock.now_ns()
        if self._work is not None:
            job, answer = self._work
            due_ns = job.inference_start_ns + (self._latency_ns if self._declared else 0)
            if now_ns < due_ns or not (self.parameters.lockstep or answer.done()):
                return
            self._work = None
            self._publish(job, answer, due_ns if self._declared else now_ns, now_ns)
        self._desk.tick(now_ns, self.clock.steady_ns())
        self._flush()
        next_job = runner.poll(now_ns)
        if next_job is not None:
            answer = self._thread.submit(policy.infer, next_job.request)
            answer.add_done_callback(lambda _: self._wake())
            self._work = (next_job, answer)

    def _publish(self, job: Job, answer: Future[Any], end_ns: int, now_ns: int) -> None:
        assert self._runner is not None  # checked by the caller
        try:
            actions = answer.result()
            plan = self._runner.finish(job, actions, inference_end_ns=end_ns, publish_ns=now_ns)
        except Exception as error:
            if not isinstance(error, VlaError):
                self.get_logger().error("this is a bug in the policy", exc_info=True)
            over = self._runner.failed(job) or isinstance(error, PolicyFault)
            if over:
                self._desk.fault(f"{error}", now_ns)
            return
        if plan is not None:
            self._chunks.publish(chunk_msg(plan, self._robot.base_frame))
            self._diagnostics.event("chunk", now_ns - plan.t_obs_ns)

    def _beat(self) -> None:
        """What must go on when ROS time stands still: patience and feedback."""
        if not self.parameters.lockstep:
            self._step()
        now_ns = self.clock.now_ns()
        self._desk.tick(now_ns, self.clock.steady_ns())
        self._flush()
        goal, runner = self._desk.current, self._runner
        if goal is not None:
            stats, seq, left_ns = RunStats(), 0, 0
            if runner is not None:
                stats, left_ns = runner.stats, runner.buffer_left_ns(now_ns)
                seq = runner.plan.seq if runner.plan is not None else 0
            self._goals.feedback(goal.run_id, run_feedback(stats, seq, left_ns, self._aggregation))

    def _flush(self) -> None:
        """Hand on what the desk decided: to the bridge first, then to the clients."""
        model_id = self._policy.spec.model_id if self._policy is not None else ""
        for event in self._desk.events():
            if isinstance(event, RunEnded):
                if event.epoch is not None and not event.taken_over:
                    self._runs.publish(run_msg(event, self.clock.now_ns(), model_id))
                self._goals.end(event.goal.run_id, run_result(event))
            else:
                self._runs.publish(run_msg(event, self.clock.now_ns(), model_id))


def main() -> int:
    """Entry point."""
    return run(PolicyNode)


if __name__ == "__main__":
    raise SystemExit(main())
