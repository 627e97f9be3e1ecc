"""Who may move the robot: priorities, leases, and changes of hands without a jump."""

from __future__ import annotations

import numpy as np
from bench import MS, NEXT_RUN, Bench
from robots import arm

LEASE = 500 * MS


def take(bench: Bench, owner: str = "teleop", lease: int = LEASE):
    return bench.commander.take_over(owner, lease, bench.now, bench.steady)


def taken_over_in_motion() -> Bench:
    bench = Bench()
    bench.start()
    bench.send()
    bench.ticks(20)
    return bench


def test_a_take_over_brakes_first_and_then_the_bridge_is_silent():
    bench = taken_over_in_motion()
    epoch = bench.commander.epoch
    before = bench.commander.report(bench.now)
    assert before.owner.startswith("run ")
    assert take(bench, lease=10_000 * MS) is None
    assert bench.commander.epoch == epoch + 1
    assert bench.commander.report(bench.now).owner == "teleop"
    bench.tick()
    assert bench.commander.mode == "BRAKING"
    speeds = []
    for _ in range(100):
        commands = bench.tick()
        if commands.commanded is None:
            break
        speeds.append(np.abs(commands.commanded.velocity).max())
        assert np.abs(commands.commanded.acceleration).max() <= 12.0 + 1e-6
    assert speeds[-1] == 0.0
    assert bench.commander.mode == "EXTERNAL"
    bench.windows.clear()
    bench.ticks(30)
    assert bench.windows == []
    assert not any(output.active for output in bench.commander.report(bench.now).outputs)


def test_a_hand_back_starts_from_where_the_other_left_the_robot():
    bench = taken_over_in_motion()
    take(bench, lease=10_000 * MS)
    bench.ticks(80)
    bench.blocked = True
    bench.arm = bench.arm + 0.5
    bench.tick()
    assert bench.commander.give_back("teleop", bench.now).reason == "not_settled"
    assert bench.start(NEXT_RUN).reason == "mode"
    bench.ticks(30)
    assert "'teleop' has the robot" in bench.commander.give_back("planner", bench.now).text
    assert bench.commander.give_back("teleop", bench.now) is None
    np.testing.assert_allclose(bench.tick().commanded.action[:2], bench.arm)
    assert bench.start(NEXT_RUN) is None


def test_a_lease_that_runs_out_is_a_hand_back_once_the_robot_rests():
    bench = taken_over_in_motion()
    take(bench, lease=1500 * MS)
    bench.ticks(100)
    assert bench.commander.mode == "EXTERNAL"
    bench.blocked = True
    for _ in range(80):
        bench.arm = bench.arm + 0.01
        bench.tick()
    assert bench.commander.mode == "EXTERNAL"
    bench.ticks(20)
    assert bench.commander.mode == "HOLDING"
    np.testing.assert_allclose(bench.tick().commanded.action[:2], bench.arm)


def test_a_lease_is_renewed_by_asking_again_without_another_epoch():
    bench = Bench()
    take(bench)
    epoch = bench.commander.epoch
    for _ in range(6):
        bench.ticks(40)
        assert take(bench) is None
    assert bench.commander.epoch == epoch
    assert bench.commander.mode == "EXTERNAL"


def test_only_a_higher_or_equal_priority_takes_the_robot():
    bench = Bench()
    take(bench, "teleop")
    refusal = take(bench, "planner")
    assert "cannot take the robot from 'teleop'" in refusal.text
    bench = Bench()
    take(bench, "planner")
    epoch = bench.commander.epoch
    assert take(bench, "teleop") is None
    assert bench.commander.owner == "teleop"
    assert bench.commander.epoch == epoch + 1


def test_the_policy_may_outrank_another_owner_while_it_runs():
    bench = Bench(arm(owners={"policy": 50, "others": {"idle_motion": 5}}))
    bench.start()
    assert take(bench, "idle_motion").reason == "mode"
    bench.commander.run_ended(b"r" * 16, bench.now)
    assert take(bench, "idle_motion") is None


def test_an_unknown_owner_is_refused_with_the_nearest():
    assert "did you mean 'teleop'" in take(Bench(), "telop").text
    assert take(Bench(), "policy") is not None


def test_a_stop_holds_whoever_has_the_robot():
    bench = Bench()
    take(bench)
    bench.commander.stop("operator", "stop", bench.now)
    bench.ticks(120)
    assert bench.commander.mode == "STOPPED"
    assert bench.windows[-1][1].velocity[-1].max() == 0.0
