"""The pure half of the policy node: which observation to infer on, and what plan the answer makes.

Time is an argument and inference happens outside: `poll` hands out a `Job`, the caller lets the
policy work on it (in a thread, or at once in lockstep) and brings the answer to `finish`. Epoch
and run are copied into the job when inference starts, so an answer that arrives after a stop
carries the old ones, or is dropped here already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import BlendWeights, Joining, Plan, ResponseTime, Schedule
from vla_ros.chunks.rtc import Jacobian
from vla_ros.policy.history import ObservationHistory
from vla_ros.policy.job import Job, PolicyFault, RunStats, checked_answer
from vla_ros.policy.joiner import Executed, Joiner
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.spaces.observation import Observation
from vla_ros.spaces.vectors import VectorSpace

MIN_SPEED = 0.1
MAX_SPEED = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    run_id: bytes
    epoch: int
    prompt: str
    seed: int | None
    dt_ns: int


class PolicyRunner:
    """Turns observations into plans, one run at a time.

    Args:
        spec: What the policy gives.
        action_space: Meaning of the columns.
        aggregation: How a chunk joins the plan before.
        execute_ns: Time between inference starts, in ``sync`` executed per chunk.
        period_ns: One control period of the bridge, in [ns].
        weights: How ``blend`` weighs.
        jacobian: How ``rtc`` pulls (`vla_ros.policy.protocol.Guidance`).
        turning: Which elements are angles of joints that turn without end. Shape (A,).
        max_stretch: How many times slower a run may become where inference takes so long that
            chunks at full speed would end before their successors come; 1 never slows down.
        spec_hash: Hash of the robot file, copied into each plan.

    Raises:
        PolicyFault: The policy's action names are not those of the action space.
        CannotGuide: ``rtc`` with a policy that cannot continue a plan.
    """

    def __init__(
        self,
        spec: PolicySpec,
        action_space: VectorSpace,
        *,
        aggregation: Joining = "blend",
        execute_ns: int = 200_000_000,
        period_ns: int = 10_000_000,
        weights: BlendWeights | None = None,
        jacobian: Jacobian = "estimated",
        turning: npt.NDArray[np.bool_] | None = None,
        max_stretch: float = 2.0,
        spec_hash: int = 0,
    ) -> None:
        if tuple(spec.action_names) != tuple(action_space.names):
            raise PolicyFault(
                f"policy '{spec.name}' answers with {list(spec.action_names)}, expected the robot "
                f"file's {list(action_space.names)}; use a checkpoint made for this robot"
            )
        self._spec = spec
        self._space = action_space
        self._schedule = Schedule(joining=aggregation, execute_ns=execute_ns, period_ns=period_ns)
        self._joiner = Joiner(
            spec, action_space, aggregation, weights=weights, jacobian=jacobian, turning=turning
        )
        self._rates = action_space.mask("velocity")
        self._max_stretch = max_stretch
        self._response = ResponseTime()
        self._spec_hash = spec_hash
        self._run: _Run | None = None
        self._observation: Observation | None = None
        self._history = ObservationHistory(spec.n_obs_steps, spec.contract.dt_ns)
        self._used_t_obs_ns: int | None = None
        self._job: Job | None = None
        self._jobs = 0
        self._seq = 0
        self._plan: Plan | None = None
        self._standing = np.ones(spec.horizon)
        self._delay_ns = 0
        self._last_start_ns: int | None = None
        self._stats = RunStats()

    @property
    def run_id(self) -> bytes | None:
        """The current run, if any."""
        return None if self._run is None else self._run.run_id

    @property
    def epoch(self) -> int | None:
        """The epoch that the current run belongs to."""
        return None if self._run is None else self._run.epoch

    @property
    def plan(self) -> Plan | None:
        """The last plan of the current run."""
        return self._plan

    @property
    def busy(self) -> bool:
        """Whether a job of the current run is out."""
        return self._job is not None

    @property
    def stats(self) -> RunStats:
        """Counts and latencies of the current or last run."""
        return self._stats

    def start_run(
        self,
        run_id: bytes,
        epoch: int,
        prompt: str,
        *,
        seed: int | None = None,
        speed: float = 1.0,
    ) -> None:
        """Begin a run; the one before, if any, is over.

        Args:
            run_id: The goal's UUID. 16 bytes.
            epoch: The bridge's epoch now; the run ends when the bridge raises it.
            prompt: What to do, in the policy's words.
            seed: Makes the run's sampling repeatable.
            speed: 1 executes at the trained speed, 0.5 takes twice as long. 0.1 to 2.

        Raises:
            PolicyFault: Another speed.
        """
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise PolicyFault(
                f"speed is {speed:g}, expected {MIN_SPEED} to {MAX_SPEED}; leave it at 1"
            )
        dt_ns = round(self._spec.contract.dt_ns / speed)
        self._run = _Run(run_id=run_id, epoch=epoch, prompt=prompt, seed=seed, dt_ns=dt_ns)
        self._job = None
        self._plan = None
        self._delay_ns = 0
        self._last_start_ns = None
        self._stats = RunStats()

    def continue_run(
        self, run_id: bytes, prompt: str, *, seed: int | None = None, speed: float = 1.0
    ) -> None:
        """Take over from the current run without a stop, in its epoch.

        The new run infers at once. Its chunks are not blended with the old run's, which pursued
        another aim; the bridge's seam fade joins the two motions.

        Raises:
            PolicyFault: There is no current run to take over from.
        """
        if self._run is None:
            raise PolicyFault("no run to continue; start one instead")
        self.start_run(run_id, self._run.epoch, prompt, seed=seed, speed=speed)

    def end_run(self) -> None:
        """End the current run; the answer to a job still out will be dropped."""
        self._run = None
        self._job = None
        self._plan = None

    def bridge_epoch(self, epoch: int) -> bool:
        """Take note of the bridge's epoch.

        Returns:
            Whether that ended the current run: the bridge stopped or was taken over, and only a
            new run may move the robot again.
        """
        if self._run is None or self._run.epoch == epoch:
            return False
        self.end_run()
        return True

    def clock_jump(self) -> None:
        """Forget every instant: the current run is over and the next observation is new."""
        self.end_run()
        self._observation = None
        self._history.clear()
        self._used_t_obs_ns = None

    def observe(self, observation: Observation) -> None:
        """Keep the latest observation, and those before that the policy looks at."""
        self._history.push(observation)
        self._observation = observation

    def progress(self, run_id: bytes, seq: int, row: float, stamp_ns: int) -> None:
        """Learn how far the bridge really is, to know the delay that time scaling caused.

        Args:
            run_id: Run of the plan being executed.
            seq: Number of that plan.
            row: Fractional row that was commanded.
            stamp_ns: When that setpoint was due, in [ns].
        """
        plan = self._plan
        if plan is None or plan.run_id != run_id or plan.seq != seq:
            return
        if 0.0 <= row < plan.horizon - 1:
            self._delay_ns = max(0, round((plan.row_at(stamp_ns) - row) * plan.dt_ns))

    def buffer_left_ns(self, now_ns: int) -> int:
        """How long the last plan still lasts, in [ns]; 0 without a plan."""
        if self._plan is None:
            return 0
        return max(0, self._plan.end_ns + self._delay_ns - now_ns)

    def poll(self, now_ns: int) -> Job | None:
        """Ask for work.

        Returns:
            The inference to start now, or None: no run, a job is still out, no new observation,
            or not yet time.
        """
        run, observation = self._run, self._observation
        if run is None or observation is None or self._job is not None:
            return None
        if self._used_t_obs_ns is not None and observation.t_obs_ns <= self._used_t_obs_ns:
            return None
        if not self._schedule.due(now_ns, self._plan, self._delay_ns, self._last_start_ns):
            return None
        seed = None if run.seed is None else (run.seed * 1_000_003 + self._stats.chunks) % 2**31
        start_ns, response_ns = observation.start_ns, self._response.expected_ns
        dt_ns = self._stretched(run.dt_ns, now_ns - start_ns, response_ns)
        takeover_ns = None if response_ns is None else now_ns + response_ns
        ask = self._joiner.ask(self._executed, start_ns, dt_ns, takeover_ns)
        self._jobs += 1
        self._used_t_obs_ns = observation.t_obs_ns
        self._last_start_ns = now_ns
        self._job = Job(
            number=self._jobs,
            request=PolicyRequest(
                observation=observation,
                prompt=run.prompt,
                seed=seed,
                guidance=ask.guidance,
                history=self._history.before(observation),
            ),
            ask=ask,
            run_id=run.run_id,
            epoch=run.epoch,
            inference_start_ns=now_ns,
            dt_ns=dt_ns,
        )
        return self._job

    def finish(
        self,
        job: Job,
        actions: npt.NDArray[np.floating],
        *,
        inference_end_ns: int,
        publish_ns: int,
    ) -> Plan | None:
        """Make a plan of the policy's answer.

        Args:
            job: What `poll` handed out.
            actions: The policy's answer. Shape (T, A).
            inference_end_ns: ROS time at which it was there, in [ns].
            publish_ns: ROS time of publication, in [ns].

        Returns:
            The plan to publish now, or None where the job's run is over.

        Raises:
            PolicyFault: The answer has another shape or is not finite. The run is over.
        """
        run = self._run
        if job is not self._job or run is None:
            return None
        self._job = None
        try:
            chunk = checked_answer(actions, self._spec, self._space)
        except PolicyFault:
            self.end_run()
            raise
        chunk[:, self._rates] *= self._spec.contract.dt_ns / job.dt_ns
        start_ns = job.request.observation.start_ns
        before, delay_ns = self._plan, self._delay_ns
        valid_from_ns = self._schedule.valid_from_ns(publish_ns, before, delay_ns)
        late = self._schedule.late(valid_from_ns, before, delay_ns)
        chunk, standing = self._joiner.join(
            chunk, job.ask, self._executed, start_ns, job.dt_ns, valid_from_ns
        )
        rows = self._schedule.executed_rows(len(chunk), start_ns, job.dt_ns, publish_ns)
        plan = Plan(
            run_id=job.run_id,
            epoch=job.epoch,
            seq=self._seq,
            spec_hash=self._spec_hash,
            t_obs_ns=job.request.observation.t_obs_ns,
            start_ns=start_ns,
            dt_ns=job.dt_ns,
            valid_from_ns=valid_from_ns,
            actions=chunk[:rows],
            interpolation=self._spec.contract.interpolation,
            aggregation=job.ask.aggregation,
            late=late,
            inference_start_ns=job.inference_start_ns,
            inference_end_ns=inference_end_ns,
            model_id=self._spec.model_id,
        )
        self._seq += 1
        self._response.add(publish_ns + self._schedule.period_ns - job.inference_start_ns)
        self._plan, self._standing, self._delay_ns = plan, standing[:rows], 0
        self._stats = RunStats(
            chunks=self._stats.chunks + 1,
            late_chunks=self._stats.late_chunks + int(late),
            observation_age_ns=publish_ns - plan.t_obs_ns,
            inference_ns=inference_end_ns - job.inference_start_ns,
            delay_steps=max(0, -(-(valid_from_ns - start_ns) // job.dt_ns)),
            aggregation=plan.aggregation,
            fallback=job.ask.fallback,
            fallbacks=self._stats.fallbacks + bool(job.ask.fallback),
            stretch=job.dt_ns / run.dt_ns,
        )
        return plan

    def failed(self, job: Job) -> bool:
        """The policy raised instead of answering.

        Returns:
            Whether that ends the current run; False where the job's run was over already.
        """
        if job is not self._job:
            return False
        self.end_run()
        return True

    @property
    def _executed(self) -> Executed | None:
        if self._plan is None:
            return None
        return Executed(plan=self._plan, standing=self._standing, delay_ns=self._delay_ns)

    def _stretched(self, dt_ns: int, age_ns: int, response_ns: int | None) -> int:
        """The step of the rows of an inference that starts now, in [ns]."""
        rows = self._spec.horizon - (self._spec.contract.interpolation == "linear")
        if response_ns is None or rows < 1:
            return dt_ns
        needed_ns = self._schedule.needed_ns(age_ns, response_ns)
        return min(max(dt_ns, -(-needed_ns // rows)), round(dt_ns * self._max_stretch))
