"""Never a command that comes from another epoch or run, whatever happens in whatever order."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from robots import ARM, arm

from vla_ros.chunks import Plan
from vla_ros.policy.protocol import PolicySpec
from vla_ros.policy.runner import Job, PolicyRunner
from vla_ros.robot.command.commander import Commander
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.spaces import Observation, TimeContract

MS = 1_000_000
TICK = 10 * MS
DT = 50 * MS
HORIZON = 8

ROBOT = arm()
POLICY = PolicySpec(
    name="test",
    model_id="test",
    camera_keys=(),
    image_size=(1, 1),
    state_names=(*ARM, "finger_joint"),
    action_names=(*ARM, "gripper"),
    horizon=HORIZON,
    contract=TimeContract(
        image_latency_ns={},
        state_at="capture",
        action_offset_ns=0,
        dt_ns=DT,
        interpolation="linear",
    ),
)


class Fences(RuleBasedStateMachine):
    """Policy and bridge with a network between them that delays, reorders and repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.steady = 1_000 * MS
        self.runs = 0
        self.epochs = 0
        self.observed = 0
        self.jobs: list[Job] = []
        self.network: list[Plan] = []
        self.published: dict[tuple[bytes, int], Plan] = {}
        self.accepted: set[tuple[bytes, int]] = set()
        self.measured = np.zeros(2)
        self.free_ticks = 0
        self.taken_over: set[tuple[bytes, int]] = set()
        self.last: np.ndarray | None = None
        self.gripper: float | None = None
        self.epoch_seen = 0
        self.problem = ""

    @initialize(aggregation=st.sampled_from(["sync", "blend"]))
    def start(self, aggregation) -> None:
        self.aggregation = aggregation
        self.restart_bridge()
        self.restart_policy()
        self.tick(20)

    # The policy's side

    def restart_policy(self) -> None:
        self.runner = PolicyRunner(
            POLICY,
            ROBOT.action_space(),
            aggregation=self.aggregation,
            execute_ns=100 * MS,
            spec_hash=spec_hash(ROBOT),
        )
        self.jobs = []

    @rule(informed=st.sampled_from([True, True, False]))
    def goal(self, informed) -> None:
        """A goal arrives; the policy has heard of the bridge's epoch, or not yet."""
        if informed:
            self.status_arrives()
        self.runs += 1
        run_id = self.runs.to_bytes(16, "big")
        self.runner.start_run(run_id, self.epoch_seen, "go")
        self.run_started(run_id, self.epoch_seen)
        self.chunk_under_way(seed=self.runs)

    def run_started(self, run_id, epoch) -> None:
        before = self.commander.run_id
        if self.commander.run_started(run_id, epoch) is None:
            self.free_ticks = 0  # it may be over before the next tick, and brakes then
            # What the run before had in force plays on until the new run's first plan.
            going_on = self.taken_over if before is not None else set()
            self.taken_over = {key for key in self.accepted if key[0] == before} | going_on

    @precondition(lambda self: self.runner.run_id is not None)
    @rule()
    def next_goal_without_a_stop(self) -> None:
        self.runs += 1
        run_id = self.runs.to_bytes(16, "big")
        self.runner.continue_run(run_id, "go on")
        self.run_started(run_id, self.runner.epoch)

    @precondition(lambda self: self.runner.run_id is not None)
    @rule()
    def cancel(self) -> None:
        run_id = self.runner.run_id
        self.runner.end_run()
        self.commander.run_ended(run_id, self.now)

    @rule()
    def status_arrives(self) -> None:
        self.epoch_seen = self.commander.epoch
        self.runner.bridge_epoch(self.epoch_seen)

    @rule()
    def infer(self) -> None:
        self.observed += 1
        self.runner.observe(
            Observation(
                seq=self.observed,
                t_obs_ns=self.now,
                start_ns=self.now,
                images={},
                image_stamps_ns={},
                state=np.zeros(3),
                state_stamp_ns=self.now,
                streams=(),
            )
        )
        job = self.runner.poll(self.now)
        if job is not None:
            self.jobs.append(job)

    @precondition(lambda self: self.jobs)
    @rule(seed=st.integers(0, 99), newest=st.booleans())
    def publish(self, seed, newest) -> None:
        job = self.jobs.pop(-1 if newest else 0)
        draw = np.random.default_rng(seed)
        way = np.linspace(0.0, 1.0, HORIZON)[:, None]
        arms = self.measured + way * (draw.uniform(-0.6, 0.6, 2) - self.measured)
        grip = np.full((HORIZON, 1), float(draw.integers(2)))
        plan = self.runner.finish(
            job, np.hstack([arms, grip]), inference_end_ns=self.now, publish_ns=self.now
        )
        if plan is not None:
            self.network.append(plan)
            self.published[plan.run_id, plan.seq] = plan

    @rule(seed=st.integers(0, 99))
    def chunk_under_way(self, seed) -> None:
        self.infer()
        if self.jobs:
            self.publish(seed=seed, newest=True)

    @rule(seed=st.integers(0, 99), ticks=st.integers(1, 15))
    def work(self, seed, ticks) -> None:
        """A chunk in time, of a run that is current on both sides."""
        if self.runner.run_id is None or self.runner.run_id != self.commander.run_id:
            if self.commander.stop_reason != "none":
                self.tick(20)
                self.commander.resume(self.now)
            self.goal(informed=True)
        self.chunk_under_way(seed)
        if self.network:
            self.deliver(newest=True, again=False)
        self.tick(ticks)

    # The network

    @precondition(lambda self: self.network)
    @rule(newest=st.booleans(), again=st.booleans())
    def deliver(self, newest, again) -> None:
        at = -1 if newest else 0
        plan = self.network[at] if again else self.network.pop(at)
        if self.commander.accept(plan, self.now, self.steady) is None:
            self.accepted.add((plan.run_id, plan.seq))

    # The bridge's side

    def restart_bridge(self) -> None:
        self.epochs += 1_000_000
        self.commander = Commander(ROBOT, start_enabled=True, epoch=self.epochs)
        self.last = None
        self.gripper = None

    @rule(wait=st.sampled_from([0, 40]))
    def stop_and_resume(self, wait) -> None:
        self.commander.stop("operator", "somebody pressed stop", self.now)
        self.tick(wait)
        self.commander.resume(self.now)

    @rule(
        trouble=st.sampled_from(
            ["stop", "resume", "take over", "restart bridge", "restart policy", "clock"]
        ),
        jump=st.integers(-3000, 3000),
    )
    def trouble(self, trouble, jump) -> None:
        if trouble == "stop":
            self.commander.stop("operator", "somebody pressed stop", self.now)
        elif trouble == "resume":
            self.commander.resume(self.now)
        elif trouble == "take over":
            self.commander.take_over("teleop", 10**9, self.now, self.steady)
            self.tick(20)
            self.commander.give_back("teleop", self.now)
            self.gripper = None  # where the other owner left it is where it goes on from
        elif trouble == "restart bridge":
            self.restart_bridge()
        elif trouble == "restart policy":
            self.restart_policy()
        else:
            self.now = max(MS, self.now + jump * MS)
            self.commander.clock_jump(self.now, self.steady)
            self.runner.clock_jump()

    @rule(ticks=st.integers(1, 20))
    def tick(self, ticks) -> None:
        for _ in range(ticks):
            self.now += TICK
            self.steady += TICK  # goes on through every jump of the clock
            names = dict(zip(ARM, self.measured, strict=True)) | {"finger_joint": 0.0}
            self.commander.joint_state(self.now, names, self.now, self.steady)
            self.check(self.commander.tick(self.now, self.steady).commanded)

    def check(self, commanded) -> None:
        commander = self.commander
        if commanded is None:
            self.last = None
            return
        arm_now, gripper = commanded.action[:2], commanded.action[2]
        if commanded.run_id != bytes(16):
            key = (commanded.run_id, commanded.chunk_seq)
            plan = self.published[key]
            foreign = commanded.run_id != commander.run_id
            if foreign and (commander.run_id is None or key not in self.taken_over):
                self.problem = "a command comes from another run"
            if plan.epoch != commander.epoch:
                self.problem = "a command comes from another epoch"
        if commander.mode in ("STOPPED", "EXTERNAL") and commanded.run_id != bytes(16):
            self.problem = "a plan is executed although the robot is stopped"
        if commander.run_id is None:
            self.free_ticks += 1
            if self.gripper is not None and gripper != self.gripper:
                self.problem = "the gripper moved without a run"
            moved = self.last is not None and np.abs(arm_now - self.last).max() > 1e-9
            if self.free_ticks > 80 and moved:
                self.problem = "the arm moves without a run"
        else:
            self.free_ticks = 0
        self.last, self.gripper = arm_now, gripper
        self.measured = arm_now

    @invariant()
    def nothing_from_another_epoch_or_run(self) -> None:
        assert not self.problem


Fences.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestFences = Fences.TestCase
