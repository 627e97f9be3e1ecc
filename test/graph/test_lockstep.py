"""sim_robot and observation_sync in lockstep: exact times, equal runs, and words when it stalls."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, JointState
from stage import Stage, stage
from vla_ros_msgs.msg import Observation, SimState

from vla_ros.robot.load import load_robot, spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.image import rgb_from
from vla_ros.ros.conversions.joints import positions_from
from vla_ros.ros.conversions.times import ns_from

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]
COUNT = 12
UNTIL_NS = 12_000_000_000  # simulated; a test that joins some seconds late has seen enough by then


@dataclass
class Seen:
    """Messages by their stamp."""

    observations: list[Observation] = field(default_factory=list)
    images: dict[int, Image] = field(default_factory=dict)
    joints: dict[int, JointState] = field(default_factory=dict)
    truth: dict[int, SimState] = field(default_factory=dict)

    def until_ns(self) -> int:
        """Capture of the latest observation."""
        return ns_from(self.observations[-1].header.stamp) if self.observations else 0

    def listen(self, stage: Stage) -> None:
        def keep(store: dict) -> object:
            return lambda m: store.__setitem__(ns_from(m.header.stamp), m)

        node = stage.node
        for kind, topic, role, store in (
            (Image, "/camera/front/image_raw", "image", self.images),
            (JointState, "/joint_states", "joint_state", self.joints),
            (SimState, "sim_robot/truth", "truth", self.truth),
        ):
            profile = patient(role)
            node.create_subscription(kind, topic, keep(store), profile)
        node.create_subscription(
            Observation, "observation", self.observations.append, patient("observation")
        )


def patient(role: qos.Role) -> QoSProfile:
    """Lockstep does not wait for the test: it may be slower, and it may come late."""
    profile = qos.profile(role, lockstep=True)
    profile.depth = 1000
    return profile


def run_once() -> Seen:
    seen = Seen()
    with stage() as made:
        seen.listen(made)
        made.start("observation_sync", lockstep=True)
        made.start("sim_robot", lockstep=True, lockstep_nodes="[observation_sync]", seed=4)
        made.wait(lambda: seen.until_ns() > UNTIL_NS, "observations")
        for name in ("sim_robot", "observation_sync"):
            assert made.stop(name) == 0, made.printed(name)
            assert "Traceback" not in made.printed(name)
    return seen


@pytest.fixture(scope="module")
def seen() -> Seen:
    """One run."""
    return run_once()


def test_every_anchor_image_becomes_one_observation_at_its_capture(seen: Seen) -> None:
    stamps = [ns_from(message.header.stamp) for message in seen.observations[:COUNT]]
    assert np.diff(stamps).tolist() == [50_000_000] * (COUNT - 1)
    assert np.diff([m.seq for m in seen.observations[:COUNT]]).tolist() == [1] * (COUNT - 1)
    robot = load_robot("sim_arm")
    for message, stamp in zip(seen.observations[:COUNT], stamps, strict=True):
        assert message.spec_hash == spec_hash(robot)
        assert ns_from(message.start) == stamp
        assert {s.offset_s for s in message.streams} == {0.0}
        assert {round(s.age_s, 6) for s in message.streams} == {0.03}


def test_the_state_is_the_joint_state_of_the_capture_in_the_robot_files_order(seen: Seen) -> None:
    compared = 0
    for message in seen.observations:
        joints = seen.joints.get(ns_from(message.header.stamp))
        if joints is not None:
            positions = positions_from(joints)
            wanted = [positions[name] for name in load_robot("sim_arm").state.joints]
            assert np.array_equal(np.asarray(message.state), wanted)
            compared += 1
    assert compared >= COUNT // 2


def test_the_image_is_the_raw_image_of_the_capture_in_dataset_space(seen: Seen) -> None:
    transform = load_robot("sim_arm").camera("front").transform
    compared = 0
    for message in seen.observations:
        raw = seen.images.get(ns_from(message.header.stamp))
        if raw is not None:
            front = next(image for image in message.images if image.key == "front")
            assert np.array_equal(rgb_from(front.image), transform.apply(rgb_from(raw)))
            compared += 1
    assert compared >= COUNT // 2


def test_the_truth_comes_with_every_anchor_image(seen: Seen) -> None:
    joined = min(seen.truth)
    stamps = {ns_from(m.header.stamp) for m in seen.observations}
    wanted = {stamp for stamp in stamps if joined <= stamp <= max(seen.truth)}
    assert len(wanted) >= COUNT
    assert wanted <= set(seen.truth)


def test_a_second_run_with_the_same_seed_is_equal(seen: Seen) -> None:
    again = {ns_from(m.header.stamp): m for m in run_once().observations}
    first_run = {ns_from(m.header.stamp): m for m in seen.observations}
    both = [(first_run[stamp], again[stamp]) for stamp in first_run.keys() & again.keys()]
    assert len(both) >= COUNT
    for first, second in both:
        assert first == second


def test_a_lockstep_run_that_stalls_ends_and_names_the_node_waited_for() -> None:
    with stage() as made:
        made.start("sim_robot", lockstep=True, lockstep_nodes="[policy]", lockstep_start_s=1.0)
        assert made.ended("sim_robot") == 1
        assert "policy never reported" in made.printed("sim_robot")
        assert "Traceback" not in made.printed("sim_robot")
