"""`vla doctor`: is everything up, at what rate and age, and what to mend."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markup import escape

from vla_ros.cli.listened import Listened, table_of
from vla_ros.cli.nodes import NODES
from vla_ros.cli.observed import observed_table
from vla_ros.errors import VlaError
from vla_ros.policy.checkpoints.state_range import state_range
from vla_ros.policy.remote.clock import OFFSET, ROUND_TRIP, clock_problem
from vla_ros.robot.command.intake import stamp_of
from vla_ros.robot.command.joints import JointReader, JointsError
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.spaces import StreamReport

if TYPE_CHECKING:
    from vla_ros.ros.task_client import TaskClient

OBSERVATION = "/vla/observation"
MARKS = {0: "[green]✓[/]", 1: "[yellow]![/]", 2: "[red]✗[/]", 3: "[red]✗[/]"}


@dataclass(kw_only=True)
class Examined:
    """What was there while the doctor listened.

    Attributes:
        streams: Every topic that matters.
        seconds: How long.
        sim_time: Whether time is simulated.
        alive: Names of the nodes.
        statuses: Newest status by name: level, words and values.
        states: State vectors of the observations.
        observed: How each stream took part in the newest of them.
        problems: What else is wrong, in words.
    """

    streams: list[Listened]
    sim_time: bool
    seconds: float = 0.0
    alive: set[str] = field(default_factory=set)
    statuses: dict[str, tuple[int, str, Mapping[str, str]]] = field(default_factory=dict)
    states: list[npt.NDArray[np.float64]] = field(default_factory=list)
    observed: tuple[StreamReport, ...] = ()
    problems: list[str] = field(default_factory=list)


def doctor(robot: str, seconds: float, policy: str = "") -> int:
    """Listen, print what was found; 0 when all is well.

    Args:
        robot: Robot file.
        seconds: How long to listen.
        policy: Checkpoint whose training data the state is compared with; empty: none.
    """
    console, spec = Console(soft_wrap=True, highlight=False), load_robot(robot)
    found = _examine(spec, seconds)
    console.print(
        f"[bold]{spec.name}[/], {'simulated' if found.sim_time else 'system'} time, "
        f"{found.seconds:.1f} s"
    )
    for name in NODES:
        up = name in found.alive
        console.print(f"{MARKS[0]} node {name}" if up else f"{MARKS[2]} node {name} is not up")
    console.print(table_of(found.streams, found.seconds))
    if found.observed:
        console.print(observed_table(found.observed))
    for name, (level, words, _) in sorted(found.statuses.items()):
        console.print(f"{MARKS[level]} {escape(f'{name}: {words}')}")
    problems = [
        *found.problems,
        *clock_problems(found.statuses),
        *unit_problems(spec, policy, found.states),
    ]
    for problem in problems:
        console.print(f"{MARKS[2]} {escape(problem)}")
    healthy = (
        set(NODES) <= found.alive
        and all(level < 2 for level, _, _ in found.statuses.values())
        and all(stream.verdict(found.seconds)[0] for stream in found.streams)
        and not problems
    )
    return 0 if healthy else 1


def clock_problems(statuses: Mapping[str, tuple[int, str, Mapping[str, str]]]) -> list[str]:
    """What is wrong with the clock of a policy server that a node asks."""
    told = (values for _, _, values in statuses.values())
    pairs = ((values.get(OFFSET), values.get(ROUND_TRIP)) for values in told)
    found = (clock_problem(float(off), float(trip)) for off, trip in pairs if off and trip)
    return [problem for problem in found if problem]


def joint_problem(joints: JointReader, message: Any) -> str | None:
    """Why a joint state cannot be read, or None."""
    try:
        joints.read(message.name, message.position)
    except JointsError as error:
        return str(error)
    return None


def unit_problems(spec: RobotSpec, policy: str, states: list[npt.NDArray[np.float64]]) -> list[str]:
    """Which elements of the state are not where a checkpoint's training data had them."""
    if not policy:
        return []
    if not states:
        return [f"no observation came, so the state was not compared with '{policy}'"]
    limits = {
        name: (limit.lower, limit.upper)
        for name, limit in spec.limits.items()
        if limit.lower is not None and limit.upper is not None
    }
    try:
        trained = state_range(policy)
    except VlaError as error:
        return [str(error)]
    return trained.problems(spec.state_space().names, np.median(states, axis=0), limits)


def _examine(spec: RobotSpec, seconds: float) -> Examined:
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.parameter import Parameter
    from rclpy.qos import qos_profile_sensor_data
    from vla_ros_msgs.msg import Commanded, Observation

    from vla_ros.ros.observation_inputs import topics_of
    from vla_ros.ros.publications import publication_problem, qos_problem
    from vla_ros.ros.speed_scaling import undeclared
    from vla_ros.ros.task_client import TaskClient

    rates = {camera.key: camera.rate_hz for camera in spec.cameras}
    mend = "start its driver or broadcaster, or mend `topic` in the robot file"
    sensors = {
        topic: (Listened(topic=topic, rate_hz=rates.get(stream, 0), mend=mend), kind)
        for stream, topic, kind in topics_of(spec)
    }
    joints = {s.topic: JointReader(s, spec.limits) for s in spec.state.joint_sources}
    commands = "/vla/commanded"
    streams: dict[str, tuple[Listened, type[Any]]] = {
        **sensors,
        OBSERVATION: (
            Listened(topic=OBSERVATION, rate_hz=0, mend="is observation_sync up?"), Observation
        ),
        commands: (
            Listened(topic=commands, rate_hz=spec.rates.control_hz, mend="is control_bridge up?"),
            Commanded,
        ),
    }  # fmt: skip

    with TaskClient() as client:
        node = client.node
        client.spin_until(lambda: node.count_publishers("/clock") > 0, 2.0)
        found = Examined(
            streams=[stream for stream, _ in streams.values()],
            sim_time=node.count_publishers("/clock") > 0,
        )
        node.set_parameters([Parameter("use_sim_time", value=found.sim_time)])
        for stream, kind in streams.values():
            heard = _listener(client, stream, found, joints.get(stream.topic))
            node.create_subscription(kind, stream.topic, heard, qos_profile_sensor_data)
        node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda message: _note(found, message), 10
        )
        client.spin_until(lambda: False, 1.0)  # discovery
        for stream in found.streams:
            stream.ages_s.clear()
        start = time.monotonic()
        client.spin_until(lambda: False, seconds)
        found.seconds = time.monotonic() - start
        found.alive = {name for name, _ in node.get_node_names_and_namespaces()}
        for topic, (stream, kind) in streams.items():
            stream.publishers = node.count_publishers(topic)
            offered = publication_problem(node, topic, kind) if topic in sensors else None
            stream.problem = offered or stream.problem or qos_problem(node, topic)
        slider = undeclared(node)
        if slider and spec.speed_scaling is None:
            found.problems.append(slider)
    return found


def _listener(
    client: TaskClient, stream: Listened, found: Examined, joints: JointReader | None
) -> Callable[[Any], None]:
    from vla_ros.ros.conversions.observation import reports_from

    def heard(message: Any) -> None:
        stream.ages_s.append((client.now_ns - stamp_of(message)) * 1e-9)
        if stream.topic == OBSERVATION:
            found.states.append(np.array(message.state, dtype=np.float64))
            found.observed = reports_from(message)
        if joints is not None:
            stream.problem = joint_problem(joints, message)

    return heard


def _note(found: Examined, message: Any) -> None:
    for status in message.status:
        level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
        values = {item.key: item.value for item in status.values}
        found.statuses[status.name] = (level, status.message, values)
