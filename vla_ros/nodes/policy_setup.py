"""Parameters of the policy node, and what it makes of them: the policy and its runner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast, get_args

from vla_ros.chunks import Joining
from vla_ros.chunks.rtc import Jacobian
from vla_ros.nodes.expert import TopicExpert
from vla_ros.policy import Policy
from vla_ros.policy.load import load_policy
from vla_ros.policy.pose_policy import PosePolicy
from vla_ros.policy.runner import PolicyRunner, RunStats
from vla_ros.robot.check import check_policy
from vla_ros.robot.spec.robot import RobotSpec, spec_hash
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.parameters import NodeParameters, parameter

EXPERT = "expert"


@dataclass(frozen=True, kw_only=True)
class PolicyParameters(NodeParameters):
    """Parameters of policy."""

    robot: str = parameter("", "robot file: a path, or a name in share/vla_ros/config/robots")
    policy: str = parameter("", "'expert', a checkpoint folder, or a policy server's file")
    aggregation: str = parameter(
        "blend", "how a chunk joins the one before", choices=("sync", "blend", "ensemble", "rtc")
    )
    rtc_jacobian: str = parameter(
        "estimated",
        "rtc's pull: as it is, as far as the policy yields, or through the network (slower)",
        choices=get_args(Jacobian),
    )
    execute_s: float = parameter(
        0.2,
        "from one inference to the next, or executed of a chunk (sync)",
        unit="s",
        minimum=0.02,
        maximum=10.0,
    )
    inference_latency_s: float = parameter(
        0.06,
        "declared duration of an inference: in lockstep, and always for the expert",
        unit="s",
        minimum=0.0,
        maximum=5.0,
    )
    noise_rad: float = parameter(0.0, "of the expert's actions", unit="rad", minimum=0.0)
    seed: int = parameter(-1, "of the policy's noise where a goal names none; -1: random")
    threads: int = parameter(1, "CPU threads of the model", minimum=1, maximum=256)
    device: str = parameter("auto", "where it computes: cpu, cuda, cuda:0; auto: a GPU if any")
    time_limit_s: float = parameter(60.0, "of a goal that names none", unit="s", minimum=0.1)

    @property
    def latency_ns(self) -> int:
        """Time after which a chunk is published at the soonest; 0 where none is declared."""
        declared = self.lockstep or self.policy == EXPERT
        return round(self.inference_latency_s * 1e9) if declared else 0


def load_for(
    robot: RobotSpec, parameters: PolicyParameters, on_stage: Callable[[str], None]
) -> Policy:
    """The policy, checked against the robot and warm. Takes seconds.

    Args:
        robot: The robot file.
        parameters: Of the node.
        on_stage: Called with what comes next, in words.

    Raises:
        VlaError: It cannot be loaded, or does not fit the robot.
    """
    policy: Policy
    on_stage(f"loading, 1 of 2: reading and building {parameters.policy}")
    if parameters.policy == EXPERT:
        policy = TopicExpert(robot, noise_rad=parameters.noise_rad)
    else:
        policy = load_policy(
            parameters.policy, threads=parameters.threads, device=parameters.device
        )
    check_policy(robot, policy.spec)
    if robot.pose_slices:
        policy = PosePolicy(policy, robot)
    on_stage(f"loading, 2 of 2: warming up {policy.spec.name} {policy.spec.model_id}")
    policy.warm_up()
    return policy


def runner_for(policy: Policy, robot: RobotSpec, parameters: PolicyParameters) -> PolicyRunner:
    """The runner of a loaded policy.

    Raises:
        VlaError: Its actions are not those of the robot, or it cannot join chunks as set.
    """
    return PolicyRunner(
        policy.spec,
        robot.action_space(),
        aggregation=cast(Joining, parameters.aggregation),
        execute_ns=round(parameters.execute_s * 1e9),
        jacobian=cast(Jacobian, parameters.rtc_jacobian),
        turning=robot.turning_elements(),
        period_ns=robot.rates.control_period_ns,
        spec_hash=spec_hash(robot),
    )


def tell(diagnostics: Diagnostics, stats: RunStats, model_id: str) -> None:
    """Say how the last chunk was joined, and warn where that is not what was set."""
    diagnostics.values |= {
        "aggregation": stats.aggregation,
        "delay [rows]": stats.delay_steps,
        "slowed by inference": stats.stretch,
        "chunks not joined as set": stats.fallbacks,
    }
    diagnostics.set("warn" if stats.concern else "ok", stats.concern or model_id)
