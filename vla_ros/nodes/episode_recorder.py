"""Records everything that is published, without looking into it, into rosbag2 MCAP bags.

One bag for the life of the node, or one for each episode that task_planner announces. Topics are
found as they appear; those of lockstep and of lifecycle machinery are left out.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.interfaces import Qos
from vla_ros_msgs.msg import Episode

from vla_ros.data.definitions import Definitions, UnknownTypeError
from vla_ros.data.recording import BagRecording, RecordingError
from vla_ros.errors import VlaError
from vla_ros.robot.load import load_robot, robot_path
from vla_ros.robot.spec.robot import spec_hash
from vla_ros.ros.bag_qos import bag_qos
from vla_ros.ros.diagnostics import Diagnostics
from vla_ros.ros.lifecycle import VlaNode
from vla_ros.ros.parameters import NodeParameters, parameter
from vla_ros.ros.spin import run

DISCOVERY_S = 0.25
DEPTH = 100


@dataclass(frozen=True, kw_only=True)
class Parameters(NodeParameters):
    """Parameters of episode_recorder."""

    robot: str = parameter("sim_arm", "robot file, kept with the bag")
    bag: str = parameter("out/bag", "folder of the bag, or of the bags, one for each episode")
    split: str = parameter(
        "run", "one bag for the life of the node, or for each episode", choices=("run", "episode")
    )
    exclude: tuple[str, ...] = parameter(
        ("/parameter_events", "/vla/lockstep", "/vla/lockstep_tick"), "topics to leave out"
    )


class EpisodeRecorder(VlaNode[Parameters]):
    """Raw subscriptions in, bags out."""

    def __init__(self) -> None:
        super().__init__("episode_recorder", Parameters)

    def configure(self) -> None:
        """Reads the robot file; finds the definitions of our own messages."""
        spec = load_robot(self.parameters.robot)
        self._custom = {
            "robot": spec.name,
            "robot_yaml": robot_path(self.parameters.robot).read_text(encoding="utf-8"),
            "spec_hash": f"{spec_hash(spec):016x}",
        }
        self._definitions = Definitions(get_package_share_directory)
        self._definitions.require(["vla_ros_msgs/msg/Episode"])
        self._diagnostics = Diagnostics(self)

    def activate(self) -> None:
        """Opens the bag of the run; listens."""
        self._bag: BagRecording | None = None
        self._topics: dict[str, str] = {}
        self._offered: dict[str, list[Qos]] = {}
        self._latched: dict[str, tuple[int, bytes]] = {}
        self._episode: Episode | None = None
        if self.parameters.split == "run":
            self._open(Path(self.parameters.bag))
        self.every_steady(DISCOVERY_S, self._discover)
        self._discover()

    def deactivate(self) -> None:
        """Closes the bag."""
        self._close()

    def _discover(self) -> None:
        for topic, types in self.get_topic_names_and_types():
            hidden = any(part.startswith("_") for part in topic.split("/"))
            left_out = topic in self.parameters.exclude or topic.endswith("/transition_event")
            offers = self.get_publishers_info_by_topic(topic)
            if not offers or hidden or left_out or topic in self._topics:
                continue
            self._topics[topic] = types[0]
            try:
                self._definitions.require(types[:1])
                self._listen(topic, types[0], [offer.qos_profile for offer in offers])
            except (UnknownTypeError, ModuleNotFoundError, AttributeError, ValueError) as error:
                self._topics[topic] = ""
                self.get_logger().warning(f"{topic} is not recorded: {error}")
        self._diagnostics.values.update(
            {
                "bag": str(self._bag.path) if self._bag else "",
                "topics": len(self._topics),
                "messages": self._bag.messages if self._bag else 0,
                "dropped": self._bag.dropped if self._bag else 0,
            }
        )
        dropping = self._bag is not None and self._bag.dropped > 0
        words = "the disk is too slow: messages dropped" if dropping else "recording"
        self._diagnostics.set("warn" if dropping else "ok", words if self._bag else "waiting")

    def _listen(self, topic: str, type_name: str, offers: list[QoSProfile]) -> None:
        reliable = all(o.reliability == ReliabilityPolicy.RELIABLE for o in offers)
        latched = all(o.durability == DurabilityPolicy.TRANSIENT_LOCAL for o in offers)
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        self._offered[topic] = [bag_qos(offer) for offer in offers]
        if self._bag is not None:
            self._bag.add_topic(topic, type_name, self._offered[topic])

        def take(message: bytes) -> None:
            self._take(topic, message, latched)

        package, kind, short = type_name.split("/")
        message_type = getattr(importlib.import_module(f"{package}.{kind}"), short)
        made = self.create_subscription(message_type, topic, take, profile, raw=True)
        self.on_release(lambda: self.destroy_subscription(made))

    def _take(self, topic: str, message: bytes, latched: bool) -> None:
        now_ns = self.clock.now_ns()
        if latched:
            self._latched[topic] = (now_ns, message)
        if self._topics[topic] == "vla_ros_msgs/msg/Episode":
            self._on_episode(deserialize_message(message, Episode))
        if self._bag is None:
            return
        try:
            self._bag.write(topic, now_ns, message)
        except RecordingError as error:
            self._diagnostics.set("error", str(error))
            self.finish(str(error))

    def _on_episode(self, episode: Episode) -> None:
        self._episode = episode
        if self.parameters.split != "episode":
            return
        self._close()
        if episode.phase == Episode.STARTED:
            name = f"{datetime.now():%Y%m%d_%H%M%S}_{bytes(episode.episode_id.uuid).hex()[:8]}"
            self._open(Path(self.parameters.bag) / name)

    def _open(self, path: Path) -> None:
        self._bag = BagRecording(path, self._definitions.store)
        for topic, offered in self._offered.items():
            self._bag.add_topic(topic, self._topics[topic], offered)
        for topic, (_, message) in self._latched.items():
            self._bag.write(topic, self.clock.now_ns(), message)
        self.get_logger().info(f"recording into {path}")

    def _close(self) -> None:
        bag, self._bag = self._bag, None
        if bag is None:
            return
        custom = dict(self._custom)
        if self._episode is not None:
            custom |= {
                "instruction": self._episode.instruction,
                "outcome": str(self._episode.outcome),
                "termination": str(self._episode.termination),
                "judge": self._episode.source,
                "model_id": self._episode.model_id,
            }
        try:
            done = bag.close(custom)
        except VlaError as error:
            self.finish(str(error))
            return
        self.get_logger().info(
            f"{done.path}: {done.messages} messages, {sum(done.dropped.values())} dropped"
        )


def main() -> int:
    """Runs the node."""
    return run(EpisodeRecorder)


if __name__ == "__main__":
    raise SystemExit(main())
