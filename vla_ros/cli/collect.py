"""`vla sim collect`: demonstrations of the scripted expert, or its corrections of a policy."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vla_ros.cli.episodes import HORIZON, expert_spec, training_episode
from vla_ros.data.demo_frames import DemoInfo, FrameArrays
from vla_ros.data.demos import DemoWriter, read_info
from vla_ros.policy.load import load_policy
from vla_ros.policy.runner import PolicyRunner
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import RobotSpec, spec_hash
from vla_ros.sim.expert import ScriptedExpert
from vla_ros.sim.expert_policy import ExpertPolicy
from vla_ros.sim.judge import OPEN_M, in_bin
from vla_ros.sim.noise import DisturbedPolicy, plan_bursts
from vla_ros.sim.projection import Projector
from vla_ros.sim.rollout import Episode, Rollout, Seen, Timing
from vla_ros.sim.truth import BINS, CUBES, SimTruth, Target
from vla_ros.spaces.time_contract import OWN_DT_NS

ROBOT = "sim_arm"
EXECUTE_NS = IMAGE_PERIOD_NS = 100_000_000
TIME_LIMIT_NS = 10_000_000_000
AFTER_SUCCESS_NS = 400_000_000
UNTOUCHED_M = 0.01
OUT_OF_VIEW = 9.0


def collect(out: Path, episodes: int, seed: int, jobs: int, policy: Path | None) -> int:
    """Fill a demonstration set; failed episodes of the expert are dropped and counted."""
    console, started = Console(), time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    kept, frames, failed = spawn.Value("i"), spawn.Value("i"), spawn.Value("i")
    workers = [
        spawn.Process(
            target=_work,
            args=(out, range(seed + w, seed + episodes, jobs), w, policy, kept, frames, failed),
            daemon=True,
        )
        for w in range(jobs)
    ]
    os.environ["OMP_NUM_THREADS"] = "1"
    columns = (TextColumn("episodes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=episodes)
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            progress.update(task, completed=kept.value + failed.value)
            time.sleep(0.5)
        progress.update(task, completed=kept.value + failed.value)
    seconds = time.monotonic() - started
    console.print(
        f"{kept.value} episodes, {frames.value} frames, {failed.value} failed ones dropped, "
        f"{seconds:.0f} s ({frames.value / seconds:.0f} frames/s): {out}",
        highlight=False,
    )
    return max((worker.exitcode or 0 for worker in workers), default=0)


def demo_info(spec: RobotSpec, command: str) -> DemoInfo:
    """What all frames of the set have in common."""
    action, camera = spec.action_space(), spec.cameras[0]
    return DemoInfo(
        robot=spec.name,
        spec_hash=spec_hash(spec),
        state_names=spec.state_space().names,
        action_names=action.names,
        action_kinds=tuple("binary" if k == "binary" else "position" for k in action.kinds),
        camera_keys=spec.camera_keys,
        image_height=camera.height,
        image_width=camera.width,
        horizon=HORIZON,
        dt_s=OWN_DT_NS * 1e-9,
        time_contract=expert_spec(spec).contract.to_dict(),
        object_names=CUBES,
        bin_names=BINS,
        command=command,
    )


class Recorder:
    """Collects the frames of one episode, each with the clean expert's chunk as its label.

    Args:
        episode: What is being done.
        camera_keys: Order of the image array's axis C.
        policy: Frames that it calls disturbed are left out.
    """

    def __init__(self, episode: Episode, camera_keys: tuple[str, ...], policy: Any) -> None:
        self._episode = episode
        self._keys = camera_keys
        self._disturbed = getattr(policy, "disturbed", lambda now_ns: False)
        self._expert = ScriptedExpert()
        self._projector = Projector()
        self._clean = getattr(policy, "clean", {})
        self._truths: list[SimTruth] = []
        self._rows: list[tuple[Any, ...]] = []
        self._solved_ns: int | None = None

    def finished(self, truth: SimTruth) -> bool:
        """Whether the task has been solved for long enough to have shown what comes after."""
        if not _solved(truth, self._episode.target):
            self._solved_ns = None
            return False
        self._solved_ns = self._solved_ns or truth.stamp_ns
        return truth.stamp_ns - self._solved_ns >= AFTER_SUCCESS_NS

    def __call__(self, seen: Seen) -> None:
        """Keep one observation."""
        truth, target = seen.truth, self._episode.target
        if self._disturbed(truth.stamp_ns):
            return
        moved = truth.objects[target.cube].position - seen.before.objects[target.cube].position
        untouched = float(np.linalg.norm(moved)) < UNTOUCHED_M and truth.finger > OPEN_M
        self._truths.append(truth)
        self._rows.append(
            (
                np.stack([seen.observation.images[key] for key in self._keys]),
                seen.observation.state.astype(np.float32),
                scene_of(truth),
                np.nan_to_num(self._projector(truth), posinf=OUT_OF_VIEW),
                np.bool_(untouched or _solved(truth, target)),
                np.int32(seen.observation.seq),
            )
        )

    def frames(self) -> FrameArrays:
        """What was kept."""
        images, state, scene, pixels, eligible, frame = (
            np.stack(column) for column in zip(*self._rows, strict=True)
        )
        target = (CUBES.index(self._episode.target.cube), BINS.index(self._episode.target.bin))
        return FrameArrays(
            images=images,
            state=state,
            actions=np.stack([self._label(truth) for truth in self._truths]),
            target=np.tile(np.array(target, np.int16), (len(state), 1)),
            scene=scene,
            pixels=pixels,
            eligible=eligible,
            episode=np.full(len(state), self._episode.seed, np.int32),
            frame=frame,
        )

    def _label(self, truth: SimTruth) -> np.ndarray:
        """The undisturbed expert's chunk. Shape (T, A), float32."""
        chunk = self._clean.get(truth.stamp_ns)
        if chunk is None:
            chunk = self._expert.chunk(truth, self._episode.target, HORIZON, OWN_DT_NS)
        return np.asarray(chunk, np.float32)


def scene_of(truth: SimTruth) -> np.ndarray:
    """Position [m] and yaw [rad] of cubes and bins. Shape (P, 4), float32."""
    rows = []
    for name in (*CUBES, *BINS):
        pose = truth.objects[name]
        w, x, y, z = pose.quaternion
        yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        rows.append([*pose.position, yaw])
    return np.array(rows, np.float32)


def _solved(truth: SimTruth, target: Target) -> bool:
    return in_bin(truth, target.cube, target.bin) and truth.finger > OPEN_M


def _work(
    out: Path,
    seeds: range,
    worker: int,
    checkpoint: Path | None,
    kept: Synchronized[int],
    frames: Synchronized[int],
    failed: Synchronized[int],
) -> None:
    """One process: its share of the seeds."""
    spec = load_robot(ROBOT)
    expert = ExpertPolicy(expert_spec(spec))
    policy: Any = load_policy(str(checkpoint), threads=1) if checkpoint else DisturbedPolicy(expert)
    rollout = Rollout(
        spec,
        policy.spec.contract,
        timing=Timing(image_period_ns=IMAGE_PERIOD_NS, time_limit_ns=TIME_LIMIT_NS),
    )
    runner = PolicyRunner(
        policy.spec, spec.action_space(), execute_ns=EXECUTE_NS, spec_hash=spec_hash(spec)
    )
    source = "--policy" if checkpoint else "expert"
    info = demo_info(spec, f"vla sim collect ({source}, seeds {seeds.start}..{seeds.stop})")
    shards = out / "shards"
    first = 1 + max((int(p.name[1:3]) for p in shards.glob("w*")), default=-1)
    time.sleep(0.2)  # every process has looked at the folder before any writes to it
    if (out / "meta" / "info.json").exists():
        info = read_info(out)
    with DemoWriter(out, info, worker=first + worker) as writer:
        for seed in seeds:
            episode = training_episode(seed)
            recorder = Recorder(episode, spec.camera_keys, policy)
            if isinstance(policy, DisturbedPolicy):
                bursts = plan_bursts(np.random.default_rng([seed, 2]))
                policy.begin(bursts, rollout.robot.time_ns)
            result = rollout.run(
                episode, policy, runner, on_observation=recorder, until=recorder.finished
            )
            if result.success or checkpoint:
                recorded = recorder.frames()
                writer.append(recorded, seed=seed)
                with kept.get_lock():
                    kept.value += 1
                    frames.value += len(recorded)
            else:
                with failed.get_lock():
                    failed.value += 1
