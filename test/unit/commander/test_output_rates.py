"""One action vector over several outputs, each at its own rate; what limits none means."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from bench import MS, Bench
from robots import ARM, arm

from vla_ros.robot.command.health import values_of
from vla_ros.robot.outputs.layout import OutputError
from vla_ros.robot.outputs.switching import wanted_of
from vla_ros.robot.spec.robot import RobotSpec

AXIS = {"velocity": 1.0, "acceleration": 2.0}


def mobile_arm(*, window_hz: float = 50, base_hz: float = 20, grip_hz: float = 10) -> RobotSpec:
    """An arm, a continuous gripper and a base, each at its own rate."""
    outputs = list(arm().model_dump()["outputs"])
    outputs[0]["rate_hz"] = window_hz
    outputs[1]["rate_hz"] = grip_hz
    base = {
        "name": "base",
        "controller": "twist_stamped",
        "topic": "/cmd_vel",
        "joints": ["x", "yaw"],
        "rate_hz": base_hz,
        "on_host_loss": "cmd_vel_timeout 0.5 s",
        "limits": {"x": AXIS, "yaw": AXIS},
    }
    return arm(
        action=[
            {"name": "base", "kind": "velocity", "names": ["vx", "wz"], "output": "base"},
            {"name": "grip", "kind": "gripper", "names": ["grip"], "output": "gripper"},
            {"name": "arm", "kind": "position", "names": ARM, "output": "arm"},
        ],
        outputs=[*outputs, base],
    )


def driven(bench: Bench, ticks: int) -> dict[str, list]:
    """What each output was sent, as (time, payload), while a plan of all of them runs."""
    rows = 51
    s = np.linspace(0.0, 1.0, rows)[:, None]
    way = 10 * s**3 - 15 * s**4 + 6 * s**5
    actions = np.hstack([0.4 + 0.0 * s, -0.2 + 0.0 * s, 1.0 - s, 0.3 * way, -0.2 * way])
    bench.start()
    assert bench.send(actions=actions, dt_ns=20 * MS) is None
    sent = defaultdict(list)
    for _ in range(ticks):
        commands = bench.tick()
        bench.arm = commands.commanded.action[3:]
        for name, payload in (*commands.windows, *commands.values, *commands.grips):
            sent[name].append((bench.now, payload))
    return sent


def test_each_output_is_sent_to_at_its_own_rate() -> None:
    sent = driven(Bench(mobile_arm()), 100)
    for name, hz in (("arm", 50), ("base", 20), ("gripper", 10)):
        gaps_ms = np.diff([t for t, _ in sent[name]]) / MS
        assert len(gaps_ms) > 0.8 * hz
        assert set(gaps_ms[1:]) == {1000 / hz}, name


def test_a_slower_rate_changes_how_often_and_not_what_is_sent() -> None:
    slow = driven(Bench(mobile_arm()), 100)
    fast = driven(Bench(mobile_arm(window_hz=100, base_hz=100, grip_hz=100)), 100)
    for name in slow:
        every = dict(fast[name])
        for t, payload in slow[name][2:]:
            if name == "base":
                np.testing.assert_array_equal(payload, every[t])
            elif name == "arm":
                np.testing.assert_allclose(payload.position[:3], every[t].position[:3])
            else:
                told = next(p for at, p in reversed(fast[name]) if at <= t)
                np.testing.assert_allclose(payload.position, told.position)


def test_a_slow_output_hears_of_a_stop_and_of_its_end() -> None:
    bench = Bench(mobile_arm(base_hz=8))
    driven(bench, 60)
    bench.commander.stop("operator", "stop", bench.now)
    first = dict(bench.tick().values)
    assert "base" in first, "a stop does not wait for the output's turn"
    values = [dict(c.values)["base"] for c in bench.ticks(80) if c.values]
    assert not values[-1].any()


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"base_hz": 200}, "above rates.control_hz"),
        ({"base_hz": 5}, "at least twice within rates.lookahead_s"),
        ({"window_hz": 5}, "at least twice within rates.lookahead_s"),
    ],
)
def test_a_rate_that_cannot_be_kept_is_refused_at_load(rates: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mobile_arm(**rates)


def chunks(**output: object) -> RobotSpec:
    """The arm without limits."""
    outputs = list(arm().model_dump()["outputs"])
    outputs[0] |= {"controller": "joint_trajectory_chunks", "limits": "none"} | output
    return arm(outputs=outputs)


def test_whole_chunks_must_be_marked_and_the_mark_is_shown() -> None:
    with pytest.raises(ValueError, match="write 'limits: none'"):
        chunks(limits={})
    with pytest.raises(ValueError, match="remove rate_hz"):
        chunks(rate_hz=50.0)
    outputs = list(arm().model_dump()["outputs"])
    outputs[0] |= {"limits": "none"}
    with pytest.raises(ValueError, match="remove 'limits: none'"):
        arm(outputs=outputs)
    bench = Bench(chunks())
    report = bench.commander.report(bench.now)
    assert [output.limited for output in report.outputs] == [False, True]
    assert values_of(report)["limits of arm"] == "none"
    assert "limits of gripper" not in values_of(report)


def test_a_whole_chunk_is_sent_once_as_it_is_from_two_points_in_the_past_on() -> None:
    bench = Bench(chunks())
    bench.windows.clear()
    bench.start()
    plan = bench.plan()
    assert bench.commander.accept(plan, bench.now, bench.steady) is None
    samples = [c.commanded for c in bench.ticks(10)]
    ((_, window),) = [item for item in bench.windows if item[0] == "arm"]
    assert (window.t_ns[:2] <= samples[0].stamp_ns).all()
    assert window.velocity.size == window.acceleration.size == 0
    np.testing.assert_array_equal(window.position[2:], plan.actions[1:, :2])
    np.testing.assert_array_equal(window.t_ns[2:], plan.start_ns + 50 * MS * np.arange(1, 11))
    at = np.array([np.interp(s.stamp_ns, window.t_ns, window.position[:, 0]) for s in samples])
    np.testing.assert_allclose(at, [s.action[0] for s in samples], atol=1e-12)
    assert samples[4].chunk_row == pytest.approx((samples[4].stamp_ns - plan.start_ns) / (50 * MS))


def test_the_next_whole_chunk_goes_on_from_where_the_line_is() -> None:
    bench = Bench(chunks())
    bench.start()
    bench.send()
    bench.ticks(20)
    bench.windows.clear()
    at = bench.arm
    bench.send(actions=np.hstack([np.tile(at + 0.1, (11, 1)), np.ones((11, 1))]))
    commanded = np.array([bench.tick().commanded.action[:2] for _ in range(12)])
    ((_, window),) = [item for item in bench.windows if item[0] == "arm"]
    assert np.abs(window.position[0] - at).max() < 0.02
    assert np.abs(np.diff(commanded, axis=0)).max() < 0.04
    np.testing.assert_allclose(commanded[-1], at + 0.1, atol=1e-9)


def test_whole_chunks_stay_between_the_position_limits() -> None:
    bench = Bench(chunks())
    bench.blocked, bench.arm = True, np.array([2.9, 0.0])
    bench.commander.stop("operator", "stop", bench.now)
    bench.ticks(30)
    assert bench.commander.resume(bench.now) is None
    bench.blocked = False
    bench.start()
    rows = np.column_stack([np.linspace(2.9, 3.3, 11), np.zeros(11), np.ones(11)])
    assert bench.send(actions=rows) is None
    samples = [c.commanded for c in bench.ticks(60)]
    assert max(s.action[0] for s in samples) == 3.0
    assert any(s.limited[0] for s in samples)


def test_arms_with_and_without_limits_are_not_mixed() -> None:
    values = arm().model_dump()
    left, grip = values["outputs"]
    right = left | {"name": "right", "topic": "/right", "joints": ["joint2"]}
    left |= {"joints": ["joint1"], "controller": "joint_trajectory_chunks", "limits": "none"}
    spec = arm(
        action=[
            {"name": "left", "kind": "position", "names": ["joint1"], "output": "arm"},
            {"name": "right", "kind": "position", "names": ["joint2"], "output": "right"},
            values["action"][1],
        ],
        outputs=[left, right, grip],
    )
    with pytest.raises(OutputError, match="only arm are joint_trajectory_chunks"):
        Bench(spec)


def with_controllers(*controllers: dict) -> RobotSpec:
    outputs = list(arm().model_dump()["outputs"])
    for output, needs in zip(outputs, controllers, strict=True):
        output["controllers"] = needs
    return arm(outputs=outputs)


def test_what_the_outputs_need_of_a_controller_manager_is_gathered() -> None:
    (wanted,) = wanted_of(
        with_controllers(
            {"activate": ["arm"], "deactivate": ["servo"]},
            {"activate": ["hand"], "deactivate": ["servo"]},
        )
    )
    assert wanted.manager == "/controller_manager"
    assert wanted.active == ("arm", "hand")
    assert wanted.inactive == ("servo",)
    states = {"arm": "inactive", "hand": "active", "servo": "active"}
    assert wanted.switch(states) == (["arm"], ["servo"])
    assert "'arm' is inactive, expected active" in wanted.problem(states)
    assert "'servo' is active, expected inactive" in wanted.problem(states)
    assert "'hand' is not loaded" in wanted.problem({"arm": "active"})
    assert wanted.problem({"arm": "active", "hand": "active", "servo": "inactive"}) == ""


def test_outputs_that_switch_each_other_off_are_refused() -> None:
    spec = with_controllers({"activate": ["arm"]}, {"activate": ["hand"], "deactivate": ["arm"]})
    with pytest.raises(OutputError, match="cannot be used together"):
        wanted_of(spec)


def test_a_robot_whose_controllers_are_not_ready_waits_and_then_starts_where_it_is() -> None:
    bench = Bench(active=False)
    bench.commander.hindered("'arm' is inactive, expected active", bench.now)
    bench.ticks(20)
    assert bench.windows == []
    assert "'arm' is inactive" in bench.start().text
    bench.arm = np.array([0.3, 0.2])
    bench.ticks(5)
    bench.commander.hindered("", bench.now)
    np.testing.assert_allclose(bench.tick().commanded.action[:2], [0.3, 0.2])
    assert bench.start() is None


def test_a_resume_waits_for_controllers_that_were_switched_off() -> None:
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(20)
    bench.commander.hindered("'arm' is inactive, expected active", bench.now)
    assert bench.commander.stop_reason == "tracking_error"
    bench.ticks(60)
    assert bench.commander.resume(bench.now) is None
    bench.windows.clear()
    bench.blocked, bench.arm = True, bench.arm + 0.3
    bench.ticks(30)
    assert bench.commander.mode == "IDLE"
    assert bench.windows == []
    bench.commander.hindered("", bench.now)
    np.testing.assert_allclose(bench.tick().commanded.action[:2], bench.arm)
