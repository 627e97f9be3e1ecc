"""Every robot file that ships: what its drivers publish becomes an observation of the node."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drivers import compressed_msg
from geometry_msgs.msg import PoseStamped, WrenchStamped
from metronome import Metronome
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CompressedImage, Image, JointState
from stage import stage
from vla_ros_msgs.msg import Observation, StreamStatus

from vla_ros.robot.command.intake import message_type, sources_of, stream_of
from vla_ros.robot.command.joints import JointReader
from vla_ros.robot.files import shared_folder
from vla_ros.robot.load import load_robot
from vla_ros.robot.senses.state_streams import elements
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.state import UNITS, JointSource, StateSpec
from vla_ros.robot.spec.streams import CameraSpec
from vla_ros.ros.conversions.image import image_msg
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.ros.conversions.times import header, ns_from

pytestmark = [pytest.mark.graph, pytest.mark.timeout(120)]

ROBOTS = sorted(path.stem for path in (shared_folder() / "config" / "robots").glob("*.yaml"))
STEP_NS = 10_000_000
KINDS = {
    f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}": kind
    for kind in (Image, CompressedImage, JointState, Odometry, PoseStamped, WrenchStamped)
}
SAMPLES: dict[type[Any], tuple[float, ...]] = {
    Odometry: (1.0, 2.0, 0.3, 0.4, 0.5, 0.6),
    PoseStamped: (0.1, 0.2, 0.3, 0.0, 0.6, 0.0, 0.8),
    WrenchStamped: (1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
}


def picture(camera: CameraSpec, t_ns: int) -> Any:
    """As its driver encodes it."""
    shape = (camera.raw_height, camera.raw_width, 3)
    rgb = np.random.default_rng(t_ns).integers(0, 255, shape, dtype=np.uint8)
    if camera.transport == "compressed":
        return compressed_msg(rgb, t_ns)
    assert camera.encoding in ("rgb8", "bgr8"), "teach this test the new encoding"
    message = image_msg(rgb[..., :: 1 if camera.encoding == "rgb8" else -1], t_ns, camera.frame_id)
    message.encoding = camera.encoding
    return message


def middle(spec: RobotSpec, source: StateSpec | JointSource) -> dict[str, float]:
    """What its driver would say with every joint in the middle of its range."""
    said = {}
    for joint in source.joints:
        limits = spec.limits.get(joint)
        value = 0.0
        if limits is not None and limits.lower is not None and limits.upper is not None:
            value = 0.5 * (limits.lower + limits.upper)
        rule = source.derived.get(joint)
        if rule is None:
            said[joint.removeprefix(source.prefix)] = value / UNITS[source.unit]
        else:
            said[rule.joint] = (value - rule.offset) / rule.scale
    return said


def fill(message: Any, sample: tuple[float, ...]) -> None:
    """A driver's message of something that is no joint."""
    if isinstance(message, WrenchStamped):
        force, torque = message.wrench.force, message.wrench.torque
        force.x, force.y, force.z, torque.x, torque.y, torque.z = sample
    elif isinstance(message, PoseStamped):
        p, q = message.pose.position, message.pose.orientation
        p.x, p.y, p.z, q.x, q.y, q.z, q.w = sample
    else:
        pose, twist = message.pose.pose, message.twist.twist
        pose.position.x, pose.position.y, yaw = sample[:3]
        pose.orientation.z, pose.orientation.w = np.sin(yaw / 2), np.cos(yaw / 2)
        twist.linear.x, twist.linear.y, twist.angular.z = sample[3:]


def messages(spec: RobotSpec, t_ns: int) -> list[tuple[str, Any]]:
    """What every driver publishes at one instant; one message for each topic."""
    sent: dict[str, Any] = {}
    joints: dict[str, dict[str, float]] = {}
    for source in sources_of(spec):
        if isinstance(source, CameraSpec):
            sent[source.topic] = picture(source, t_ns)
        elif isinstance(source, StateSpec | JointSource):
            joints.setdefault(source.topic, {}).update(middle(spec, source))
        else:
            message = KINDS[message_type(source)](header=header(t_ns))
            fill(message, SAMPLES[type(message)])
            sent[source.topic] = message
    sent |= {topic: joint_state_msg(t_ns, values) for topic, values in joints.items()}
    return list(sent.items())


@pytest.mark.parametrize("name", ROBOTS)
def test_what_the_drivers_of_a_shipped_robot_publish_becomes_an_observation(name: str) -> None:
    spec = load_robot(name)
    seen: list[Observation] = []
    with stage() as made:
        made.start("observation_sync", robot=name, lockstep=True)
        topics: dict[str, Any] = {
            source.topic: (
                KINDS[message_type(source)],
                "image" if isinstance(source, CameraSpec) else "joint_state",
            )
            for source in sources_of(spec)
        }
        beat = Metronome(made, ["observation_sync"], topics)
        beat.hear(Observation, "observation", seen.append)
        beat.start()
        for t_ns in range(100 * STEP_NS, 110 * STEP_NS, STEP_NS):
            beat.tick(t_ns, messages(spec, t_ns))
        assert made.stop("observation_sync") == 0
        assert len(seen) == 10, made.printed("observation_sync")
    last = seen[-1]
    assert ns_from(last.header.stamp) == 109 * STEP_NS
    assert {s.name for s in last.streams} == {stream_of(source) for source in sources_of(spec)}
    assert {s.status for s in last.streams} <= {StreamStatus.OK, StreamStatus.INTERPOLATED}
    assert len(last.state) == spec.state_space().dim
    wanted = {c.key: (c.height, c.width) for c in spec.cameras}
    assert {i.key: (i.image.height, i.image.width) for i in last.images} == wanted
    state = dict(zip(spec.state_space().names, last.state, strict=True))
    for source in (spec.state, *spec.state.sources):
        if isinstance(source, StateSpec | JointSource):
            said, names = middle(spec, source), source.joints
            values = JointReader(source).read(list(said), list(said.values()))
        else:
            names = tuple(name for _, _, part in source.parts for name in part)
            values = elements(source, np.array(SAMPLES[KINDS[message_type(source)]]))
        for name, value in zip(names, values, strict=True):
            if name in state:  # a state vector may be made of a part of what is known
                assert state[name] == pytest.approx(value, abs=1e-9), name
