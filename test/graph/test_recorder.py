"""episode_recorder as a process: its bags read back with rosbags alone."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from drivers import Drivers, small_robot
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML
from stage import Stage, stage
from std_msgs.msg import String
from unique_identifier_msgs.msg import UUID
from vla_ros_msgs.msg import Episode, Observation

from vla_ros.ros import qos

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]


def values(stage: Stage, name: str) -> dict[str, str]:
    status = stage.diagnostics.get(name)
    return {v.key: v.value for v in status.values} if status else {}


def custom(bag: Path) -> dict[str, str]:
    text = (bag / "metadata.yaml").read_text(encoding="utf-8")
    return dict(YAML(typ="safe").load(text)["rosbag2_bagfile_information"]["custom_data"])


def test_a_run_is_recorded_with_images_our_own_messages_and_the_latched_ones(
    tmp_path: Path,
) -> None:
    bag = tmp_path / "bag"
    with stage() as made:
        description = made.node.create_publisher(
            String, "/robot_description", qos.profile("latched")
        )
        description.publish(String(data="<robot/>"))
        Drivers(made)
        robot = small_robot(tmp_path)
        made.start("observation_sync", robot=robot)
        made.start("episode_recorder", robot=robot, bag=bag)
        observed: list[Observation] = []
        profile = qos.profile("observation")
        made.node.create_subscription(Observation, "observation", observed.append, profile)
        made.wait(lambda: made.node.count_subscribers("/vla/observation") == 2, "the recorder")
        observed.clear()
        made.wait(lambda: len(observed) > 20, "observations")
        made.wait(
            lambda: int(values(made, "episode_recorder").get("messages", 0)) > 200, "a recording"
        )
        assert made.stop("episode_recorder") == 0, made.printed("episode_recorder")
        assert "Traceback" not in made.printed("episode_recorder")
        assert "0 dropped" in made.printed("episode_recorder")
    with AnyReader([bag]) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        assert counts["/robot_description"] == 1
        assert counts["/camera/front/image_raw"] > 10
        assert counts["/joint_states"] > 50
        connections = [c for c in reader.connections if c.topic == "/vla/observation"]
        messages = [
            reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(connections)
        ]
        assert len(messages) > 10
        assert {image.key for image in messages[-1].images} == {"front", "wrist"}
        assert messages[-1].images[0].image.data.size == 96 * 96 * 3
        assert np.isfinite(messages[-1].state).all()
    with Reader(bag) as reader:
        offered = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
        assert offered["/robot_description"][0].durability == QosDurability.TRANSIENT_LOCAL
        assert offered["/joint_states"][0].durability == QosDurability.VOLATILE
    assert custom(bag)["robot"] == "sim_arm"
    assert "cameras:" in custom(bag)["robot_yaml"]


def test_each_episode_gets_a_bag_with_its_instruction_and_outcome(tmp_path: Path) -> None:
    folder = tmp_path / "bags"
    with stage() as made:
        Drivers(made)
        episodes = made.node.create_publisher(Episode, "episode", qos.profile("latched"))
        made.start("episode_recorder", robot=small_robot(tmp_path), bag=folder, split="episode")
        made.wait(lambda: made.says("episode_recorder", "waiting"), "the recorder")
        for instruction, outcome in (("tidy up", 1), ("sort", 2)):
            episode = Episode(
                episode_id=UUID(uuid=np.frombuffer(uuid.uuid4().bytes, dtype=np.uint8)),
                instruction=instruction,
                phase=Episode.STARTED,
            )
            episodes.publish(episode)
            made.wait(
                lambda: int(values(made, "episode_recorder").get("messages", 0)) > 50, "a bag"
            )
            episode.phase, episode.outcome = Episode.ENDED, outcome
            episodes.publish(episode)
            made.wait(lambda: made.says("episode_recorder", "waiting"), "the bag's end")
        assert made.stop("episode_recorder") == 0, made.printed("episode_recorder")
    bags = sorted(folder.iterdir())
    data = [custom(bag) for bag in bags]
    assert {(d["instruction"], d["outcome"]) for d in data} == {("tidy up", "1"), ("sort", "2")}
    for bag in bags:
        with AnyReader([bag]) as reader:
            assert reader.message_count > 50


def test_a_folder_that_exists_is_refused_with_a_non_zero_status(tmp_path: Path) -> None:
    with stage() as made:
        made.start("episode_recorder", robot=small_robot(tmp_path), bag=tmp_path)
        assert made.ended("episode_recorder") == 1
        assert "Choose another folder" in made.printed("episode_recorder")
