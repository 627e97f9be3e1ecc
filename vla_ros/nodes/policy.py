"""policy: one prompt at a time becomes plans. `RunDesk` and `PolicyRunner` decide, this wires.

Inference runs in a worker thread; in lockstep its duration is declared, and time waits for it.
"""

from __future__ import annotations

import traceback

from vla_ros_msgs.msg import ActionChunk, BridgeStatus, Commanded, Observation, SimState

from vla_ros.errors import VlaError
from vla_ros.nodes.expert import TopicExpert
from vla_ros.nodes.policy_setup import PolicyParameters, load_for, runner_for, tell
from vla_ros.nodes.truth import truth_from
from vla_ros.policy import Policy
from vla_ros.policy.desk import Patience
from vla_ros.policy.remote.status import status_of
from vla_ros.policy.runner import PolicyFault, PolicyRunner
from vla_ros.robot.check import OriginMismatch, check_origin
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros.conversions.observation import observation_from
from vla_ros.ros.conversions.plan import chunk_msg
from vla_ros.ros.conversions.run import progress_from
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.inference import InferenceThread
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.run_server import RunServer
from vla_ros.ros.spin import run
from vla_ros.spaces.images import ImageError

FEEDBACK_PERIOD_S = 0.1


class PolicyNode(VlaNode[PolicyParameters]):
    """Wiring between topics, the action, and the two pure halves."""

    def __init__(self) -> None:
        super().__init__("policy", PolicyParameters)
        self._policy: Policy | None = None
        self._runner: PolicyRunner | None = None
        self._problem = ""

    # Loading.

    def configure(self) -> None:
        """Load and warm up in the thread; the action server answers from here on."""
        p = self.parameters
        self._robot = load_robot(p.robot)
        self._hash = spec_hash(self._robot)
        patience = Patience(run_ns=round(p.time_limit_s * 1e9))
        self._runs = RunServer(self, patience, p.seed)
        self._chunks = self.publisher(ActionChunk, "action_chunk", "chunk", counted=True)
        self._diagnostics = Diagnostics(self)
        self._inference = InferenceThread(self, self._step_in_real_time)
        self.on_release(self._inference.destroy)
        self._diagnostics.set("warn", "loading")  # published; the thread changes the words only
        self._loading = self._inference.call(
            lambda: load_for(self._robot, p, lambda words: self._diagnostics.set("warn", words))
        )
        self.every_steady(FEEDBACK_PERIOD_S, self._beat)

    def loaded(self) -> bool:
        """Whether it may activate; where it cannot be loaded, goals are refused with the reason."""
        if self._runner is not None or self._problem or not self._loading.done():
            return self._runner is not None
        try:
            self._policy = self._loading.result()
            self._runner = runner_for(self._policy, self._robot, self.parameters)
        except VlaError as error:
            self._problem = f"the policy '{self.parameters.policy}' cannot be used: {error}"
            self._runs.not_loaded(self._problem)
            self._diagnostics.set("error", self._problem)
            self.get_logger().error(self._problem)
            return False
        self._diagnostics.set("ok", f"{self._policy.spec.name} {self._policy.spec.model_id}")
        return True

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
        self.subscription(BridgeStatus, "bridge_status", self._runs.on_bridge, "latched")
        self.subscription(
            Observation, "observation", self._on_observation, "observation", counted=True
        )
        self.subscription(Commanded, "commanded", self._on_commanded, "commanded", counted=True)
        if self.parameters.lockstep:
            self.every(self._robot.rates.control_period_ns, self._step)
        assert self._runner is not None  # by loaded()
        assert self._policy is not None
        self._runs.loaded(self._runner, self._policy.spec.model_id)

    def deactivate(self) -> None:
        """End the run; the bridge brakes."""
        self._runs.close(self.why_inactive)

    def cleanup(self) -> None:
        """Free the model."""
        if self._policy is not None:
            self._policy.close()
        self._policy = self._runner = None
        self._problem = ""

    # Inputs.

    def _on_observation(self, message: Observation) -> None:
        assert self._runner is not None  # subscriptions exist while active only
        assert self._policy is not None
        try:
            observation = observation_from(message)
            contract, anchor = self._policy.spec.contract, self._robot.anchor
            check_origin(observation, message.spec_hash, self._hash, anchor, contract)
        except (ImageError, OriginMismatch) as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        self._runs.observed()
        now_ns = self.clock.now_ns()
        self._diagnostics.event("observation", now_ns - observation.t_obs_ns)
        self._runner.observe(observation)
        self._step_in_real_time()

    def _on_commanded(self, message: Commanded) -> None:
        assert self._runner is not None  # subscriptions exist while active only
        self._runner.progress(*progress_from(message))
        self._step_in_real_time()

    def _on_jump(self, jump_ns: int) -> None:
        self._runs.close(f"ROS time jumped by {jump_ns / 1e9:.3f} s")
        if self._runner is not None:
            self._runner.clock_jump()

    # Work.

    def _step_in_real_time(self) -> None:
        """At every sign of life; in lockstep the ticks decide."""
        if not self.parameters.lockstep:
            self._step()

    def _step(self) -> None:
        """Finish the inference that is due, start the next one."""
        runner, policy = self._runner, self._policy
        if runner is None or policy is None:
            return
        now_ns = self.clock.now_ns()
        self._finish_due(runner, now_ns)
        self._runs.tick()
        if not self._inference.busy:
            job = runner.poll(now_ns)
            if job is not None:
                self._inference.start(policy, job)

    def _finish_due(self, runner: PolicyRunner, now_ns: int) -> None:
        p = self.parameters
        due = self._inference.take(now_ns, latency_ns=p.latency_ns, block=p.lockstep)
        if due is None:
            return
        job, answer = due
        end_ns = job.inference_start_ns + p.latency_ns if p.latency_ns else now_ns
        try:
            actions = answer.result()
            plan = runner.finish(job, actions, inference_end_ns=end_ns, publish_ns=now_ns)
        except Exception as error:
            if not isinstance(error, VlaError):
                self.get_logger().error(f"a bug in the policy:\n{traceback.format_exc()}")
            if runner.failed(job) or isinstance(error, PolicyFault):
                self._runs.fault(str(error))
            return
        if plan is not None:
            self._chunks.publish(chunk_msg(plan, self._robot.base_frame))
            self._diagnostics.event("chunk", now_ns - plan.t_obs_ns)
            tell(self._diagnostics, runner.stats, plan.model_id)

    def _beat(self) -> None:
        """What must go on when ROS time stands still: patience and feedback."""
        self._step_in_real_time()
        self._runs.tick()
        self._runs.feedback()
        self._diagnostics.values.update(status_of(self._policy))


def main() -> int:
    """Entry point."""
    return run(PolicyNode)


if __name__ == "__main__":
    raise SystemExit(main())
