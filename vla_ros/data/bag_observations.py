"""The observations that a recorded bag holds: what the live node would have published.

The bag's messages go to the same ``Observer`` in the order and at the times in which they were
recorded, and it is asked for observations at the same instants as in `observation_sync`. So a
dataset is made of exactly what a policy is shown later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from rosbags.highlevel import AnyReader

from vla_ros.data.run_bag import BadRunError
from vla_ros.robot.command.intake import message_type, push, sources_of, topics
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.spaces import Observation, TimeContract
from vla_ros.sync import Refusal

PERIOD_NS = 10_000_000
"""Observations are asked for at every multiple of this, as in the node."""
AFTER_NS = 1_000_000_000
"""How long after the last message observations may still become complete."""


def observations_of(
    bag: Path,
    spec: RobotSpec,
    contract: TimeContract,
    refused: Callable[[Refusal], None] = lambda _: None,
) -> Iterator[Observation]:
    """Every observation of a bag, in order.

    Args:
        bag: rosbag2 folder with the topics of the robot file, received in ROS time.
        spec: The robot.
        contract: Of the policy that would see them, or of the dataset to be made.
        refused: Told why a message or an observation was refused.

    Raises:
        BadRunError: A topic of the robot file is not in the bag, or carries another type.
    """
    sources = sources_of(spec)
    observer = Observer(spec, contract)

    def ask(from_ns: int, until_ns: int) -> Iterator[Observation]:
        first = -(-from_ns // PERIOD_NS) * PERIOD_NS
        for now_ns in range(first, until_ns, PERIOD_NS):
            result = observer.observe(now_ns)
            if isinstance(result, Observation):
                yield result
            elif result is not None:
                refused(result)

    with AnyReader([bag]) as reader:
        carried = {c.topic: c.msgtype for c in reader.connections}
        for source in sources:
            if carried.get(source.topic) != message_type(source):
                raise BadRunError(
                    f"{bag}: {carried.get(source.topic, 'nothing')} on {source.topic}, expected "
                    f"{message_type(source)}; the bag has {', '.join(sorted(carried))}"
                )
        read = {topic for source in sources for topic in topics(source)}
        wanted = [c for c in reader.connections if c.topic in read]
        last_ns = 0
        for connection, received_ns, raw in reader.messages(wanted):
            if last_ns:
                yield from ask(last_ns, received_ns)
            message = reader.deserialize(raw, connection.msgtype)
            for source in sources:
                if connection.topic in topics(source):
                    topic = connection.topic
                    refusal = push(observer, source, message, received_ns, topic=topic)
                    if refusal is not None:
                        refused(refusal)
            last_ns = received_ns
        yield from ask(last_ns, last_ns + AFTER_NS)
