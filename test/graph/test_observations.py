"""observation_sync as a process: what it observes, and what it refuses and says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drivers import FRAME_NS, JOINTS, Drivers, small_robot
from stage import Stage, stage
from std_srvs.srv import Trigger
from vla_ros_msgs.msg import Observation, StreamStatus

from vla_ros.ros import qos
from vla_ros.ros.conversions.times import ns_from

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]


class Scene:
    """A running observation_sync, its drivers, and what came out."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.drivers = Drivers(stage)
        self.observations: list[Observation] = []
        self.stops = 0
        stage.node.create_subscription(
            Observation, "observation", self.observations.append, qos.profile("observation")
        )
        stage.node.create_service(Trigger, "control_bridge/stop", self._on_stop)

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.stops += 1
        response.success = True
        return response

    def see(self, count: int = 5) -> list[Observation]:
        """Waits for new observations."""
        since = len(self.observations)
        self.stage.wait(lambda: len(self.observations) >= since + count, "observations")
        return self.observations[since:]

    def see_none(self, *words: str) -> None:
        """Waits for a refusal with these words, and that observations have ceased."""
        self.stage.wait(lambda: self.stage.says("observation_sync", *words), f"the words {words}")


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures; the wrist camera's loss stops the robot."""
    folder = tmp_path_factory.mktemp("robot")
    path = small_robot(folder)
    head, wrist = path.read_text(encoding="utf-8").split("- key: wrist")
    path.write_text(head + "- key: wrist" + wrist.replace("on_loss: skip", "on_loss: stop", 1))
    return path


@pytest.fixture(scope="module")
def scene(robot: Path) -> Iterator[Scene]:
    """One node for the tests of this file; each leaves the drivers in order."""
    with stage() as made:
        made.start("observation_sync", robot=robot)
        scene = Scene(made)
        scene.see(10)
        yield scene
        assert made.stop("observation_sync") == 0
        assert "Traceback" not in made.printed("observation_sync")


@pytest.fixture(autouse=True)
def in_order(scene: Scene) -> Iterator[None]:
    """Puts the drivers in order after each test, and sees the node recover."""
    positions = dict(scene.drivers.positions)
    yield
    scene.drivers.stopped.clear()
    scene.drivers.frozen.clear()
    scene.drivers.size, scene.drivers.speed = (36, 48), 0.0
    scene.drivers.positions = positions
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
        assert [image.key for image in message.images] == ["front", "wrist"]
        assert {(i.image.height, i.image.width) for i in message.images} == {(96, 96)}
        assert {s.offset_s for s in message.streams} == {0.0}
        assert [s.name for s in message.streams] == ["front", "wrist", "state"]
        assert {s.status for s in message.streams} == {StreamStatus.OK}
        assert ns_from(message.start) == t_ns


def test_joint_states_in_another_order_with_more_joints_and_no_velocities_are_read_by_name(
    scene: Scene,
) -> None:
    shuffled = ["wheel", "finger_joint", *reversed(JOINTS)]
    scene.drivers.positions = {name: scene.drivers.positions.get(name, 9.0) for name in shuffled}
    scene.see(3)
    last = scene.see(3)[-1]
    wanted = [scene.drivers.positions[name] for name in (*JOINTS, "finger_joint")]
    assert np.allclose(np.asarray(last.state), wanted)


def test_a_joint_that_is_missing_is_named_and_nothing_is_observed(scene: Scene) -> None:
    del scene.drivers.positions["joint3"]
    scene.see_none("joints are missing: joint3")


def test_a_camera_that_stops_and_is_declared_to_stop_the_robot_stops_it(scene: Scene) -> None:
    stops = scene.stops
    scene.drivers.stopped.add("wrist")
    scene.see_none("wrist", "(stop)")
    scene.stage.wait(lambda: scene.stops > stops, "a call of control_bridge's stop")


def test_an_anchor_that_stops_is_named_and_does_not_stop_the_robot(scene: Scene) -> None:
    stops = scene.stops
    scene.drivers.stopped.add("front")
    scene.see_none("front", "(skip)")
    assert scene.stops == stops


def test_a_picture_that_freezes_while_the_arm_moves_is_refused(scene: Scene) -> None:
    scene.drivers.frozen.add("front")
    scene.drivers.speed = 0.5
    scene.see_none("front: the picture does not change while the robot moves")


def test_pictures_of_another_size_are_refused_with_both_sizes(scene: Scene) -> None:
    scene.drivers.size = (18, 24)
    scene.see_none("another size", "(36, 48, 3)", "(18, 24, 3)")
