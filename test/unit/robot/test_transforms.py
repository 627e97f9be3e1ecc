"""Poses out of transforms, against forward kinematics and against a tree of matrices."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from arm_states import BASE, CONTRACT, LOSS, MS, robot

from vla_ros.robot.command.intake import message_type, push, stamp_of, topics
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.robot.senses.observer import Observer
from vla_ros.robot.senses.transforms import Transform, TransformChain
from vla_ros.robot.spec.robot import RobotSpec
from vla_ros.sim.kinematics import UPPER
from vla_ros.spaces import Observation
from vla_ros.spaces.rotations import (
    RotationError,
    matrix_from,
    matrix_from_quaternion,
    quaternion_from_axis_angle,
    quaternion_from_matrix,
)

ARM = [f"joint{i}" for i in range(1, 7)]
LINKS = ["base_link", "link1", "link2", "link3", "link4", "link5", "hand"]
SKELETON = Kinematics(BASE.urdf_text, ARM, "base_link")


def message(edges: list[Transform]) -> Any:
    """With the fields of tf2_msgs/TFMessage."""
    names = ("x", "y", "z", "w")
    return SimpleNamespace(
        transforms=[
            SimpleNamespace(
                header=SimpleNamespace(
                    frame_id=edge.parent,
                    stamp=SimpleNamespace(
                        sec=edge.stamp_ns // 10**9, nanosec=edge.stamp_ns % 10**9
                    ),
                ),
                child_frame_id=edge.child,
                transform=SimpleNamespace(
                    translation=SimpleNamespace(**dict(zip(names, edge.pose[:3], strict=False))),
                    rotation=SimpleNamespace(**dict(zip(names, edge.pose[3:], strict=False))),
                ),
            )
            for edge in edges
        ]
    )


def edge(q: np.ndarray, parent: str, child: str, stamp_ns: int) -> Transform:
    position, rotation = SKELETON.several(q[None], (parent, child))
    back = rotation[0, 0].T
    return Transform(
        parent=parent,
        child=child,
        stamp_ns=stamp_ns,
        pose=np.concatenate(
            [
                back @ (position[0, 1] - position[0, 0]),
                quaternion_from_matrix(back @ rotation[0, 1]),
            ]
        ),
    )


def seen_arm() -> RobotSpec:
    """Its hand's pose from transforms, and computed from its joints."""
    seen = {"kind": "tf", "name": "seen", "frame": "base_link", "link": "tcp", **LOSS}
    computed = {"name": "computed", "link": "tcp"}
    return robot(joints=ARM, sources=[seen], poses=[computed]).with_urdf(BASE.urdf_text)


def test_the_pose_from_transforms_is_the_one_from_the_joints_at_every_instant() -> None:
    spec = seen_arm()
    source, observer = spec.state.sources[0], Observer(spec, CONTRACT)
    assert message_type(source) == "tf2_msgs/msg/TFMessage"
    assert topics(source) == ("/tf", "/tf_static")
    start, speed = 0.2 * UPPER, np.array([0.5, -0.4, 0.3, 0.6, -0.2, 0.4])
    still = message([edge(start, "hand", "tcp", 0)])
    for t_ms in range(10, 120, 10):
        q, now = start + speed * t_ms * 1e-3, t_ms * MS
        said = message([edge(q, a, b, now) for a, b in itertools.pairwise(LINKS)])
        assert stamp_of(said) == now
        assert push(observer, source, said, now) is None
        if t_ms == 30:  # the latched one comes late
            assert push(observer, source, still, now, topic="/tf_static") is None
        observer.push_joints(now, dict(zip(ARM, q, strict=True)), now)
    seen = observer.observe(200 * MS)
    assert isinstance(seen, Observation), seen
    np.testing.assert_allclose(seen.state[:6], start + speed * 0.11, atol=1e-12)
    np.testing.assert_allclose(seen.state[6:13], seen.state[13:], atol=1e-9)


def test_edges_of_different_rates_meet_at_the_newest_instant_that_all_know() -> None:
    """Straight motions and a turn at constant speed: interpolation is exact."""
    chain = TransformChain("map", "tip", 100 * MS)

    def moving(child: str, parent: str, t_ms: int, speed: float) -> Transform:
        turn = quaternion_from_axis_angle(np.array([0.0, 0.0, speed * t_ms * 1e-3]))
        return Transform(
            parent=parent,
            child=child,
            stamp_ns=t_ms * MS,
            pose=np.concatenate([[speed * t_ms * 1e-3, 0.0, 0.0], turn]),
        )

    got = []
    for t_ms in range(100, 200):
        found = None
        if t_ms % 10 == 0:
            found = chain.push([moving("odom", "map", t_ms, 0.3)], t_ms * MS)
        if t_ms % 7 == 0:
            found = chain.push([moving("tip", "odom", t_ms, 0.8)], t_ms * MS) or found
        if found is not None:
            got.append(found)
    assert len(got) > 10
    assert all(later[0] > sooner[0] for sooner, later in itertools.pairwise(got))
    for stamp_ns, pose in got:
        t = stamp_ns * 1e-9
        turn = matrix_from("axis_angle", [0.0, 0.0, 0.3 * t])
        np.testing.assert_allclose(
            pose[:3], [0.3 * t, 0, 0] + turn @ [0.8 * t, 0, 0], rtol=0, atol=1e-9
        )
        expected = matrix_from("axis_angle", [0.0, 0.0, 1.1 * t])
        np.testing.assert_allclose(matrix_from_quaternion(pose[3:]), expected, atol=1e-9)


def test_a_frame_on_another_branch_and_one_that_is_not_connected() -> None:
    one = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0])

    def edges(stamp_ns: int, *pairs: tuple[str, str]) -> list[Transform]:
        return [Transform(parent=p, child=c, stamp_ns=stamp_ns, pose=one) for p, c in pairs]

    chain = TransformChain("camera", "tip", 100 * MS)
    assert chain.push(edges(5 * MS, ("arm", "tip")), 5 * MS) is None
    assert chain.push(edges(0, ("base", "arm")), 5 * MS, static=True) is None
    stamp_ns, pose = chain.push(edges(0, ("base", "camera")), 6 * MS, static=True)
    assert stamp_ns == 5 * MS
    np.testing.assert_allclose(pose[:3], [0.0, 0.0, 1.0])
    assert chain.push(edges(5 * MS, ("arm", "tip")), 7 * MS) is None, "told already"
    chain.clear()
    assert chain.push(edges(3 * MS, ("arm", "tip")), 3 * MS) is not None, "time went back"


def test_a_gap_is_not_bridged() -> None:
    chain, one = TransformChain("a", "c", 100 * MS), np.array([0, 0, 0, 0, 0, 0, 1.0])
    for stamp_ms, parent, child in [(10, "a", "b"), (300, "a", "b"), (200, "b", "c")]:
        found = chain.push(
            [Transform(parent=parent, child=child, stamp_ns=stamp_ms * MS, pose=one)], 300 * MS
        )
        assert found is None


def test_a_transform_that_is_none_is_refused_and_counted() -> None:
    spec = seen_arm()
    observer = Observer(spec, CONTRACT)
    empty = Transform(parent="base_link", child="tcp", stamp_ns=10 * MS, pose=np.zeros(7))
    refusal = push(observer, spec.state.sources[0], message([empty]), 10 * MS)
    assert refusal is not None
    assert refusal.what == "a transform is none"
    assert observer.counts()["state/seen"] == {"form": 1}
    chain = TransformChain("base_link", "tcp", MS)
    with pytest.raises(RotationError):
        chain.push([empty], 10 * MS)
