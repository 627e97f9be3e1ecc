"""The policy of `motion_loop` against the rig: it sees joint states, and its chunks are published.

Joint states are 33 ms apart and 30 ms old as in `motion_loop`.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import replace

import numpy as np
from vla_ros_msgs.msg import Commanded, Run

from benchmarks.motion_loop import (
    CAMERA_AGE_NS,
    CAMERA_NS,
    MS,
    PERIOD_NS,
    SPACE,
    SPEC,
    Array,
    FlowPolicy,
    Reference,
)
from benchmarks.motion_rig import Rig
from vla_ros.chunks import Joining
from vla_ros.policy.runner import Job, PolicyRunner
from vla_ros.ros.conversions.plan import chunk_msg, run_id_from, uuid_msg
from vla_ros.ros.conversions.times import ns_from
from vla_ros.spaces import Observation


class Follower:
    """One run of the policy through the rig.

    Args:
        rig: Where.
        reference: What to follow, by seconds after the start.
        latency_s: Of the inference; the policy itself takes some ms of it.
        seed: Of the policy's noise.
        runner: How chunks are joined.
    """

    def __init__(
        self, rig: Rig, reference: Reference, latency_s: float, seed: int, runner: PolicyRunner
    ) -> None:
        self.rig = rig
        self.policy = FlowPolicy(reference=reference, rng=np.random.default_rng(seed))
        self.runner = runner
        self.latency_ns = round(latency_s * 1e9)
        self.published: list[tuple[int, int]] = []
        """When chunks were published, and the instants they saw, in [ns] after the start."""
        self.stretch = 1.0
        self.stopped = ""
        self.t0_ns = self.end_ns = 0
        self.knows_after_ns = 1 << 62
        self._seen: deque[Observation] = deque()
        self._job: tuple[Job, Array] | None = None
        self._next_ns = 0

    def run(self, seconds: float) -> None:
        """Follow the reference for a while, then end the run."""
        rig, run_id = self.rig, uuid.uuid4().bytes
        rig.home()
        assert rig.status is not None  # home waited for it
        self.runner.start_run(run_id, rig.status.epoch, "follow")
        rig.runs.publish(Run(run_id=uuid_msg(run_id), epoch=rig.status.epoch, state=Run.STARTED))
        rig.on_commanded = self._progress
        self.t0_ns = self._next_ns = time.time_ns()
        end_ns = self.t0_ns + round(seconds * 1e9)

        def over() -> bool:
            self._work(time.time_ns())
            assert rig.status is not None
            if rig.status.reset_required:
                self.stopped = rig.status.stop_text
            return time.time_ns() > end_ns or bool(self.stopped)

        rig.client.spin_until(over, seconds + 5.0)
        self.end_ns = time.time_ns()
        rig.on_commanded = lambda _: None
        rig.runs.publish(Run(run_id=uuid_msg(run_id), state=Run.ENDED, hold_at_end=True))
        self.runner.end_run()
        rig.client.spin_until(lambda: rig.followed[-1][0] >= self.end_ns, 5.0)

    def _progress(self, message: Commanded) -> None:
        self.runner.progress(
            run_id_from(message.run_id),
            message.chunk_seq,
            message.chunk_row,
            ns_from(message.header.stamp),
        )

    def _work(self, now_ns: int) -> None:
        while self._next_ns <= now_ns:
            self._look(self._next_ns)
            self._next_ns += CAMERA_NS
        while self._seen and self._seen[0].t_obs_ns <= now_ns - CAMERA_AGE_NS:
            self.runner.observe(self._seen.popleft())
        if self._job and now_ns >= self._job[0].inference_start_ns + self.latency_ns:
            (job, answer), self._job = self._job, None
            plan = self.runner.finish(job, answer, inference_end_ns=now_ns, publish_ns=now_ns)
            if plan is not None:
                self.rig.chunks.publish(chunk_msg(plan, "base"))
                self.published.append((now_ns - self.t0_ns, plan.t_obs_ns - self.t0_ns))
                self.stretch = max(self.stretch, self.runner.stats.stretch)
        job = self.runner.poll(now_ns) if self._job is None else None
        if job is not None:
            seen = job.request.observation
            shifted = replace(
                seen, t_obs_ns=seen.t_obs_ns - self.t0_ns, start_ns=seen.start_ns - self.t0_ns
            )
            self._job = (job, self.policy.infer(replace(job.request, observation=shifted)))

    def _look(self, t_ns: int) -> None:
        stamp_ns, state = self.rig.joints[-1]
        self._seen.append(
            Observation(
                seq=t_ns // CAMERA_NS,
                t_obs_ns=t_ns,
                start_ns=t_ns,
                images={},
                image_stamps_ns={},
                state=state,
                state_stamp_ns=stamp_ns,
                streams=(),
            )
        )


def runner_of(rig: Rig, joining: Joining, execute_ns: int | None = None) -> PolicyRunner:
    """As in the loop in simulated time."""
    if execute_ns is None:
        execute_ns = 800 * MS if joining == "sync" else 200 * MS
    return PolicyRunner(
        SPEC,
        SPACE,
        aggregation=joining,
        execute_ns=execute_ns,
        period_ns=PERIOD_NS,
        spec_hash=rig.spec_hash,
    )
