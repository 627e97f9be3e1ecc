"""`vla doctor`: is everything up, at what rate and age, and what to mend."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

NODES = ("observation_sync", "policy", "control_bridge", "task_planner")
FOREIGN_S = 1.0  # no driver is that late
SLOW = 0.8  # a stream below this share of its nominal rate is not healthy


@dataclass(kw_only=True)
class Listened:
    """What arrived on one topic while the doctor listened.

    Attributes:
        topic: its full name.
        rate_hz: nominal rate; 0 when the topic speaks only on change.
        mend: what to do when nothing arrives.
        ages_s: age of each message at arrival, by its header stamp [s].
        publishers: how many there are.
        problem: what is wrong with them, in words.
    """

    topic: str
    rate_hz: float
    mend: str
    ages_s: list[float] = field(default_factory=list)
    publishers: int = 0
    problem: str | None = None

    def verdict(self, seconds: float) -> tuple[bool, str]:
        """(healthy, words)."""
        measured = len(self.ages_s) / seconds
        if self.publishers == 0:
            return False, f"nobody publishes it: {self.mend}"
        if self.problem is not None:
            return False, self.problem
        if not self.ages_s:
            return False, "published but nothing arrives: compare QoS, network and load"
        if self.rate_hz and measured < SLOW * self.rate_hz:
            return False, f"slow: expected {self.rate_hz:g} Hz; is the host loaded?"
        if min(self.ages_s) > FOREIGN_S:
            return False, (
                f"stamps are {min(self.ages_s):.1f} s old and more: another clock (chrony, "
                "use_sim_time), no clock (clock: receive in the robot file), or a long queue"
            )
        if max(self.ages_s) < -0.001:
            return False, "stamps lie in the future: the clocks differ (chrony, use_sim_time)"
        return True, "ok"


def table_of(streams: list[Listened], seconds: float) -> Table:
    """One row per stream."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title, side in (
        ("", "left"),
        ("topic", "left"),
        ("rate", "right"),
        ("age", "right"),
        ("", "left"),
    ):
        table.add_column(title, justify=side)  # type: ignore[arg-type]
    for stream in streams:
        good, words = stream.verdict(seconds)
        age = (
            f"{sorted(stream.ages_s)[len(stream.ages_s) // 2] * 1e3:.0f} ms"
            if stream.ages_s
            else ""
        )
        rate = f"{len(stream.ages_s) / seconds:.1f} Hz" if stream.ages_s else ""
        table.add_row(
            "[green]✓[/]" if good else "[red]✗[/]", stream.topic, rate, age, "" if good else words
        )
    return table


def doctor(robot: str, seconds: float) -> int:
    """Listen, print what was found; 0 when all is well."""
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.parameter import Parameter
    from rclpy.qos import qos_profile_sensor_data
    from vla_ros_msgs.msg import Commanded, Observation

    from vla_ros.robot.load import load_robot
    from vla_ros.ros.observation_inputs import topics_of
    from vla_ros.ros.publications import publication_problem
    from vla_ros.ros.task_client import TaskClient

    console = Console()
    spec = load_robot(robot)
    sim_time = False
    with TaskClient() as probe:
        probe.spin_until(lambda: probe.node.count_publishers("/clock") > 0, 2.0)
        sim_time = probe.node.count_publishers("/clock") > 0
    rates = {camera.key: camera.rate_hz for camera in spec.cameras}
    streams: list[tuple[Listened, type]] = [
        (
            Listened(
                topic=topic,
                rate_hz=rates.get(stream, 0),
                mend="start its driver or broadcaster, or mend `topic` in the robot file",
            ),
            kind,
        )
        for stream, topic, kind in topics_of(spec)
    ]
    sensors = {stream.topic for stream, _ in streams}
    streams.append(
        (Listened(topic="/vla/observation", rate_hz=0, mend="is observation_sync up?"), Observation)
    )
    streams.append(
        (
            Listened(
                topic="/vla/commanded", rate_hz=spec.rates.control_hz, mend="is control_bridge up?"
            ),
            Commanded,
        )
    )
    diagnostics: dict[str, Any] = {}

    with TaskClient() as client:
        client.node.set_parameters([Parameter("use_sim_time", value=sim_time)])

        def listener(stream: Listened) -> Callable[[Any], None]:
            def heard(message: Any) -> None:
                stamp = message.header.stamp
                stream.ages_s.append((client.now_ns - stamp.sec * 10**9 - stamp.nanosec) * 1e-9)

            return heard

        def diagnosed(message: Any) -> None:
            diagnostics.update({status.name: status for status in message.status})

        for stream, kind in streams:
            client.node.create_subscription(
                kind, stream.topic, listener(stream), qos_profile_sensor_data
            )
        client.node.create_subscription(DiagnosticArray, "/diagnostics", diagnosed, 10)
        client.spin_until(lambda: False, 1.0)  # discovery
        for stream, _ in streams:
            stream.ages_s.clear()
        start = time.monotonic()
        client.spin_until(lambda: False, seconds)
        listened = time.monotonic() - start
        alive = {name for name, _ in client.node.get_node_names_and_namespaces()}
        for stream, kind in streams:
            stream.publishers = client.node.count_publishers(stream.topic)
            if stream.topic in sensors:
                stream.problem = publication_problem(client.node, stream.topic, kind)

    console.print(
        f"[bold]{spec.name}[/], {'simulated' if sim_time else 'system'} time, {listened:.1f} s",
        highlight=False,
    )
    for name in NODES:
        console.print(
            f"[green]✓[/] node {name}" if name in alive else f"[red]✗[/] node {name} is not up",
            highlight=False,
        )
    console.print(table_of([stream for stream, _ in streams], listened))
    level_words = {0: "[green]✓[/]", 1: "[yellow]![/]", 2: "[red]✗[/]", 3: "[red]✗[/]"}
    for status in sorted(diagnostics.values(), key=lambda s: s.name):
        level = (
            int.from_bytes(status.level, "little")
            if isinstance(status.level, bytes)
            else int(status.level)
        )
        console.print(f"{level_words[level]} {status.name}: {status.message}", highlight=False)
    worst = max((int.from_bytes(s.level, "little") for s in diagnostics.values()), default=0)
    healthy = set(NODES) <= alive and worst < 2 and all(s.verdict(listened)[0] for s, _ in streams)
    return 0 if healthy else 1
