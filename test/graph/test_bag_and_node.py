"""One recorded bag, replayed through the node and read offline: the same observations."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ament_index_python.packages import get_package_share_directory
from drivers import FULL, JOINTS, compressed_msg, small_robot
from metronome import Metronome
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CompressedImage, Image, JointState
from stage import stage
from vla_ros_msgs.msg import Observation

from vla_ros.data.bag_observations import AFTER_NS, PERIOD_NS, observations_of
from vla_ros.data.definitions import Definitions
from vla_ros.data.recording import BagRecording
from vla_ros.data.run_bag import BadRunError
from vla_ros.policy.contract import contract_of
from vla_ros.robot.load import load_robot
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros import qos
from vla_ros.ros.conversions.image import image_msg
from vla_ros.ros.conversions.joints import joint_state_msg
from vla_ros.ros.conversions.observation import observation_msg
from vla_ros.ros.conversions.times import header
from vla_ros.sync import Refusal

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

MS = 1_000_000
START_NS, END_NS = 50_000 * MS, 54_000 * MS
TOPICS: dict[str, tuple[type[Any], qos.Role]] = {
    "/camera/front/image_raw": (Image, "image"),
    "/camera/wrist/compressed": (CompressedImage, "image"),
    "/joint_states": (JointState, "joint_state"),
    "/odom": (Odometry, "joint_state"),
}


def joints(t_ns: int) -> JointState:
    names, angles = (*JOINTS, "finger_joint"), 3e-9 * t_ns + np.arange(7)
    middle, reach = np.array([0.0] * 6 + [0.02]), np.array([0.3] * 6 + [0.01])
    values = (middle + reach * np.sin(angles)).tolist()
    speeds = (3 * reach * np.cos(angles)).tolist()
    message = joint_state_msg(
        t_ns, dict(zip(names, values, strict=True)), dict(zip(names, speeds, strict=True))
    )
    message.effort = [0.0] * 7  # rclpy pads what ends in an empty sequence, which rosbags refuses
    return message


def odometry(t_ns: int) -> Odometry:
    message = Odometry(header=header(t_ns, "odom"))
    message.twist.twist.linear.x = float(np.sin(1e-9 * t_ns))
    return message


def record(folder: Path) -> Path:
    """Sensors at odd rates and instants, with jitter, drops, reordering, repeats and lies."""
    dice = np.random.default_rng(5)
    made: list[tuple[int, str, Any]] = []
    for topic, period_ns, loss in (
        ("/camera/front/image_raw", 33 * MS, 0.1),
        ("/camera/wrist/compressed", 41 * MS, 0.1),
        ("/joint_states", 19 * MS, 0.3),
        ("/odom", 23 * MS, 0.1),
    ):
        for taken in range(START_NS, END_NS, period_ns):
            stamp = taken + int(dice.integers(0, 2 * MS))
            if dice.random() < 0.03:
                stamp = int(dice.choice([0, stamp + 10_000 * MS, stamp - 10_000 * MS]))
            rgb = cv2.resize(dice.integers(0, 255, (9, 12, 3), dtype=np.uint8), (48, 36))
            if "front" in topic:
                message = image_msg(rgb[: 18 if dice.random() < 0.05 else 36], stamp, "front")
            elif "wrist" in topic:
                message = compressed_msg(rgb, stamp)
            else:
                message = joints(stamp) if "joint" in topic else odometry(stamp)
            for _ in range(0 if dice.random() < loss else int(dice.choice([1, 1, 1, 1, 2]))):
                late = 8 * MS + int(dice.gamma(1.5, 8 * MS)) + (40 * MS if "image" in topic else 0)
                made.append((taken + late, topic, message))
    bag = BagRecording(folder, Definitions(get_package_share_directory).store)
    for topic, (kind, _) in TOPICS.items():
        bag.add_topic(topic, f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}")
    for received_ns, topic, message in sorted(made, key=lambda item: item[0]):
        bag.write(topic, received_ns, serialize_message(message))
    bag.close({})
    return folder


def through_the_node(bag: Path, robot: Path, policy: Path) -> list[Observation]:
    """Each message comes when it was received; in between the node polls as it does."""
    arriving = defaultdict(list)
    with AnyReader([bag]) as reader:
        for connection, received_ns, raw in reader.messages():
            message = deserialize_message(bytes(raw), TOPICS[connection.topic][0])
            arriving[received_ns].append((connection.topic, message))
    last_ns = max(arriving)
    polls = range(START_NS // PERIOD_NS * PERIOD_NS, last_ns + AFTER_NS, PERIOD_NS)
    seen: list[Observation] = []
    with stage() as made:
        made.start("observation_sync", robot=robot, policy=policy, lockstep=True)
        beat = Metronome(made, ["observation_sync"], TOPICS)
        beat.hear(Observation, "observation", seen.append)
        beat.start()
        for t_ns in sorted({*polls, *arriving}):
            beat.tick(t_ns, arriving.get(t_ns, ()))
        assert made.stop("observation_sync") == 0
    return seen


def test_a_bag_through_the_node_and_through_the_reader_gives_the_same_observations_bit_for_bit(
    tmp_path: Path,
) -> None:
    bag = record(tmp_path / "bag")
    robot = small_robot(
        tmp_path, **FULL, **{"- key: front\n": "- key: front\n    latency_s: 0.011\n"}
    )
    policy = tmp_path / "policy"
    policy.mkdir()
    contract = {
        "image_latency_s": {"front": 0.05, "wrist": 0.03},
        "state_at": "decision",
        "action_offset_s": 0.02,
        "dt_s": 0.05,
        "interpolation": "linear",
    }
    (policy / "config.json").write_text(json.dumps({"time_contract": contract}), "utf-8")
    spec = load_robot(str(robot))
    refusals: list[Refusal] = []
    read = observations_of(bag, spec, contract_of(str(policy), spec.camera_keys), refusals.append)
    frames = {camera.key: camera.frame_id for camera in spec.cameras}
    offline = [observation_msg(o, spec_hash(spec), spec.base_frame, frames) for o in read]

    live = through_the_node(bag, robot, policy)

    assert len(live) == len(offline) > 40
    for ours, theirs in zip(offline, live, strict=True):
        # Field by field, as rounded on the wire: padding between them is whatever memory held.
        assert deserialize_message(serialize_message(ours), Observation) == theirs
    # It was no easy bag.
    said = {refusal.what for refusal in refusals}
    for what in ("stamp is zero", "in the future", "older than", "another size", "no sample"):
        assert any(what in one for one in said), what
    assert len({tuple(o.state) for o in live}) == len(live)
    assert any(s.status == s.INTERPOLATED for o in live for s in o.streams)


def test_a_bag_without_a_topic_of_the_robot_file_is_refused_with_what_it_has(
    tmp_path: Path,
) -> None:
    spec = load_robot(str(small_robot(tmp_path)))
    contract = contract_of("expert", spec.camera_keys)
    with pytest.raises(BadRunError, match=r"nothing on /camera/wrist/image_raw.*compressed"):
        list(observations_of(record(tmp_path / "bag"), spec, contract))
