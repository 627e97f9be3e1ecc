"""A driver whose joints the robot file does not know: observation_sync refuses to configure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from drivers import Drivers, small_robot
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from stage import Stage, stage
from vla_ros_msgs.msg import Observation

pytestmark = [pytest.mark.graph, pytest.mark.timeout(180)]

WAIT_S = 20.0  # so that a busy machine's discovery is no reason to pass
WORDS = ("joints are missing: joint3", "got joint1, joint2, elbow", "/joint_states")


def with_a_wrong_name(made: Stage) -> Callable[[], None]:
    """Drivers, and what puts them in order."""
    drivers = Drivers(made)
    right = dict(drivers.positions)
    drivers.positions = {("elbow" if k == "joint3" else k): v for k, v in right.items()}
    return lambda: setattr(drivers, "positions", right)


def test_a_node_that_starts_by_itself_says_what_is_there_and_ends(tmp_path: Path) -> None:
    with stage() as made:
        with_a_wrong_name(made)
        made.start("observation_sync", robot=small_robot(tmp_path), joints_wait_s=WAIT_S)
        made.wait(lambda: made.says("observation_sync", *WORDS), "the words on /diagnostics")
        assert made.ended("observation_sync") == 1
        printed = made.printed("observation_sync")
    assert all(word in printed for word in ("could not configure", *WORDS)), printed
    assert "Traceback" not in printed


def test_a_lifecycle_manager_is_refused_until_the_driver_is_mended(tmp_path: Path) -> None:
    with stage() as made:
        mend = with_a_wrong_name(made)
        name = "observation_sync"
        change = made.node.create_client(ChangeState, f"{name}/change_state")
        get = made.node.create_client(GetState, f"{name}/get_state")
        observations: list[Observation] = []
        made.node.create_subscription(Observation, "observation", observations.append, 1)
        robot = small_robot(tmp_path)
        made.start(name, robot=robot, joints_wait_s=WAIT_S, autostart=False)
        made.wait(change.service_is_ready, "the node")
        made.wait(get.service_is_ready, "the node")

        def done(transition: int) -> bool:
            asked = change.call_async(ChangeState.Request(transition=Transition(id=transition)))
            made.wait(asked.done, "the transition")
            return bool(asked.result().success)

        def state() -> int:
            asked = get.call_async(GetState.Request())
            made.wait(asked.done, "the state")
            return int(asked.result().current_state.id)

        assert not done(Transition.TRANSITION_CONFIGURE)
        assert state() == State.PRIMARY_STATE_UNCONFIGURED
        made.wait(lambda: made.says(name, *WORDS), "the words on /diagnostics")
        made.wait(lambda: all(word in made.printed(name) for word in WORDS), "the words in the log")
        mend()
        assert done(Transition.TRANSITION_CONFIGURE)
        assert done(Transition.TRANSITION_ACTIVATE)
        assert state() == State.PRIMARY_STATE_ACTIVE
        made.wait(lambda: len(observations) > 3, "observations")
        assert made.stop(name) == 0
