"""Every robot file that ships loads, and what its drivers would say becomes an observation."""

from __future__ import annotations

import numpy as np
import pytest

from vla_ros.robot.files import shared_folder
from vla_ros.robot.load import load_robot
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.senses.state_streams import sample_size, stream_name
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.robot.spec.state import UNITS
from vla_ros.spaces import Observation, TimeContract

MS = 1_000_000
ROBOTS = sorted(path.stem for path in (shared_folder() / "config" / "robots").glob("*.yaml"))


def contract(spec: RobotSpec) -> TimeContract:
    return TimeContract(
        image_latency_ns=dict.fromkeys(spec.camera_keys, 30 * MS),
        state_at="decision",
        action_offset_ns=0,
        dt_ns=50 * MS,
        interpolation="linear",
    )


def positions(spec: RobotSpec) -> dict[str, float]:
    """A position within its limits for every joint, by the robot file's names."""
    middle = {
        joint: 0.5 * ((limit.lower or 0.0) + (limit.upper or 0.0))
        for joint, limit in spec.limits.items()
    }
    return {**dict.fromkeys(spec.state.names, 0.0), **middle}


def drive(spec: RobotSpec, observer: Observer, t_ms: int) -> None:
    """Everything its drivers publish, twice, at the pictures' capture and 40 ms later."""
    dice = np.random.default_rng(t_ms)
    for camera in spec.cameras:
        shape = (camera.raw_height, camera.raw_width, 3)
        picture = dice.integers(0, 255, shape, dtype=np.uint8)
        refusal = observer.push_image(camera.key, t_ms * MS, picture, (t_ms + 35) * MS)
        assert refusal is None
    known = positions(spec)
    for stamp in (t_ms, t_ms + 20, t_ms + 40):
        for source in (spec.state, *spec.state.sources):
            now, stream = (t_ms + 40) * MS, stream_name(source)
            if source in spec.state.joint_sources:
                said = {
                    name.removeprefix(source.prefix): value / UNITS[source.unit]
                    for name, value in known.items()
                    if name.startswith(source.prefix)
                }
                refused = observer.push_joints(stamp * MS, said, now, stream)
            else:
                values = np.linspace(0.1, 0.6, sample_size(source))
                refused = observer.push_vector(stream, stamp * MS, values, now)
            assert refused is None, refused


@pytest.mark.parametrize("name", ROBOTS)
def test_an_example_of_what_its_drivers_publish_becomes_an_observation(name: str) -> None:
    spec = load_robot(name)
    observer = Observer(spec, contract(spec))
    drive(spec, observer, 100)
    seen = observer.observe(140 * MS)
    assert isinstance(seen, Observation), seen
    assert seen.state.shape == (spec.state_space().dim,)
    assert np.isfinite(seen.state).all()
    for camera in spec.cameras:
        assert seen.images[camera.key].shape == (camera.height, camera.width, 3)
    assert {report.state for report in seen.streams} <= {"OK", "INTERPOLATED"}


@pytest.mark.parametrize("name", ROBOTS)
def test_every_commanded_joint_has_limits_a_home_within_them_and_a_measured_position(
    name: str,
) -> None:
    spec = load_robot(name)
    commanded = {j for o in spec.outputs if not o.is_twist for j in o.joints}
    assert set(spec.limits) == commanded
    assert set(spec.poses["home"]) == commanded
    published = {j for source in spec.state.joint_sources for j in source.measured}
    published |= {
        source.prefix + rule.joint
        for source in spec.state.joint_sources
        for rule in source.derived.values()
    }
    assert commanded <= published


def test_the_robots_that_are_promised_are_there() -> None:
    assert {"so101", "ur5e_robotiq", "franka_fr3", "aloha", "tiago", "sim_arm"} <= set(ROBOTS)
    assert len(load_robot("aloha").cameras) == 4
    assert load_robot("aloha").action_space().dim == 14
    tiago = load_robot("tiago")
    assert {o.name for o in tiago.outputs} == {"base", "lift", "arm", "head", "gripper"}
