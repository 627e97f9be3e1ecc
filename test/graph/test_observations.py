"""observation_sync as a process: what it observes, and how it finds its sensors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from drivers import FRAME_NS, FULL, JOINTS, Drivers, small_robot
from metronome import Metronome
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from scripted import TICK_NS, TOPICS, Script, positions
from sensor_msgs.msg import CompressedImage, Image
from stage import Stage, stage
from vla_ros_msgs.msg import Observation, StreamStatus

from vla_ros.ros import qos
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.ros.conversions.times import ns_from, time_msg

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]


class Scene:
    """A running observation_sync, its drivers, and what came out."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.drivers = Drivers(stage, compressed=("wrist",))
        self.observations: list[Observation] = []
        stage.node.create_subscription(
            Observation, "observation", self.observations.append, qos.profile("observation")
        )

    def see(self, count: int = 5) -> list[Observation]:
        """Waits for new observations."""
        since = len(self.observations)
        self.stage.wait(lambda: len(self.observations) >= since + count, "observations")
        return self.observations[since:]

    def value(self, key: str) -> str:
        """One value of the node's diagnostics; empty where it is not there."""
        status = self.stage.diagnostics.get("observation_sync")
        values = {} if status is None else {item.key: item.value for item in status.values}
        return values.get(key, "")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One node for the tests of this file, but the last."""
    robot = small_robot(tmp_path_factory.mktemp("robot"), **FULL)
    with stage() as made:
        made.start("observation_sync", robot=robot)
        scene = Scene(made)
        scene.see(10)
        yield scene
        assert made.stop("observation_sync") == 0
        assert "Traceback" not in made.printed("observation_sync")


@pytest.fixture(autouse=True)
def in_order(request: pytest.FixtureRequest) -> Iterator[None]:
    """Puts the drivers in order after each test, and sees the node recover."""
    if "scene" not in request.fixturenames:
        yield
        return
    scene: Scene = request.getfixturevalue("scene")
    positions = dict(scene.drivers.positions)
    yield
    scene.drivers.positions = positions
    scene.drivers.connect("front", Image)
    scene.see()


def test_an_observation_is_stamped_with_the_capture_and_says_how_far_each_stream_is_from_it(
    scene: Scene,
) -> None:
    seen = scene.see(10)
    for earlier, later in itertools.pairwise(seen):
        # The topic keeps the latest only, so a busy reader may miss one: then a frame is missing.
        frames = (ns_from(later.header.stamp) - ns_from(earlier.header.stamp)) // FRAME_NS
        assert 1 <= later.seq - earlier.seq <= frames
    for message in seen:
        t_ns = ns_from(message.header.stamp)
        assert t_ns % FRAME_NS == 0
        assert message.header.frame_id == "base_link"
        assert {s.offset_s for s in message.streams} == {0.0}
        assert [s.name for s in message.streams] == ["front", "wrist", "state", "state/base"]
        assert {s.status for s in message.streams} == {StreamStatus.OK}
        assert ns_from(message.start) == t_ns


def test_compressed_pictures_and_odometry_are_part_of_the_observation(scene: Scene) -> None:
    seen = scene.see(3)[-1]
    assert [image.key for image in seen.images] == ["front", "wrist"]
    assert {(i.image.height, i.image.width) for i in seen.images} == {(96, 96)}
    front, wrist = (np.asarray(image.image.data) for image in seen.images)
    np.testing.assert_array_equal(front, wrist)  # both see the same, and PNG loses nothing
    np.testing.assert_allclose(seen.state[-2:], [0.5, -0.25])


def test_the_diagnostics_show_offset_age_and_rate_of_every_stream(scene: Scene) -> None:
    streams, shown = ("front", "wrist", "state", "state/base"), ("offset [s]", "age [s]", "[Hz]")
    keys = [f"{stream} {what}" for stream in streams for what in shown]
    scene.stage.wait(lambda: all(scene.value(key) for key in keys), "every value")
    for stream in streams:
        assert float(scene.value(f"{stream} offset [s]")) == 0.0
        assert 0.0 < float(scene.value(f"{stream} age [s]")) < 5.0
        assert float(scene.value(f"{stream} [Hz]")) > 1.0


def test_joint_states_in_another_order_with_more_joints_and_no_velocities_are_read_by_name(
    scene: Scene,
) -> None:
    shuffled = ["wheel", "finger_joint", *reversed(JOINTS)]
    wanted = {name: 0.3 - 0.01 * k for k, name in enumerate((*JOINTS, "finger_joint"))}
    scene.drivers.positions = {name: wanted.get(name, 9.0) for name in shuffled}
    scene.stage.wait(
        lambda: np.allclose(scene.observations[-1].state[:7], list(wanted.values())), "the values"
    )


def test_a_driver_that_comes_back_with_another_reliability_is_heard_again(scene: Scene) -> None:
    for reliability in (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE):
        scene.drivers.connect("front", Image, reliability)
        scene.see(10)


def test_a_topic_that_carries_another_type_is_named_with_both(scene: Scene) -> None:
    scene.drivers.disconnect("front")
    stranger = scene.stage.node.create_publisher(CompressedImage, "/camera/front/image_raw", 2)
    scene.stage.wait(lambda: "carries sensor_msgs/msg/Comp" in scene.value("front topic"), "it")
    assert "sensor_msgs/msg/Image is expected" in scene.value("front topic")
    assert "transport" in scene.value("front topic")
    scene.stage.node.destroy_publisher(stranger)


def test_a_reader_of_the_observations_that_asks_for_more_than_is_offered_is_named(
    scene: Scene,
) -> None:
    greedy = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    reader = scene.stage.node.create_subscription(Observation, "observation", print, greedy)
    key = "observation QoS"
    scene.stage.wait(lambda: "/vla/stage asks for more" in scene.value(key), "its name")
    scene.stage.node.destroy_subscription(reader)
    scene.stage.wait(lambda: scene.value(key) == "ok", "its end")


def test_a_topic_without_a_publisher_is_named(scene: Scene) -> None:
    scene.drivers.disconnect("front")
    scene.stage.wait(lambda: "nobody publishes" in scene.value("front topic"), "its absence")


def test_a_robot_without_cameras_is_observed_at_its_joint_states(tmp_path: Path) -> None:
    path = small_robot(tmp_path)
    values = yaml.safe_load(path.read_text("utf-8")) | {"anchor": "state", "cameras": []}
    path.write_text(yaml.safe_dump(values), "utf-8")
    seen: list[Observation] = []
    with stage() as made:
        made.start("observation_sync", robot=path, lockstep=True)
        topic, kind, role = TOPICS["state"]
        beat = Metronome(made, ["observation_sync"], {topic: (kind, role)})
        beat.hear(Observation, "observation", seen.append)
        beat.start()
        stamps = range(100 * TICK_NS, 105 * TICK_NS, TICK_NS)
        for t_ns in stamps:
            beat.tick(t_ns, [(topic, joint_state_msg(t_ns, positions(t_ns)))])
        assert made.stop("observation_sync") == 0
    assert [ns_from(one.header.stamp) for one in seen] == list(stamps)
    for one, t_ns in zip(seen, stamps, strict=True):
        assert not one.images
        assert one.state[0] == positions(t_ns)["joint1"]
        assert [(s.name, s.status) for s in one.streams] == [("state", StreamStatus.OK)]


def test_when_time_jumps_back_nothing_from_before_is_ever_matched(tmp_path: Path) -> None:
    script, observations = Script(), list[Observation]()
    with stage() as made:
        node = made.node
        send = {t: node.create_publisher(kind, t, 10) for t, kind, _ in TOPICS.values()}
        clock = node.create_publisher(Clock, "/clock", qos.profile("clock"))
        node.create_subscription(
            Observation, "observation", observations.append, qos.profile("observation")
        )
        made.start("observation_sync", robot=small_robot(tmp_path), use_sim_time=True)
        for start_ns in (500_000_000_000, 100_000_000_000):
            t_ns, seen = start_ns, len(observations)
            while len(observations) < seen + 5:
                t_ns += TICK_NS
                clock.publish(Clock(clock=time_msg(t_ns)))
                for topic, message in script.at(t_ns):
                    send[topic].publish(message)
                made.waits(lambda: False, 0.03)  # about real time, so that it is no leap ahead
                assert t_ns < start_ns + 100_000_000_000, made.printed("observation_sync")
        made.wait(
            lambda: "histories cleared" in made.printed("observation_sync"), "words about the jump"
        )
        assert made.stop("observation_sync") == 0
    stamps = [ns_from(o.header.stamp) for o in observations]
    assert min(np.diff(stamps)) < -100_000_000_000
    for observation, stamp in zip(observations, stamps, strict=True):
        for stream in observation.streams:
            assert abs(ns_from(stream.stamp) - stamp) <= 30_000_000
