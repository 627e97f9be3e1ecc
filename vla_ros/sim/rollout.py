"""One episode in one process: simulator, observer, policy and commander in lockstep.

The same classes that the nodes wrap, driven one control period at a time, without ROS: for data
collection, for evaluation and as the reference for the graph of nodes. Images arrive a camera
latency after their capture and chunks a declared inference time after the inference began, so a
result does not depend on how fast the machine is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from vla_ros.chunks import Plan
from vla_ros.robot.command.commander import Commander
from vla_ros.robot.command.commands import CommandedSample
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.sim.controllers import TrajectoryMessage
from vla_ros.sim.judge import TIME_LIMIT_NS, judge
from vla_ros.sim.model import HOME
from vla_ros.sim.noise import StartPose
from vla_ros.sim.robot import IMAGE_HEIGHT, IMAGE_WIDTH, SimRobot
from vla_ros.sim.truth import FINGER_OPEN, SimError, SimTruth, Target
from vla_ros.spaces import Observation, TimeContract

_START = StartPose(arm=HOME, finger=FINGER_OPEN)


class Inferring(Protocol):
    """What the rollout needs of a policy."""

    @property
    def spec(self) -> Any:
        """A PolicySpec."""
        ...

    def infer(self, request: Any) -> npt.NDArray[np.float64]:
        """One chunk. Shape (T, A)."""
        ...

    def reset(self) -> None:
        """Forget the run before."""
        ...


class Runner(Protocol):
    """What the rollout needs of a policy runner (`vla_ros.policy.runner.PolicyRunner`)."""

    def clock_jump(self) -> None:
        """Forget observations and instants."""
        ...

    def start_run(self, run_id: bytes, epoch: int, prompt: str, *, seed: int | None = None) -> None:
        """Begin a run."""
        ...

    def end_run(self) -> None:
        """End it."""
        ...

    def observe(self, observation: Observation) -> None:
        """Keep the latest observation."""
        ...

    def progress(self, run_id: bytes, seq: int, row: float, stamp_ns: int) -> None:
        """Learn what was commanded."""
        ...

    def poll(self, now_ns: int) -> Any:
        """A job to do now, or None."""
        ...

    def finish(
        self,
        job: Any,
        actions: npt.NDArray[np.floating],
        *,
        inference_end_ns: int,
        publish_ns: int,
    ) -> Plan | None:
        """The plan of the answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Declared times of the simulated machine.

    Attributes:
        image_period_ns: Between two images of a camera, in [ns].
        camera_latency_ns: From capture to arrival, in [ns].
        inference_ns: From an inference's start to its chunk, in [ns].
        settle_ns: The scene comes to rest for so long before the goal starts, in [ns].
        time_limit_ns: For one goal, in [ns].
    """

    image_period_ns: int = 50_000_000
    camera_latency_ns: int = 30_000_000
    inference_ns: int = 60_000_000
    settle_ns: int = 60_000_000
    time_limit_ns: int = TIME_LIMIT_NS


@dataclass(frozen=True, kw_only=True)
class Episode:
    """What to do.

    Attributes:
        seed: Of the scene.
        target: Which cube belongs in which bin; for the judge.
        prompt: The task in words; for the policy.
        binned: Cubes that lie in a bin already, see `make_scene`.
        start: Where the arm begins.
        policy_seed: Makes the policy's sampling repeatable.
    """

    seed: int
    target: Target
    prompt: str
    binned: Sequence[str] | Mapping[str, str] = ()
    start: StartPose = _START
    policy_seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One observation and what really was.

    Attributes:
        observation: What the policy saw.
        truth: The state at its anchor capture.
        before: The state at the goal's start.
        elapsed_ns: From the goal's start to the capture, in [ns].
    """

    observation: Observation
    truth: SimTruth
    before: SimTruth
    elapsed_ns: int


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """How it went.

    Attributes:
        success: Whether the judge was content in time.
        reason: The judge's words.
        duration_s: Simulated time from the goal's start to the verdict, in [s].
        chunks: Chunks executed.
        refused: Chunks that the commander refused, with the last reason in `refusal`.
        refusal: Why the last refused chunk was refused; empty where none was.
        stop: Why the commander stopped the robot; empty where it did not.
        blind: Observations that the observer refused to make.
        blindness: Why it refused the last of them; empty where it refused none.
    """

    success: bool
    reason: str
    duration_s: float
    chunks: int
    refused: int
    refusal: str
    stop: str
    blind: int = 0
    blindness: str = ""


@dataclass
class _Capture:
    arrives_ns: int
    stamp_ns: int
    images: dict[str, npt.NDArray[np.uint8]]
    truth: SimTruth


class Rollout:
    """Runs episodes one after the other on one simulated robot.

    Args:
        spec: The robot file.
        contract: Time contract of the policy.
        timing: Declared times.
        images: ``rendered``, or ``blank`` for a policy that looks at the truth only: much faster,
            and needs no graphics.
        robot: The simulated robot; a new one by default.
    """

    def __init__(
        self,
        spec: RobotSpec,
        contract: TimeContract,
        *,
        timing: Timing | None = None,
        images: Literal["rendered", "blank"] = "rendered",
        robot: SimRobot | None = None,
    ) -> None:
        self._spec = spec
        self._contract = contract
        self._timing = timing or Timing()
        self._blank = images == "blank"
        self.robot = robot or SimRobot()
        self._period_ns = spec.rates.control_period_ns
        self._controllers = {
            output.name: self.robot.controllers[output.topic.strip("/").split("/")[0]]
            for output in spec.outputs
        }
        self._runs = 0

    def run(
        self,
        episode: Episode,
        policy: Inferring,
        runner: Runner,
        *,
        on_observation: Callable[[Seen], None] | None = None,
        on_command: Callable[[CommandedSample], None] | None = None,
        until: Callable[[SimTruth], bool] | None = None,
    ) -> EpisodeResult:
        """Run one episode.

        Args:
            episode: What to do.
            policy: Asked for chunks; learns the truth of each image if it has `push_truth`.
            runner: Schedules it. Its last run is over afterwards.
            on_observation: Called with each observation the policy gets.
            on_command: Called with what is commanded, each control period.
            until: Ends the episode in place of the judge, who then has the last word only.

        Raises:
            SimError: The commander refused to start the run.
        """
        robot, timing = self.robot, self._timing
        robot.place_arm(episode.start.arm, episode.start.finger)
        robot.reset_scene(episode.seed, episode.binned)
        robot.step(timing.settle_ns)
        observer = Observer(self._spec, self._contract)
        commander = Commander(self._spec, start_enabled=True)
        push_truth = getattr(policy, "push_truth", None)
        policy.reset()
        runner.clock_jump()  # nothing of the episode before may be used
        self._runs += 1
        run_id = self._runs.to_bytes(16, "big")
        start_ns = robot.time_ns
        before = robot.truth()
        captures: deque[_Capture] = deque()
        truths: dict[int, SimTruth] = {}
        pending: tuple[int, Any, npt.NDArray[np.float64]] | None = None
        started = False
        chunks, refused, refusal, blind, blindness = 0, 0, "", 0, ""
        while True:
            now = robot.time_ns
            joints = robot.joint_positions()
            observer.push_joints(now, joints, now, velocities=robot.joint_velocities())
            commander.joint_state(now, joints, now, now)
            if not started:
                no = commander.run_started(run_id, commander.epoch)
                if no is not None:
                    raise SimError(f"the commander refuses to start a run: {no.text}")
                runner.start_run(run_id, commander.epoch, episode.prompt, seed=episode.policy_seed)
                started = True
            if (now - start_ns) % timing.image_period_ns == 0:
                captures.append(self._capture(now))
            while captures and captures[0].arrives_ns <= now:
                capture = captures.popleft()
                truths[capture.stamp_ns] = capture.truth
                for key, image in capture.images.items():
                    observer.push_image(key, capture.stamp_ns, image, now)
                if push_truth is not None:
                    push_truth(capture.truth)
                done = until is not None and until(capture.truth)
                verdict = judge(
                    before, capture.truth, episode.target, time_limit_ns=timing.time_limit_ns
                )
                elapsed_ns = capture.truth.stamp_ns - start_ns
                over = until is not None and elapsed_ns >= timing.time_limit_ns
                if done or over or (until is None and verdict.outcome != "RUNNING"):
                    runner.end_run()
                    return EpisodeResult(
                        success=verdict.outcome == "SUCCESS",
                        reason=verdict.reason,
                        duration_s=elapsed_ns * 1e-9,
                        chunks=chunks,
                        refused=refused,
                        refusal=refusal,
                        stop=commander.stop_text,
                        blind=blind,
                        blindness=blindness,
                    )
            observation = observer.observe(now)
            if isinstance(observation, Observation):
                runner.observe(observation)
                if on_observation is not None:
                    truth = truths[observation.t_obs_ns]
                    on_observation(
                        Seen(
                            observation=observation,
                            truth=truth,
                            before=before,
                            elapsed_ns=truth.stamp_ns - start_ns,
                        )
                    )
            elif observation is not None:
                blind, blindness = blind + 1, str(observation)
            if pending is not None and pending[0] <= now:
                _, job, actions = pending
                pending = None
                plan = runner.finish(job, actions, inference_end_ns=now, publish_ns=now)
                if plan is not None:
                    chunks += 1
                    no = commander.accept(plan, now, now)
                    if no is not None:
                        refused, refusal = refused + 1, no.text
            if pending is None:
                job = runner.poll(now)
                if job is not None:
                    pending = (now + timing.inference_ns, job, policy.infer(job.request))
            commands = commander.tick(now, now)
            for output, window in commands.windows:
                controller = self._controllers[output]
                controller.accept(TrajectoryMessage.of(window, controller.joint_names), now)
            sample = commands.commanded
            if sample is not None:
                runner.progress(sample.run_id, sample.chunk_seq, sample.chunk_row, sample.stamp_ns)
                if on_command is not None:
                    on_command(sample)
            robot.step(self._period_ns)

    def _capture(self, now_ns: int) -> _Capture:
        keys = self._spec.camera_keys
        if self._blank:
            # Pictures that differ, or the observer would call the camera frozen.
            shade = (now_ns // self._timing.image_period_ns) % 251
            blank = np.full((IMAGE_HEIGHT, IMAGE_WIDTH, 3), shade, dtype=np.uint8)
            images = dict.fromkeys(keys, blank)
        else:
            images = {key: self.robot.render(key) for key in keys}
        return _Capture(
            arrives_ns=now_ns + self._timing.camera_latency_ns,
            stamp_ns=now_ns,
            images=images,
            truth=self.robot.truth(),
        )
