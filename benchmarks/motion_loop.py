"""A closed loop in simulated time: a flow policy, the runner, the motion pipeline and a JTC.

The policy is a flow whose distribution is known in closed form, so that its velocity, and real-time
chunking through its sampler, are exact: chunks are Gaussian around "go on from the observed state
to the reference", with a slow deviation (each sample has a mind of its own). White noise, as of a
network, is added. As in trained policies the flow is of actions normalised by the spread of the
data, here of the motion, and not by that of one observation's chunks: how hard real-time chunking
holds on to the plan before depends on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Joining, Plan
from vla_ros.chunks.rtc import ESTIMATED_FROM, Jacobian, guidance_weight, yielded
from vla_ros.motion import JointMotion, MotionLimits, MotionRefused
from vla_ros.policy.protocol import PolicyRequest, PolicySpec
from vla_ros.policy.runner import Job, PolicyRunner
from vla_ros.sim.controllers import Measured, TrajectoryController, TrajectoryMessage
from vla_ros.spaces import Observation, TimeContract, VectorSpace

Array = npt.NDArray[np.float64]
Reference = Callable[[Array], Array]

MS = 1_000_000
ROWS, DT_NS, PERIOD_NS = 50, 20 * MS, 10 * MS
JOINTS = ("joint1", "joint2", "joint3")
SPACE = VectorSpace.of(("arm", "position", list(JOINTS)))
WHITE_RAD, SLOW_RAD, SLOW_S = 0.002, 0.01, 0.3
RETURN_S, FLOW_STEPS = 0.05, 10
DATA_RAD = 0.35  # of `sines`
CAMERA_NS, CAMERA_AGE_NS = 33 * MS, 30 * MS
SERVO_S, TICKS_OF_CONTROLLER = 0.02, 5
LIMITS = MotionLimits(
    names=JOINTS,
    lower=np.full(3, -3.0),
    upper=np.full(3, 3.0),
    velocity=np.full(3, 2.5),
    acceleration=np.full(3, 12.0),
    jerk=np.full(3, 150.0),
)
SPEC = PolicySpec(
    name="flow",
    model_id="analytic",
    camera_keys=(),
    image_size=(1, 1),
    state_names=JOINTS,
    action_names=JOINTS,
    horizon=ROWS,
    contract=TimeContract(
        image_latency_ns={},
        state_at="capture",
        action_offset_ns=0,
        dt_ns=DT_NS,
        interpolation="linear",
    ),
    rtc="guided",
)


def sines(t: Array) -> Array:
    """Three joints, up to 1.57 rad/s, at rest before 0 s. Shape (n, 3)."""
    u = np.clip(np.asarray(t, dtype=np.float64) / 1.5, 0.0, 1.0)
    gate = u**4 * (35.0 - 84.0 * u + 70.0 * u**2 - 20.0 * u**3)
    swing = 0.5 * np.sin(np.pi * np.asarray(t)[:, None] * np.array([1.0, 0.8, 1.2]))
    return gate[:, None] * swing


@lru_cache(maxsize=1)
def _spread() -> tuple[Array, Array]:
    """Eigenvalues (T,) and eigenvectors (T, T) of the covariance of a chunk's slow deviation."""
    t = np.arange(ROWS) * DT_NS * 1e-9
    values, vectors = np.linalg.eigh(np.exp(-0.5 * np.square((t[:, None] - t) / SLOW_S)))
    return SLOW_RAD**2 * np.maximum(values, 0.0), vectors


@dataclass(kw_only=True)
class FlowPolicy:
    """Answers with samples of the distribution above. `rtc` guidance as in arXiv:2506.07339."""

    reference: Reference
    rng: np.random.Generator
    spec: PolicySpec = SPEC
    seen_ns: int = 0

    def infer(self, request: PolicyRequest) -> Array:
        """One chunk, shape (T, A)."""
        seen = request.observation
        self.seen_ns = seen.t_obs_ns
        t: Array = seen.start_ns * 1e-9 + np.arange(ROWS, dtype=np.float64) * DT_NS * 1e-9
        wanted = self.reference(t)
        late: Array = np.arange(ROWS, dtype=np.float64)[:, None] * DT_NS * 1e-9 / RETURN_S
        back = (1.0 + late + 0.5 * late**2) * np.exp(-late)  # leaves the state smoothly
        mean = wanted + (seen.state - wanted[0]) * back
        values, vectors = _spread()
        lam = values / DATA_RAD**2
        x = self.rng.normal(size=(ROWS, len(JOINTS)))
        white = WHITE_RAD * self.rng.normal(size=(ROWS, len(JOINTS)))
        guide, first = request.guidance, x
        for k in range(FLOW_STEPS):
            tau = k / FLOW_STEPS
            gain = tau * lam / (tau**2 * lam + (1.0 - tau) ** 2)  # d clean / d x
            clean = vectors @ (gain[:, None] * (vectors.T @ x))
            v = (clean - x) / (1.0 - tau)
            if guide is not None:
                pull = guide.weights[:, None] * ((guide.actions - mean) / DATA_RAD - clean)
                first = pull if k == 0 else first
                if guide.jacobian == "estimated" and tau >= ESTIMATED_FROM:
                    pull = pull * yielded(pull, first)
                elif guide.jacobian == "full":
                    pull = vectors @ (gain[:, None] * (vectors.T @ pull))
                v = v + guidance_weight(tau, guide.max_weight) * pull
            x = x + v / FLOW_STEPS
        return mean + DATA_RAD * x + white


@dataclass(kw_only=True)
class Trace:
    """What the controller commanded, every 2 ms.

    Attributes:
        t_s: Shape (n,).
        position: Shape (n, N).
        takeovers_s: When a plan took over.
        answers_s: When the chunk was published that first knew of the jump; empty without one.
        stretch: Largest slowing down by the runner.
        aggregations: How chunks were really joined.
        fault: Why the robot was stopped; "" where it was not.
        late: Updates of a real controller that came late, and are left out.
    """

    t_s: Array
    position: Array
    takeovers_s: list[float] = field(default_factory=list)
    answers_s: list[float] = field(default_factory=list)
    stretch: float = 1.0
    aggregations: dict[str, int] = field(default_factory=dict)
    fault: str = ""
    late: int = 0


class Loop(ABC):
    """Robot, controller and policy in simulated time; a subclass says what is in between."""

    def __init__(self, reference: Reference, latency_s: float, seed: int) -> None:
        self.reference = reference
        self.latency_ns = round(latency_s * 1e9)
        self.policy = FlowPolicy(reference=reference, rng=np.random.default_rng(seed))
        self.controller = TrajectoryController(JOINTS, np.zeros(3))
        self.measured = np.zeros(3)
        self.velocity = np.zeros(3)
        self.takeovers_s: list[float] = []
        self.answers_s: list[float] = []
        self.knows_after_ns = 1 << 62

    @abstractmethod
    def work(self, now_ns: int, observation: Observation | None) -> None:
        """One control tick."""

    def run(self, seconds: float) -> Trace:
        """The whole loop."""
        step_ns = PERIOD_NS // TICKS_OF_CONTROLLER
        seen: list[Observation] = []
        times, positions = [], []
        for now_ns in range(0, round(seconds * 1e9), PERIOD_NS):
            if now_ns % CAMERA_NS < PERIOD_NS:
                seen.append(self._observation(now_ns))
            ready = [s for s in seen if s.t_obs_ns <= now_ns - CAMERA_AGE_NS]
            if ready:
                seen = seen[len(ready) :]
            self.work(now_ns, ready[-1] if ready else None)
            grid = now_ns + step_ns * np.arange(TICKS_OF_CONTROLLER, dtype=np.int64)
            at = Measured(position=self.measured, velocity=self.velocity)
            commanded, velocity = self.controller.sample(grid, at)
            times.append(grid)
            positions.append(commanded.copy())
            share = 1.0 - np.exp(-PERIOD_NS * 1e-9 / SERVO_S)
            self.measured = self.measured + share * (commanded[-1] - self.measured)
            self.velocity = velocity[-1]
        return Trace(
            t_s=np.asarray(np.concatenate(times) * 1e-9, np.float64),
            position=np.concatenate(positions),
            takeovers_s=self.takeovers_s,
            answers_s=self.answers_s,
        )

    def published(self, job_t_obs_ns: int, now_ns: int) -> None:
        """Note a chunk, and whether it knows of the jump."""
        self.takeovers_s.append(now_ns * 1e-9)
        if job_t_obs_ns >= self.knows_after_ns and not self.answers_s:
            self.answers_s.append(now_ns * 1e-9)

    def _observation(self, now_ns: int) -> Observation:
        return Observation(
            seq=now_ns // CAMERA_NS,
            t_obs_ns=now_ns,
            start_ns=now_ns,
            images={},
            image_stamps_ns={},
            state=self.measured.copy(),
            state_stamp_ns=now_ns,
            streams=(),
        )


class Ours(Loop):
    """PolicyRunner and JointMotion, rolling windows every 30 ms."""

    def __init__(
        self,
        reference: Reference,
        latency_s: float,
        seed: int,
        *,
        joining: Joining,
        jacobian: Jacobian = "estimated",
        execute_ns: int = 200 * MS,
    ) -> None:
        super().__init__(reference, latency_s, seed)
        self.runner = PolicyRunner(
            SPEC, SPACE, aggregation=joining, execute_ns=execute_ns, jacobian=jacobian
        )
        self.runner.start_run(bytes(16), 1, "follow")
        self.motion = JointMotion(LIMITS, PERIOD_NS, smoothing_noise_rad=WHITE_RAD)
        self.motion.reset(np.zeros(3), 0)
        self.job: tuple[Job, Array] | None = None
        self.stretch = 1.0
        self.joined: dict[str, int] = {}
        self.switch_ns = 0

    def work(self, now_ns: int, observation: Observation | None) -> None:
        """Answer, ask, advance, send."""
        if observation is not None:
            self.runner.observe(observation)
        if self.job and now_ns >= self.job[0].inference_start_ns + self.latency_ns:
            (job, answer), self.job = self.job, None
            plan = self.runner.finish(job, answer, inference_end_ns=now_ns, publish_ns=now_ns)
            if plan is not None:
                self._accept(plan, now_ns)
        asked = self.runner.poll(now_ns) if self.job is None else None
        if asked is not None:
            self.job = (asked, self.policy.infer(asked.request))
        setpoint = self.motion.advance(now_ns)
        plan = self.runner.plan
        if plan is not None and np.isfinite(setpoint.row):
            self.runner.progress(plan.run_id, plan.seq, setpoint.row, setpoint.t_ns)
        switched = now_ns - PERIOD_NS < self.switch_ns <= now_ns
        if switched or now_ns % (3 * PERIOD_NS) == 0:
            window = self.motion.window(now_ns, 250 * MS, 20 * MS)
            self.controller.accept(TrajectoryMessage.of(window, JOINTS), now_ns)

    def _accept(self, plan: Plan, now_ns: int) -> None:
        try:
            self.motion.accept(
                plan.start_ns,
                plan.dt_ns,
                plan.valid_from_ns,
                plan.actions,
                plan.interpolation,
                now_ns,
            )
        except MotionRefused:
            return  # the plan in force goes on, or the robot has stopped with a fault
        self.switch_ns = plan.valid_from_ns
        stats = self.runner.stats
        self.stretch = max(self.stretch, stats.stretch)
        self.joined[stats.aggregation] = self.joined.get(stats.aggregation, 0) + 1
        self.published(plan.t_obs_ns, plan.valid_from_ns)

    def run(self, seconds: float) -> Trace:
        """The whole loop."""
        trace = super().run(seconds)
        trace.stretch, trace.aggregations = self.stretch, self.joined
        trace.fault = self.motion.fault
        return trace


class Naive(Loop):
    """What a simple client does: one row each 20 ms as it comes, and a switch at arrival.

    Chunks are indexed from their arrival (``skip=False``) as an open-loop client does, or at the
    row that is due; without rows the last one is held. Positions only, one point ahead.
    """

    def __init__(self, reference: Reference, latency_s: float, seed: int, *, skip: bool) -> None:
        super().__init__(reference, latency_s, seed)
        self.skip = skip
        self.chunk: tuple[int, Array] | None = None
        self.job: tuple[int, int, Array] | None = None
        self.seen: Observation | None = None

    def work(self, now_ns: int, observation: Observation | None) -> None:
        """Answer, ask, send the row."""
        self.seen = observation or self.seen
        if self.job and now_ns >= self.job[0] + self.latency_ns:
            (_, t_obs_ns, answer), self.job = self.job, None
            self.chunk = (t_obs_ns if self.skip else now_ns, answer)
            self.published(t_obs_ns, now_ns)
        if self.job is None and self.seen is not None:
            request = PolicyRequest(observation=self.seen, prompt="")
            self.job = (now_ns, self.seen.t_obs_ns, self.policy.infer(request))
            self.seen = None
        if self.chunk is not None and now_ns % DT_NS == 0:
            begun_ns, rows = self.chunk
            row = min((now_ns - begun_ns) // DT_NS, ROWS - 1)
            self.controller.accept(
                TrajectoryMessage(
                    stamp_ns=0,
                    joint_names=JOINTS,
                    time_from_start_ns=np.array([DT_NS]),
                    positions=rows[row : row + 1],
                ),
                now_ns,
            )
