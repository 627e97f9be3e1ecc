"""A robot with two arms told by poses, and a neck told by its joint; what they share is time."""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_poses import MS, RUN, TICK, smooth

from vla_ros.chunks import Plan
from vla_ros.robot.command.commander import Commander
from vla_ros.robot.files import shared_folder
from vla_ros.robot.poses.kinematics import Kinematics
from vla_ros.robot.poses.pose_values import Poses, relative_to, written
from vla_ros.robot.poses.workspace import workspace_of
from vla_ros.robot.spec.robot import RobotSpec, spec_hash

ONE = (shared_folder() / "urdf" / "sim_arm.urdf").read_text(encoding="utf-8")
BODY = re.sub(r"(?s)^.*?<robot[^>]*>|</robot>.*$", "", ONE)
SIDES = {"left": 0.3, "right": -0.3}
JOINTS = {side: tuple(f"{side}_joint{i}" for i in range(1, 7)) for side in SIDES}
START = np.array([0.0, 0.3, 0.5, 0.1, 0.9, 0.0])


def two_arms() -> str:
    text = ""
    for side, y in SIDES.items():
        named = re.sub(r'(name|link|joint)="', rf'\1="{side}_', BODY)
        text += named + (
            f'<joint name="{side}_mount" type="fixed"><parent link="torso"/>'
            f'<child link="{side}_base_link"/><origin xyz="0 {y} 0"/></joint>'
        )
    neck = (
        '<joint name="neck" type="revolute"><parent link="torso"/><child link="head"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1" velocity="2"/></joint>'
    )
    return f'<robot name="two">{text}{neck}</robot>'


URDF = two_arms()
HANDS = {side: Kinematics(URDF, JOINTS[side], "torso") for side in SIDES}


def robot(**more) -> RobotSpec:
    """Left hand absolute, then the neck, then the right hand in steps."""
    joints = [*JOINTS["left"], "neck", *JOINTS["right"]]
    one = {"lower": -1.9, "upper": 1.9, "velocity": 2.5, "acceleration": 12.0, "jerk": 150.0}

    def pose(side: str, **way) -> dict:
        return {"name": side, "kind": "pose", "link": f"{side}_tcp", "output": side, **way}

    values = {
        "name": "two",
        "urdf": "two.urdf",
        "base_frame": "torso",
        "anchor": "state",
        "state": {"topic": "/joint_states", "joints": joints, "tolerance_s": 1, "on_loss": "stop"},
        "action": [
            pose("left", rotation="quaternion"),
            {"name": "neck", "kind": "position", "names": ["neck"], "output": "neck"},
            pose("right", rotation="axis_angle", relative_to="command", axes="frame"),
        ],
        "outputs": [
            {
                "name": name,
                "controller": "joint_trajectory",
                "topic": f"/{name}/joint_trajectory",
                "joints": names,
            }
            for name, names in (*JOINTS.items(), ("neck", ["neck"]))
        ],
        "limits": dict.fromkeys(joints, one) | {"neck": one | {"lower": -1.0, "upper": 1.0}},
        "max_first_step": 0.5,
        "max_tracking_error": 0.3,
        **more,
    }
    return RobotSpec.model_validate(values).with_urdf(URDF)


class Rig:
    def __init__(self, spec: RobotSpec) -> None:
        self.spec = spec
        self.commander = Commander(
            spec, start_enabled=True, workspace=workspace_of(spec, spec.urdf_text)
        )
        self.now = 1_000 * MS
        self.q = {"neck": 0.0} | {
            joint: value for side in SIDES for joint, value in zip(JOINTS[side], START, strict=True)
        }
        self.last = None
        self.ticks(20)
        assert self.commander.run_started(RUN, self.commander.epoch) is None

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.now += TICK
            self.commander.joint_state(self.now, self.q, self.now, self.now)
            self.last = self.commander.tick(self.now, self.now).commanded or self.last
            setpoint = self.commander._execution.setpoint
            if setpoint is not None:
                names = self.commander._execution.arm.names
                self.q = dict(zip(names, setpoint.position, strict=True))

    def hand(self, side: str) -> Poses:
        q = np.array([[self.q[joint] for joint in JOINTS[side]]])
        return Poses(*HANDS[side].poses(q, f"{side}_tcp"))[0]

    def send(self, offset: dict[str, np.ndarray], neck: float, rows: int = 51):
        """Both hands straight by an offset, the neck to an angle."""
        left, right = self.spec.pose_slices
        way = {}
        for side, moved in offset.items():
            start = self.hand(side)
            goal = Poses(start.position + np.array(moved), start.rotation)
            way[side] = smooth(goal, start, rows)
        before = Poses(
            *(np.concatenate([v[:1], v]) for v in (way["right"].position, way["right"].rotation))
        )
        steps = relative_to(right, before[1:], before[:-1])
        turn = np.linspace(self.q["neck"], neck, rows)[:, None]
        actions = np.hstack([written(left, way["left"]), turn, written(right, steps)])
        plan = Plan(
            run_id=RUN, epoch=self.commander.epoch, seq=int(self.now), t_obs_ns=self.now,
            spec_hash=spec_hash(self.spec), start_ns=self.now, dt_ns=20 * MS,
            valid_from_ns=self.now, actions=actions,
        )  # fmt: skip
        return self.commander.accept(plan, self.now, self.now)


def test_each_hand_and_the_neck_arrive_where_they_were_told() -> None:
    rig = Rig(robot())
    before = {side: rig.hand(side) for side in SIDES}
    offset = {"left": [0.05, 0.06, -0.08], "right": [-0.04, -0.07, 0.05]}
    assert rig.send(offset, 0.4) is None
    rig.ticks(140)
    for side, moved in offset.items():
        there = rig.hand(side)
        np.testing.assert_allclose(there.position, before[side].position + moved, atol=1e-3)
        np.testing.assert_allclose(there.rotation, before[side].rotation, atol=5e-3)
    assert rig.q["neck"] == pytest.approx(0.4, abs=1e-6)
    assert rig.commander.stop_reason == "none"
    # What is commanded is told in the order of the action: left hand, neck, right hand's step.
    np.testing.assert_allclose(rig.last.action[:3], rig.hand("left").position, atol=1e-6)
    assert rig.last.action[7] == pytest.approx(0.4, abs=1e-6)
    assert not rig.last.action[8:].any()
    assert rig.last.limited.shape == (14,)


def test_where_one_hand_cannot_go_on_the_whole_robot_holds() -> None:
    rig = Rig(robot())
    assert rig.send({"left": [0.0, 0.05, 0.0], "right": [1.5, 0.0, 0.0]}, 0.4) is None
    assert "'right_tcp' would miss row" in rig.commander.remark
    rig.ticks(200)
    assert rig.commander.mode == "HOLDING"
    share = (rig.q["neck"] - 0.0) / 0.4
    assert 0.05 < share < 0.9


def test_the_workspace_stops_a_hand_that_poses_lead_into_the_table() -> None:
    points = [{"name": "hand", "link": "left_tcp", "radius": 0.02}]
    start = Rig(robot()).hand("left").position[2]
    table = start - 0.05
    rig = Rig(robot(workspace={"points": points, "table_z": table}))
    assert rig.send({"left": [0.0, 0.0, -0.12], "right": [0.0, 0.0, 0.0]}, 0.0) is None
    rig.ticks(140)
    assert rig.commander.stop_reason == "workspace"
    assert rig.hand("left").position[2] > table + 0.02 - 2e-3
